// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {FlockToken} from "../src/FlockToken.sol";
import {IRoundManager} from "../src/interfaces/IRoundManager.sol";
import {IRoundPay} from "../src/interfaces/IRoundPay.sol";
import {ContributionClaim, Phase, Settlement} from "../src/interfaces/Types.sol";
import {InclusionTree} from "../src/libraries/InclusionTree.sol";
import {Fixture} from "./Fixture.sol";

/// @notice Rewards, refunds and the purse. Five trainers: a tree with promoted nodes.
contract PayTest is Fixture {
    uint256 private constant TRAINERS = 5;

    bytes[] private _records;

    function setUp() public {
        deploy();
        addValidators(9);
        joinBeacon(9);
        task = createTask(specification(TRAINERS, 3, 1));
        for (uint256 i = 0; i < TRAINERS; ++i) {
            _records.push(
                bytes.concat(abi.encode(bytes32("ctx"), i, _trainer(i), i, i, i, i, i), new bytes(64), hex"1b")
            );
        }
    }

    // Claims.

    function test_trainers_get_equal_shares_for_proven_headers() public {
        _settleRound();
        pay.claimTrainer(task, _claims());
        for (uint256 i = 0; i < TRAINERS; ++i) {
            assertEq(token.balanceOf(_trainer(i)), REWARD * 7 / 10 / TRAINERS);
        }
    }

    function test_a_header_is_paid_once() public {
        _settleRound();
        ContributionClaim[] memory claims = _claims();
        pay.claimTrainer(task, claims);
        _claimRefused(claims, IRoundPay.RoundPayAlreadyClaimed.selector);
    }

    function test_wrong_records_positions_and_paths_are_refused() public {
        _settleRound();
        ContributionClaim[] memory claims = _claims();
        claims[0].position = 1;
        _claimRefused(claims, IRoundPay.RoundPayWrongRecord.selector);
        claims[0].position = TRAINERS;
        _claimRefused(claims, InclusionTree.InclusionTreePosition.selector);
        claims = _claims();
        claims[0].record[95] = bytes1(uint8(claims[0].record[95]) ^ 1);
        _claimRefused(claims, IRoundPay.RoundPayWrongRecord.selector);
        claims = _claims();
        claims[0].record = new bytes(320);
        _claimRefused(claims, InclusionTree.InclusionTreeRecordLength.selector);
        claims = _claims();
        claims[0].path = new bytes32[](2);
        _claimRefused(claims, InclusionTree.InclusionTreePathLength.selector);
        claims[0].path = new bytes32[](4);
        _claimRefused(claims, InclusionTree.InclusionTreePathLength.selector);
    }

    function test_nothing_is_paid_before_the_settlement() public {
        ContributionClaim[] memory claims = _claims();
        openAndDraw();
        includeNow((1 << TRAINERS) - 1);
        _claimRefused(claims, IRoundPay.RoundPayNotSettled.selector);
        vm.expectPartialRevert(IRoundPay.RoundPayNotSettled.selector);
        pay.claimSeats(task, 0, new uint256[](1));
    }

    function test_seats_get_equal_shares_for_each_signature() public {
        openAndDraw();
        IRoundManager.InclusionArgs memory args = includeArgs((1 << TRAINERS) - 1, 63, 0);
        uint256[] memory committee = committeeOf(task);
        manager.include(args);
        skip(35);
        manager.propose(proposeArgs(0x1F8, 0));
        skip(200);
        manager.settle(task);
        // Seats 0..5 signed the set and 3..8 the proposal: twelve shares of 25 tokens.
        for (uint256 seat = 0; seat < 9; ++seat) {
            uint256 before = token.balanceOf(ownerAt(committee[seat]));
            pay.claimSeats(task, committee[seat], new uint256[](1));
            uint256 shares = seat < 3 || seat > 5 ? 1 : 2;
            assertEq(token.balanceOf(ownerAt(committee[seat])) - before, shares * REWARD * 3 / 10 / 12);
            vm.expectPartialRevert(IRoundPay.RoundPayAlreadyClaimed.selector);
            pay.claimSeats(task, committee[seat], new uint256[](1));
        }
    }

    function test_validators_without_a_seat_are_not_paid() public {
        _settleRound();
        vm.expectPartialRevert(IRoundPay.RoundPayNotSeated.selector);
        pay.claimSeats(task, 9, new uint256[](1));
    }

    function test_what_does_not_divide_stays_in_the_purse() public {
        uint256 before = manager.purseOf(task).rewards;
        _settleRound();
        uint256 trainers = REWARD * 7 / 10 / TRAINERS * TRAINERS;
        uint256 seats_ = REWARD * 3 / 10 / 18 * 18;
        assertEq(manager.purseOf(task).rewards, before - trainers - seats_);
        assertTrue(trainers + seats_ < REWARD, "this reward does not divide");
    }

    // Purse.

    function test_anyone_funds_known_tasks() public {
        vm.expectPartialRevert(IRoundManager.RoundManagerAmount.selector);
        manager.fund(task, 0);
        uint256 before = manager.purseOf(task).gasPool;
        manager.fund{value: 7}(task, 0);
        assertEq(manager.purseOf(task).gasPool, before + 7);
    }

    function test_the_creator_takes_back_what_is_left_while_no_round_is_open() public {
        vm.expectPartialRevert(IRoundManager.RoundManagerNotCreator.selector);
        manager.withdrawPurse(task);
        openAndDraw();
        vm.startPrank(CREATOR);
        vm.expectPartialRevert(IRoundManager.RoundManagerWrongPhase.selector);
        manager.withdrawPurse(task);
        vm.stopPrank();
        for (uint256 i = 0; i < 3; ++i) {
            skip(210);
            manager.poke(task);
            if (phase() == Phase.Drawing) drawNow();
        }
        uint256 pool = manager.purseOf(task).gasPool;
        uint256 before = CREATOR.balance;
        vm.prank(CREATOR);
        manager.withdrawPurse(task);
        assertEq(CREATOR.balance, before + pool);
        assertEq(token.balanceOf(address(manager)), 0);
    }

    function test_withdrawing_the_purse_leaves_reserved_pay() public {
        _settleRound();
        for (uint256 i = 0; i < 3; ++i) {
            if (phase() == Phase.Drawing) drawNow();
            skip(210);
            manager.poke(task);
        }
        vm.prank(CREATOR);
        manager.withdrawPurse(task);
        pay.claimTrainer(task, _claims());
        for (uint256 i = 0; i < 9; ++i) {
            pay.claimSeats(task, i, new uint256[](1));
        }
        assertEq(token.balanceOf(address(manager)), 0);
    }

    // Refunds.

    function test_refunds_are_credited_from_the_pool_and_withdrawn_by_the_relayer() public {
        uint256 pool = manager.purseOf(task).gasPool;
        openAndDraw();
        uint256 credit = manager.refundOf(RELAYER);
        assertTrue(credit > 0, "nothing was credited");
        // The beacon's nine answers were paid in advance.
        assertEq(manager.purseOf(task).gasPool, pool - credit - 9 * 37_000 * 1 gwei);
        uint256 before = RELAYER.balance;
        vm.startPrank(RELAYER);
        assertEq(manager.withdrawRefund(), credit);
        assertEq(RELAYER.balance, before + credit);
        vm.expectPartialRevert(IRoundManager.RoundManagerAmount.selector);
        manager.withdrawRefund();
        vm.stopPrank();
    }

    function test_the_price_of_gas_is_capped() public {
        vm.txGasPrice(1000 gwei);
        vm.prank(RELAYER);
        manager.openRound(task);
        assertTrue(manager.refundOf(RELAYER) <= 300_000 * 10 gwei, "above the cap");
    }

    function test_an_empty_pool_refunds_nothing_and_stops_nothing() public {
        vm.startPrank(CREATOR);
        task = tasks.createTask(specification(TRAINERS, 3, 1));
        manager.fund(task, 10 * REWARD);
        vm.stopPrank();
        openAndDraw();
        finishRound((1 << TRAINERS) - 1);
        assertEq(manager.refundOf(RELAYER), 0);
    }

    // The token.

    function test_the_faucet_serves_an_address_once_a_day_and_not_on_the_main_network() public {
        token.faucet(address(this));
        vm.expectPartialRevert(FlockToken.FlockTokenFaucetNotReady.selector);
        token.faucet(address(this));
        skip(1 days);
        token.faucet(address(this));
        assertEq(token.balanceOf(address(this)), 2 * token.FAUCET_AMOUNT());
        vm.chainId(1);
        vm.expectRevert(FlockToken.FlockTokenNotForMainNetwork.selector);
        new FlockToken();
    }

    /// @dev Settle a round over the tree of `_records`.
    function _settleRound() private {
        openAndDraw();
        IRoundManager.InclusionArgs memory args = includeArgs((1 << TRAINERS) - 1, allSeats(), 0);
        args.inclusionRoot = _root();
        signInclude(args);
        manager.include(args);
        skip(35);
        proposeNow();
        revealAll(manager.attemptOf(task).nextRequest);
        skip(200);
        settleNow();
        Settlement memory s = manager.settlementOf(task, 0);
        assertEq(s.inclusionRoot, args.inclusionRoot);
        assertEq(s.included, TRAINERS);
    }

    function _trainer(uint256 i) private pure returns (address) {
        return address(uint160(0x78A1 + i));
    }

    function _leaf(uint256 i) private view returns (bytes32) {
        return sha256(bytes.concat(hex"00", _records[i]));
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(bytes.concat(hex"01", left, right));
    }

    /// @dev ((0 1) (2 3)) 4: the last leaf is promoted twice.
    function _root() private view returns (bytes32) {
        bytes32 four = _node(_node(_leaf(0), _leaf(1)), _node(_leaf(2), _leaf(3)));
        return sha256(bytes.concat(hex"02", bytes8(uint64(321 * TRAINERS)), hex"05", _node(four, _leaf(4))));
    }

    function _claims() private view returns (ContributionClaim[] memory claims) {
        claims = new ContributionClaim[](TRAINERS);
        for (uint256 i = 0; i < TRAINERS; ++i) {
            claims[i].position = i;
            claims[i].record = _records[i];
            claims[i].path = new bytes32[](i == 4 ? 1 : 3);
            if (i == 4) {
                claims[i].path[0] = _node(_node(_leaf(0), _leaf(1)), _node(_leaf(2), _leaf(3)));
                continue;
            }
            claims[i].path[0] = _leaf(i ^ 1);
            claims[i].path[1] = i < 2 ? _node(_leaf(2), _leaf(3)) : _node(_leaf(0), _leaf(1));
            claims[i].path[2] = _leaf(4);
        }
    }

    function _claimRefused(ContributionClaim[] memory claims, bytes4 selector) private {
        vm.expectPartialRevert(selector);
        pay.claimTrainer(task, claims);
    }
}
