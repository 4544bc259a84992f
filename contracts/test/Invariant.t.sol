// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {Attempt, Phase, Purse, TaskSpecification} from "../src/interfaces/Types.sol";
import {Fixture} from "./Fixture.sol";
import {Test} from "./Vm.sol";

/// @notice Everything that can happen to one task of 3 x 3 seats: honest steps, silence, time, stake and claims.
contract Handler is Fixture {
    uint256 public constant VALIDATORS = 11;
    uint256 private constant REQUESTS_MAX = 40;

    uint256 public settled;
    uint256 public paid;
    uint256 public spentSets;
    address private immutable _checker;
    mapping(bytes32 attempt => bool) private _hasSet;

    constructor(uint256 epochRounds) {
        _checker = msg.sender;
        deploy();
        addValidators(VALIDATORS);
        joinBeacon(VALIDATORS);
        TaskSpecification memory s = specification(12, 3, epochRounds);
        s.terms.rounds = 6;
        task = createTask(s);
        vm.deal(RELAYER, 0);
    }

    /// @dev Refuse a change of phase that no rule knows.
    modifier alongAnEdge() {
        Phase before = phase();
        _;
        Phase afterwards = phase();
        if (before == afterwards) return;
        bool known = (before == Phase.Idle && (afterwards == Phase.Drawing || afterwards == Phase.Collecting))
            || (before == Phase.Drawing && (afterwards == Phase.Collecting || afterwards == Phase.Idle))
            || (before == Phase.Collecting
                && (afterwards == Phase.Included
                    || afterwards == Phase.Drawing
                    || afterwards == Phase.Paused
                    || afterwards == Phase.Idle))
            || (before == Phase.Included
                && (afterwards == Phase.Proposed
                    || afterwards == Phase.Drawing
                    || afterwards == Phase.Paused
                    || afterwards == Phase.Idle))
            || (before == Phase.Proposed
                && (afterwards == Phase.Drawing || afterwards == Phase.Collecting || afterwards == Phase.Idle))
            || (before == Phase.Paused && (afterwards == Phase.Drawing || afterwards == Phase.Idle));
        assertTrue(known, "no rule leads there");
    }

    /// @dev The step that honest nodes would take next, so that runs get far.
    function goOn() external alongAnEdge {
        Phase p = phase();
        if (p == Phase.Drawing) {
            _answerAll(manager.attemptOf(task).request);
            (bool ready,,) = beacon.seed(manager.attemptOf(task).request);
            if (!ready) return;
            vm.prank(RELAYER);
            manager.draw(task);
        } else if (p == Phase.Collecting && block.timestamp < uint256(manager.attemptOf(task).drawnAt) + 130) {
            bytes32 key = keccak256(abi.encode(manager.attemptOf(task).round, manager.attemptOf(task).attempt));
            assertTrue(!_hasSet[key], "a second set in one attempt");
            _hasSet[key] = true;
            if (manager.attemptOf(task).spent) vm.warp(uint256(manager.attemptOf(task).drawnAt) + 120);
            includeNow(manager.attemptOf(task).spent ? manager.attemptOf(task).trainers : 0xFFF);
        } else if (p == Phase.Included && block.timestamp < uint256(manager.attemptOf(task).acceptedAt) + 85) {
            vm.warp(uint256(manager.attemptOf(task).acceptedAt) + 35 + block.timestamp % 50);
            proposeNow();
        } else if (p == Phase.Proposed) {
            _answerAll(manager.attemptOf(task).nextRequest);
            vm.warp(uint256(manager.attemptOf(task).proposedAt) + 200 + block.timestamp % 50);
            settleNow();
            ++settled;
        }
    }

    function wait(uint8 elapsed) external {
        skip(elapsed);
    }

    function open() external alongAnEdge {
        if (phase() != Phase.Idle) return;
        vm.prank(RELAYER);
        try manager.openRound(task) {} catch {}
    }

    /// @dev Some members answer whatever is open; those who keep silent lose their bonds.
    function answer(uint16 who) external {
        Attempt memory a = manager.attemptOf(task);
        uint256 request = a.nextRequest == 0 ? a.request : a.nextRequest;
        if (request == 0) return;
        (uint256[] memory ids, uint256 revealed, uint256 deadline,) = beacon.requestOf(request);
        if (block.timestamp >= deadline) return;
        for (uint256 i = 0; i < ids.length; ++i) {
            if (((revealed | who) >> i) & 1 == 0 && layers[ids[i]] < ONION) revealAs(request, ids[i]);
        }
    }

    function _answerAll(uint256 request) private {
        if (request == 0) return;
        (uint256[] memory ids, uint256 revealed, uint256 deadline,) = beacon.requestOf(request);
        if (block.timestamp >= deadline) return;
        for (uint256 i = 0; i < ids.length; ++i) {
            if ((revealed >> i) & 1 == 0) revealAs(request, ids[i]);
        }
    }

    function rejoin(uint8 validator) external {
        validator %= uint8(VALIDATORS);
        if (!beacon.isMember(validator) && registry.weightOf(validator) != 0) joinBeaconAs(validator);
    }

    function draw() external alongAnEdge {
        vm.prank(RELAYER);
        try manager.draw(task) {} catch {}
    }

    function includeSet(uint16 trainers, uint16 seatBits) external alongAnEdge {
        if (phase() != Phase.Collecting) return;
        IRoundManager.InclusionArgs memory args =
            includeArgs(trainers % 3 == 0 ? 0xFFF : trainers & 0xFFF, allSeats() & (seatBits | 63), _inclusionView());
        Attempt memory a = manager.attemptOf(task);
        vm.prank(RELAYER);
        try manager.include(args) {
            bytes32 key = keccak256(abi.encode(a.round, a.attempt));
            assertTrue(!_hasSet[key], "a second set in one attempt");
            assertTrue(!a.spent || a.trainers == args.trainers, "another set after a spent attempt");
            _hasSet[key] = true;
        } catch {}
    }

    function answerRollCall(uint8 seat) external alongAnEdge {
        if (phase() != Phase.Collecting) return;
        seat %= uint8(seats());
        IRoundManager.InclusionArgs memory args = includeArgs(0xFFF, 1 << seat, 0);
        IRoundManager.RollCallArgs memory roll;
        (roll.task, roll.round, roll.attempt, roll.seat) = (task, args.round, args.attempt, seat);
        (roll.inclusionRoot, roll.trainers, roll.weight) = (args.inclusionRoot, args.trainers, args.weight);
        (roll.commitment, roll.signature) = (args.commitments[0], args.signatures);
        vm.prank(RELAYER);
        try manager.answerRollCall(roll) {} catch {}
    }

    function propose(uint8 view_) external alongAnEdge {
        if (phase() != Phase.Included) return;
        IRoundManager.ProposalArgs memory args = proposeArgs(allSeats(), view_ % 5);
        vm.prank(RELAYER);
        try manager.propose(args) {} catch {}
    }

    function settle() external alongAnEdge {
        vm.prank(RELAYER);
        try manager.settle(task) {
            ++settled;
        } catch {}
    }

    function poke() external alongAnEdge {
        bool spends = phase() == Phase.Included;
        vm.prank(RELAYER);
        try manager.poke(task) {
            if (spends) ++spentSets;
        } catch {}
    }

    function resume() external alongAnEdge {
        vm.prank(CREATOR);
        try manager.resume(task) {} catch {}
    }

    function claimSeats(uint8 validator, uint8 round) external {
        uint256[] memory rounds = new uint256[](1);
        rounds[0] = round % 6;
        address owner = ownerAt(validator % VALIDATORS);
        uint256 before = token.balanceOf(address(manager));
        uint256 booked = token.balanceOf(owner) + registry.owed();
        try pay.claimSeats(task, validator % VALIDATORS, rounds) {
            paid += before - token.balanceOf(address(manager));
            // All of it reaches the owner or is owed to its delegators.
            assertEq(token.balanceOf(owner) + registry.owed() - booked, before - token.balanceOf(address(manager)));
        } catch {}
    }

    function moveStake(uint8 validator, uint8 amount, bool unstake) external {
        validator %= uint8(VALIDATORS);
        vm.startPrank(ownerAt(validator));
        if (unstake) {
            try registry.requestUnstake(validator, uint256(amount) * 1 ether) {} catch {}
            try registry.withdraw(validator) {} catch {}
        } else if (amount != 0) {
            try registry.stake(validator, uint256(amount) * 1 ether) {} catch {}
        }
        vm.stopPrank();
    }

    /// @dev Delegators come, claim and leave.
    function moveDelegation(uint8 who, uint8 validator, uint64 amount, uint8 what) external {
        address holder = address(uint160(0xDE1E000 + who % 3));
        validator %= uint8(VALIDATORS);
        if (token.allowance(holder, address(registry)) == 0) {
            token.faucet(holder);
            vm.prank(holder);
            token.approve(address(registry), type(uint256).max);
        }
        vm.startPrank(holder);
        if (what % 4 < 2) try registry.delegate(validator, amount) {} catch {}
        if (what % 4 == 2) try registry.requestUnstake(validator, amount) {} catch {}
        if (what % 4 == 3) try registry.withdraw(validator) {} catch {}
        if (what & 4 != 0) try registry.claimRewards(validator) {} catch {}
        vm.stopPrank();
    }

    /// @dev What a proof takes; the cap of a round holds whatever is asked for.
    function slash(uint8 validator, uint64 amount, uint8 round) external {
        validator %= uint8(VALIDATORS);
        bytes32 scope = keccak256(abi.encode(task, round % 4));
        uint256 before = registry.assetsOf(validator);
        uint256 owed = registry.owed();
        vm.prank(registry.slashingManager());
        uint256 taken = registry.slash(validator, amount, scope, RELAYER);
        assertEq(registry.assetsOf(validator), before - taken);
        assertEq(registry.owed(), owed + taken);
        assertTrue(taken <= amount && taken <= (before + 1) / 2 + 1, "more than the cap or the stake");
        try registry.payOut(taken % 2 == 0 ? TREASURY : RELAYER) {} catch {}
    }

    function rotate(uint8 validator, uint8 key) external {
        validator %= uint8(VALIDATORS);
        // Keys of the handler's seats stay known to it, so it rotates validators' peer ids and pauses entries.
        bytes memory consent = consentOf(KEY + validator, ownerAt(validator), organisationAt(validator));
        vm.prank(ownerAt(validator));
        registry.rotateKeys(validator, signerAt(validator), "peer", consent);
        vm.prank(GUARDIAN);
        registry.pauseEntries(key % 5 == 0);
    }

    function refresh(uint8 validator) external {
        try registry.refreshWeight(validator % VALIDATORS) {} catch {}
    }

    function withdrawRefund() external {
        vm.prank(RELAYER);
        try manager.withdrawRefund() {} catch {}
    }

    // Invariants.

    function checkValueIsConserved() external view {
        Purse memory purse = manager.purseOf(task);
        assertEq(address(manager).balance, purse.gasPool + manager.refundOf(RELAYER));
        uint256 reserved = 0;
        for (uint256 round = 0; round < 6; ++round) {
            reserved += reservedOf(manager.settlementOf(task, round));
        }
        assertEq(token.balanceOf(address(manager)), purse.rewards + reserved - paid);
        assertTrue(address(beacon).balance >= beacon.memberCount() * BOND, "bonds are not covered");
    }

    function checkStakeAndWeightsAddUp() external view {
        uint256 held = 0;
        uint256 weight = 0;
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            (uint256 unbonding,) = registry.unbondingOf(i);
            uint256 assets = registry.assetsOf(i);
            // What all shares are worth is there; what divisions leave is less than a unit each.
            assertTrue(registry.stakeOf(i) + unbonding <= assets, "shares are not covered");
            assertTrue(assets <= registry.stakeOf(i) + unbonding + 100, "stake is lost to rounding");
            held += assets;
            weight += registry.weightOf(i);
        }
        assertEq(token.balanceOf(address(registry)), held + registry.owed());
        assertEq(registry.totalWeight(), weight);
    }

    /// @dev Nobody's claim is without cover: holders' values and earnings are within the books.
    function checkHoldersAreCovered() external view {
        uint256 credited = registry.creditOf(TREASURY) + registry.creditOf(RELAYER);
        for (uint256 who = 0; who < 3; ++who) {
            address holder = address(uint160(0xDE1E000 + who));
            credited += registry.creditOf(holder);
            for (uint256 i = 0; i < VALIDATORS; ++i) {
                (,, uint256 earned) = registry.positionOf(i, holder);
                credited += earned;
            }
        }
        assertTrue(credited <= registry.owed() && registry.owed() <= credited + 1000, "owed is not what is claimable");
    }

    function checkWeightsAreFrozenExactlyWhileADrawIsDue() external view {
        Attempt memory a = manager.attemptOf(task);
        assertEq(registry.freezes(), a.phase == Phase.Drawing || a.nextRequest != 0 ? 1 : 0);
    }

    function checkEachSettlementIsOneRound() external view {
        assertEq(manager.attemptOf(task).round, settled);
    }

    /// @dev Time and pokes alone lead to a phase in which somebody must decide: Idle or Paused.
    function checkTimeLeadsToAnExit() external {
        if (msg.sender != _checker) return; // a check, not a move
        for (uint256 i = 0; i < 16 && phase() != Phase.Idle && phase() != Phase.Paused; ++i) {
            skip(1 days);
            if (phase() == Phase.Proposed) manager.settle(task);
            else if (phase() == Phase.Drawing) _drawOrPoke();
            else manager.poke(task);
        }
        assertTrue(phase() == Phase.Idle || phase() == Phase.Paused, "no exit");
    }

    /// @dev Once fees and forfeits are paid out, what is left is one bond for each member and each who was dismissed.
    function checkBeaconHoldsBondsAlone() external {
        if (msg.sender != _checker) return; // a check, not a move
        skip(2 days);
        try beacon.close(type(uint256).max) {} catch {}
        uint256 bonds = 0;
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            if (beacon.isMember(i) || beacon.isDismissed(i)) bonds += BOND;
            uint256[] memory ids = new uint256[](1);
            for (ids[0] = 1; ids[0] <= REQUESTS_MAX; ++ids[0]) {
                try beacon.claimReveals(i, ids) {} catch {}
            }
        }
        try beacon.payTreasury() {} catch {}
        assertEq(address(beacon).balance, bonds);
    }

    function _drawOrPoke() private {
        (bool ready,,) = beacon.seed(manager.attemptOf(task).request);
        if (ready) manager.draw(task);
        else manager.poke(task);
    }

    function _inclusionView() private view returns (uint256) {
        uint256 first = uint256(manager.attemptOf(task).drawnAt) + 120;
        return block.timestamp < first ? 0 : (block.timestamp - first) / 10;
    }
}

abstract contract InvariantBase is Test {
    Handler internal handler;

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev The fuzzer gives a sender ether, so none may be a contract whose balance is compared.
    function targetSenders() public pure returns (address[] memory senders) {
        senders = new address[](1);
        senders[0] = address(0xCA11E4);
    }

    /// @dev One campaign checks all of them after every move.
    function invariant_value_stake_freezes_and_rounds_add_up() public view {
        handler.checkValueIsConserved();
        handler.checkStakeAndWeightsAddUp();
        handler.checkWeightsAreFrozenExactlyWhileADrawIsDue();
        handler.checkEachSettlementIsOneRound();
    }

    function afterInvariant() public {
        log("settled", handler.settled());
        log("spent", handler.spentSets());
        handler.checkHoldersAreCovered();
        handler.checkTimeLeadsToAnExit();
        handler.checkBeaconHoldsBondsAlone();
    }
}

contract InvariantOfRoundsTest is InvariantBase {
    function setUp() public {
        handler = new Handler(1);
    }
}

contract InvariantOfEpochsTest is InvariantBase {
    function setUp() public {
        handler = new Handler(3);
    }
}
