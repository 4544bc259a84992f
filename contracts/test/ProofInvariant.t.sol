// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ISlashingManager} from "../src/interfaces/ISlashingManager.sol";
import {Attempt, Conviction, Offence, Phase, ProposalStatement} from "../src/interfaces/Types.sol";
import {LyingSeats} from "./LyingSeats.sol";
import {Test} from "./Vm.sol";

/// @notice Anybody tries to prove what seats say, true or not.
/// @dev A proof may only succeed where its lie was told.
contract ProofHandler is LyingSeats {
    uint256 public proven;
    uint256 public refused;
    uint256 public fuses;
    uint256 public punished;
    bytes32 private _ownRoot;
    uint256 private _ownSeat;
    uint256 private _accusations;
    uint256 private _paid;
    Conviction[] private _convictions;
    mapping(uint256 place => bool) private _isPunished;
    mapping(bytes32 ctx => mapping(uint256 validator => uint256)) private _offences;
    mapping(bytes32 scopeAndValidator => uint256) private _firstHeld;
    mapping(bytes32 scopeAndValidator => uint256) private _taken;

    function claim(uint8 validator, uint8 round) external {
        uint256[] memory rounds = new uint256[](1);
        rounds[0] = round % 20;
        uint256 before = token.balanceOf(address(manager));
        try pay.claimSeats(task, validator % VALIDATORS, rounds) {} catch {}
        _paid += before - token.balanceOf(address(manager));
    }

    function wait(uint16 elapsed) external {
        skip(elapsed % 512);
    }

    function poke() external {
        try manager.poke(task) {} catch {}
    }

    // What anybody tries to prove.

    function proveProposal(bool aggregate, bool alone) external {
        if (!alone) _reach(Phase.Proposed);
        if (!_hasSet()) return;
        Said memory said = alone ? _vote : _proposed;
        if (said.statement.maskRoots.length == 0) return;
        Conviction memory c =
            _convictionOf(aggregate ? Offence.WrongAggregate : Offence.WrongStep, said.statement.seats);
        bytes memory call = aggregate
            ? abi.encodeCall(slashing.proveAggregate, (batch(said.statement, 0, 3)))
            : abi.encodeCall(slashing.proveStep, (stepProof(said.statement)));
        if (!_attempt(call)) return;
        assertTrue(said.lie == (aggregate ? Lie.Aggregate : Lie.Step), "the truth was disproved");
        assertEq(said.ctx, c.ctx);
        _note(c);
    }

    function proveInclusion(uint8 position, bool weight) external {
        _reach(Phase.Included);
        if (!_hasSet()) return;
        Conviction memory c = _convictionOf(Offence.BadInclusion, manager.attemptOf(task).includeSeats);
        ISlashingManager.BadRecord memory r;
        (r.task, r.count, r.position) = (task, 5, position % 5);
        r.opening = bytes.concat(records[r.position], pathAbove(r.position, 0));
        bytes memory call = weight
            ? abi.encodeCall(slashing.proveWeight, (task, setStatement(), rosterBytes()))
            : abi.encodeCall(slashing.proveBadInclusion, (r));
        if (!_attempt(call)) return;
        assertTrue(_setLie == (weight ? SetLie.Weight : SetLie.Record), "a sound set was disproved");
        _note(c);
    }

    function proveEquivocation(uint8 seat, bool same) external {
        Attempt memory a = manager.attemptOf(task);
        if (a.phase == Phase.Idle || a.phase == Phase.Drawing || a.phase == Phase.Paused) return;
        ISlashingManager.Equivocation memory e = _equivocation(seat % 9);
        Conviction memory c = _equivocator(e, committeeOf(task)[seat % 9]);
        if (same) (e.second, e.secondSignature) = (e.first, e.firstSignature);
        else _guilty[c.validators[0]] = true;
        if (!_attempt(abi.encodeCall(slashing.proveEquivocation, (e)))) return;
        assertTrue(!same, "one statement is no equivocation");
        _note(c);
    }

    function challenge(uint8 seat, bool wrong) public {
        _reach(Phase.Proposed);
        if (phase() != Phase.Proposed) return;
        // Mostly of the column about whose sum the proposal lies.
        _ownSeat = seat < 192 ? _proposed.column + 3 * (uint256(seat) % 3) : seat % 9;
        _ownRoot = plantMask(_ownSeat % 3, wrong);
        if (wrong) _blame(1 << _ownSeat);
        uint256 before = manager.attemptOf(task).slashed;
        address signer = signerAt(committeeOf(task)[_ownSeat]);
        vm.deal(signer, CHALLENGE_BOND);
        bytes memory signature_ = maskRootSignature(_ownSeat, _ownRoot);
        ProposalStatement memory p = _proposed.statement;
        vm.prank(signer);
        try slashing.openChallenge{value: CHALLENGE_BOND}(p, _ownSeat, _ownRoot, signature_) {} catch {}
        // A lock convicts nobody, nor does spending the attempt; a new one begins without convictions.
        uint256 slashed = manager.attemptOf(task).slashed;
        assertTrue(slashed == before || slashed == 0, "a challenge convicts nobody");
    }

    function openSeeds(uint8 seat) external {
        if (phase() != Phase.Disputed) challenge(seat, false);
        if (!_hasSet() || _proposed.statement.maskRoots.length == 0) return;
        skip(5);
        Attempt memory a = manager.attemptOf(task);
        (bool opened, uint256 column) = slashing.openedColumn(a.ctx);
        ISlashingManager.SeedOpening memory o = seedOpening(_proposed.statement, _ownSeat % 3);
        o.own = openings[_ownRoot];
        if (!_attempt(abi.encodeCall(slashing.openSeeds, (o)))) return;
        Attempt memory b = manager.attemptOf(task);
        bool struck = b.strikes != a.strikes || b.attempt != a.attempt;
        if (struck) {
            bool lied = _proposed.lie == Lie.Mask && _proposed.column == _ownSeat % 3;
            assertTrue(lied, "a right mask sum was disproved");
            assertTrue(!opened || column == _ownSeat % 3, "a second column was opened");
            if (!opened) ++fuses;
        }
        uint256 seats = struck ? _proposed.statement.seats & (0x49 << (_ownSeat % 3)) : 1 << _ownSeat;
        _note(_convictionBefore(a, Offence.WrongMaskSum, seats));
    }

    function closeChallenge() external {
        _closeChallenge();
    }

    function accuse(uint8 seat) external {
        Attempt memory a = manager.attemptOf(task);
        if (!_hasSet() || a.strikes != 0) return;
        if (block.timestamp < uint256(a.acceptedAt) + 75) vm.warp(uint256(a.acceptedAt) + 75);
        vm.deal(address(this), CHALLENGE_BOND);
        try duties.accuse{value: CHALLENGE_BOND}(task, seat % 9) {
            ++_accusations;
        } catch {}
    }

    function closeAccusation(uint8 seat) external {
        Attempt memory a = manager.attemptOf(task);
        if (!_hasSet()) return;
        skip(15);
        try duties.closeAccusation(task, a.ctx, seat % 9) {
            --_accusations;
        } catch {
            return;
        }
        Conviction memory c = _convictionBefore(a, Offence.MissedDuty, 1 << (seat % 9));
        (address finder,) = slashing.findingOf(keccak256(abi.encode(c)));
        if (finder == address(0)) return;
        _guilty[c.validators[0]] = true;
        _convictions.push(c);
    }

    // Punishment.

    function punish(uint8 place) external {
        if (_convictions.length == 0) return;
        uint256 i = place % _convictions.length;
        Conviction memory c = _convictions[i];
        bool done = _attempt(abi.encodeCall(slashing.punish, (c)));
        assertTrue(done != _isPunished[i], "each conviction is punished once");
        if (!done) return;
        _isPunished[i] = true;
        ++punished;
        for (uint256 k = 0; k < c.validators.length; ++k) {
            _checkSlash(c, c.validators[k]);
        }
    }

    function punishTheInnocent(uint8 validator, uint8 offence) external {
        Conviction memory c;
        Attempt memory a = manager.attemptOf(task);
        c.validators = new uint256[](1);
        c.validators[0] = validator % VALIDATORS;
        (c.task, c.round, c.attempt, c.offence, c.ctx) = (task, a.round, a.attempt, Offence(offence % 6), a.ctx);
        (address finder,) = slashing.findingOf(keccak256(abi.encode(c)));
        if (finder != address(0)) return;
        assertTrue(!_attempt(abi.encodeCall(slashing.punish, (c))), "punished without a conviction");
    }

    // Invariants.

    /// @dev Stake moves by its owner or after a proof, and only the guilty lose any.
    function checkNoStakeMovesWithoutAProof() external view {
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            assertEq(registry.assetsOf(i), _assets[i]);
        }
    }

    /// @dev In = stake, unbonding and what divisions leave of them, claimable, paid out.
    function checkTokensAreConserved() external view {
        uint256 held = 0;
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            held += registry.assetsOf(i);
        }
        assertEq(token.balanceOf(address(registry)), held + registry.owed());
        uint256 owed = registry.creditOf(TREASURY) + registry.creditOf(address(this));
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            owed += registry.creditOf(signerAt(i)); // a challenger is the finder of what its seeds prove
        }
        // Nobody delegates here, so all that is owed is owed by name.
        assertEq(_stakeIn, held + owed + _stakeOut);
        assertEq(registry.owed(), owed);
        uint256 reserved = 0;
        for (uint256 round = 0; round < 20; ++round) {
            reserved += reservedOf(manager.settlementOf(task, round));
        }
        assertEq(100 * REWARD, manager.purseOf(task).rewards + reserved);
        assertEq(token.balanceOf(address(manager)), manager.purseOf(task).rewards + reserved - _paid);
    }

    function checkBondsAreHeld() external view {
        uint256 locks = phase() == Phase.Disputed ? CHALLENGE_BOND : 0;
        // A lock whose attempt fell for another reason keeps its bond until it is closed.
        uint256 held = address(slashing).balance;
        assertTrue(held >= locks && held % CHALLENGE_BOND == 0, "a challenge's bond is missing");
        assertEq(address(duties).balance, _accusations * CHALLENGE_BOND);
        assertEq(address(manager).balance, manager.purseOf(task).gasPool + refunds());
    }

    function refunds() private view returns (uint256) {
        return manager.refundOf(RELAYER) + manager.refundOf(address(this));
    }

    function _attempt(bytes memory call) private returns (bool done) {
        (done,) = address(slashing).call(call);
        done ? ++proven : ++refused;
    }

    /// @dev What a proof of `offence` against `seats` leads to, if it holds now.
    function _convictionOf(Offence offence, uint256 seats) private view returns (Conviction memory) {
        return _convictionBefore(manager.attemptOf(task), offence, seats);
    }

    function _convictionBefore(Attempt memory a, Offence offence, uint256 seats)
        private
        view
        returns (Conviction memory c)
    {
        seats &= ~uint256(a.slashed);
        uint256 word = manager.committeeAt(task, a.draw)[0];
        c.validators = new uint256[](countBits(seats));
        uint256 next = 0;
        for (uint256 seat = 0; seat < 9; ++seat) {
            if ((seats >> seat) & 1 == 1) c.validators[next++] = (word >> (16 * seat)) & 0xffff;
        }
        (c.task, c.round, c.attempt, c.offence, c.ctx) = (task, a.round, a.attempt, offence, a.ctx);
    }

    /// @dev A proof held: just the guilty are convicted, each once in an attempt, besides equivocation.
    function _note(Conviction memory c) private {
        if (c.validators.length == 0) return;
        (address finder, bool done) = slashing.findingOf(keccak256(abi.encode(c)));
        assertTrue(finder != address(0) && !done, "another conviction than this proof's");
        for (uint256 i = 0; i < c.validators.length; ++i) {
            uint256 validator = c.validators[i];
            assertTrue(_guilty[validator], "an honest seat was convicted");
            uint256 kind = c.offence == Offence.Equivocation ? 1 : 2;
            assertTrue(_offences[c.ctx][validator] & kind == 0, "an offence was counted twice");
            _offences[c.ctx][validator] |= kind;
        }
        _convictions.push(c);
    }

    /// @dev What a punishment took: a tenth at most, of a guilty one, within the cap of its round.
    function _checkSlash(Conviction memory c, uint256 validator) private {
        bytes32 scope = keccak256(abi.encode(c.round, validator));
        if (_firstHeld[scope] == 0) _firstHeld[scope] = _assets[validator];
        uint256 taken = _assets[validator] - registry.assetsOf(validator);
        _taken[scope] += taken;
        assertTrue(_guilty[validator], "an honest validator lost stake");
        assertTrue(taken <= _assets[validator] / 10, "more than a tenth");
        assertTrue(_taken[scope] <= _firstHeld[scope] * SLASH_CAP_BPS / 10_000, "more than the cap");
        _assets[validator] -= taken;
    }

    receive() external payable {}
}

/// forge-config: default.invariant.runs = 3
/// forge-config: default.invariant.depth = 60
/// forge-config: default.invariant.shrink-run-limit = 20
/// forge-config: deep.invariant.runs = 100
/// forge-config: deep.invariant.depth = 100
contract ProofInvariantTest is Test {
    ProofHandler private _handler;

    function setUp() public {
        _handler = new ProofHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    /// @dev The fuzzer gives a sender ether, so none may be a contract whose balance is compared.
    function targetSenders() public pure returns (address[] memory senders) {
        senders = new address[](1);
        senders[0] = address(0xCA11E4);
    }

    function invariant_only_lies_cost_stake_once_and_every_unit_is_somewhere() public view {
        _handler.checkNoStakeMovesWithoutAProof();
        _handler.checkTokensAreConserved();
        _handler.checkBondsAreHeld();
    }

    function afterInvariant() public view {
        log("settled", _handler.settled());
        log("proven", _handler.proven());
        log("refused", _handler.refused());
        log("fuses", _handler.fuses());
        log("punished", _handler.punished());
    }
}
