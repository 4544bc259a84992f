// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ISlashingManager} from "../src/interfaces/ISlashingManager.sol";
import {Attempt, Conviction, Offence, Phase, ProposalStatement} from "../src/interfaces/Types.sol";
import {ProofFixture} from "./ProofFixture.sol";
import {Test} from "./Vm.sol";

/// @notice Rounds in which seats tell the truth or lie, and in which anybody tries to prove either.
/// @dev A proof may only succeed where its lie was told; who lied is `_guilty`.
contract ProofHandler is ProofFixture {
    uint256 private constant VALIDATORS = 12;

    enum SetLie {
        None,
        Record,
        Weight
    }

    /// @dev What seats said last, together or one alone.
    struct Said {
        ProposalStatement statement;
        Lie lie;
        bytes32 ctx;
        int256 model;
    }

    uint256 public proven;
    uint256 public refused;
    uint256 public settled;
    uint256 public fuses;
    uint256 public punished;
    Said private _proposed;
    Said private _vote;
    SetLie private _setLie;
    bytes32 private _ownRoot;
    uint256 private _ownSeat;
    uint256 private _accusations;
    uint256 private _paid;
    uint256 private _stakeIn;
    uint256 private _stakeOut;
    Conviction[] private _convictions;
    mapping(uint256 place => bool) private _isPunished;
    mapping(uint256 validator => uint256) private _assets;
    mapping(uint256 validator => bool) private _guilty;
    mapping(bytes32 ctx => bool) private _struckByFuse;
    mapping(bytes32 ctx => mapping(uint256 validator => uint256)) private _offences;
    mapping(bytes32 scopeAndValidator => uint256) private _firstHeld;
    mapping(bytes32 scopeAndValidator => uint256) private _taken;

    constructor() {
        setUpProofs(5, 600);
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            _assets[i] = registry.assetsOf(i);
            _stakeIn += _assets[i];
        }
    }

    // What seats do.

    /// @dev The honest next step, so that runs get far.
    function goOn() public {
        Phase p = phase();
        if (p == Phase.Idle) try manager.openRound(task) {} catch {}
        else if (p == Phase.Drawing) _draw();
        else if (p == Phase.Collecting) includeSet(0);
        else if (p == Phase.Included) propose(0);
        else if (p == Phase.Proposed) _settle();
        else if (p == Phase.Paused) _resume();
        else closeChallenge();
    }

    function lieAboutTheSet(uint8 how) external {
        _reach(Phase.Collecting);
        includeSet(how);
    }

    function lieAboutTheSum(uint8 how) external {
        _reach(Phase.Included);
        propose(how);
    }

    function includeSet(uint8 how) private {
        Attempt memory a = manager.attemptOf(task);
        if (a.phase != Phase.Collecting || block.timestamp >= uint256(a.drawnAt) + 130) return;
        _setLie = SetLie(how % 3);
        excess = _setLie == SetLie.Weight ? 1 : 0;
        if (_setLie != SetLie.None) _blame(allSeats());
        if (_setLie == SetLie.Record) words = 700;
        includeTruth();
        words = 600;
    }

    function propose(uint8 how) private {
        Attempt memory a = manager.attemptOf(task);
        if (a.phase != Phase.Included) return;
        uint256 from = a.strikes == 0 ? uint256(a.acceptedAt) + 35 : uint256(a.proposedAt) + 5;
        if (block.timestamp < from) vm.warp(from);
        _say(_proposed, Lie(how % 4), allSeats() & ~uint256(a.slashed), 4 * a.strikes);
        ProposalStatement memory p = _proposed.statement;
        try manager.propose(argsOf(p)) {
            _proposed.statement.signatures = "";
        } catch {}
    }

    /// @dev One seat signs something that is not put on chain.
    function vote(uint8 how, uint8 seat) external {
        _reach(Phase.Included);
        if (!_hasSet()) return;
        _say(_vote, Lie(how % 4), 1 << (seat % 9), how % 8);
    }

    function moveStake(uint8 validator, uint8 amount, bool unstake) external {
        uint256 id = validator % VALIDATORS;
        uint256 before = registry.assetsOf(id);
        vm.startPrank(ownerAt(id));
        if (!unstake) try registry.stake(id, uint256(amount) * 1e16 + 1) {} catch {}
        else if (amount % 2 == 0) try registry.requestUnstake(id, uint256(amount) * 1e16 + 1) {} catch {}
        else try registry.withdraw(id) {} catch {}
        vm.stopPrank();
        uint256 held = registry.assetsOf(id);
        if (held > before) _stakeIn += held - before;
        else _stakeOut += before - held;
        _assets[id] = _assets[id] + held - before;
    }

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

    function challenge(uint8 seat, bool wrong) external {
        _reach(Phase.Proposed);
        if (phase() != Phase.Proposed) return;
        // Mostly the column about whose sum proposals lie.
        _ownSeat = seat < 192 ? 1 + 3 * (uint256(seat) % 3) : seat % 9;
        _ownRoot = plantMask(_ownSeat % 3, wrong);
        if (wrong) _blame(1 << _ownSeat);
        uint256 before = manager.attemptOf(task).slashed;
        address signer = signerAt(committeeOf(task)[_ownSeat]);
        vm.deal(signer, CHALLENGE_BOND);
        bytes memory signature_ = maskRootSignature(_ownSeat, _ownRoot);
        ProposalStatement memory p = _proposed.statement;
        vm.prank(signer);
        try slashing.openChallenge{value: CHALLENGE_BOND}(p, _ownSeat, _ownRoot, signature_) {} catch {}
        assertTrue(!_isCollecting() || manager.attemptOf(task).slashed == 0, "spending convicts nobody");
        assertTrue(_isCollecting() || manager.attemptOf(task).slashed == before, "a lock convicts nobody");
    }

    function openSeeds() external {
        if (!_hasSet() || _proposed.statement.maskRoots.length == 0) return;
        skip(5);
        Attempt memory a = manager.attemptOf(task);
        ISlashingManager.SeedOpening memory o = seedOpening(_proposed.statement, _ownSeat % 3);
        o.own = openings[_ownRoot];
        if (!_attempt(abi.encodeCall(slashing.openSeeds, (o)))) return;
        Attempt memory b = manager.attemptOf(task);
        bool struck = b.strikes != a.strikes || b.attempt != a.attempt;
        if (struck) {
            assertTrue(_proposed.lie == Lie.Mask && _ownSeat % 3 == 1, "a right mask sum was disproved");
            assertTrue(!_struckByFuse[a.ctx], "the fuse struck twice");
            _struckByFuse[a.ctx] = true;
            ++fuses;
        }
        uint256 seats = struck ? _proposed.statement.seats & 0x92 : 1 << _ownSeat;
        _note(_convictionBefore(a, Offence.WrongMaskSum, seats));
    }

    function closeChallenge() public {
        skip(20);
        try slashing.closeChallenge(task, manager.attemptOf(task).ctx) {} catch {}
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
        assertEq(address(slashing).balance, locks);
        assertEq(address(duties).balance, _accusations * CHALLENGE_BOND);
        assertEq(address(manager).balance, manager.purseOf(task).gasPool + refunds());
    }

    function refunds() private view returns (uint256) {
        return manager.refundOf(RELAYER) + manager.refundOf(address(this));
    }

    /// @dev Take honest steps to a phase, or beyond it within the same attempt.
    function _reach(Phase target) private {
        for (uint256 i = 0; i < 8; ++i) {
            if (phase() == target || (target == Phase.Included && _hasSet()) || phase() == Phase.Disputed) return;
            goOn();
        }
    }

    function _draw() private {
        uint256 request = manager.attemptOf(task).request;
        (uint256[] memory ids, uint256 revealed, uint256 deadline,) = beacon.requestOf(request);
        for (uint256 i = 0; i < ids.length && block.timestamp < deadline; ++i) {
            if ((revealed >> i) & 1 == 0 && layers[ids[i]] < ONION) revealAs(request, ids[i]);
        }
        try manager.draw(task) {} catch {}
    }

    function _settle() private {
        vm.warp(uint256(manager.attemptOf(task).proposedAt) + 200);
        try manager.settle(task) {
            ++settled;
            model = _proposed.model;
        } catch {}
    }

    function _resume() private {
        vm.prank(CREATOR);
        try manager.resume(task) {} catch {}
    }

    function _say(Said storage said, Lie lie, uint256 seatBits, uint256 view_) private {
        said.statement = statement(lie, seatBits, view_);
        (said.lie, said.ctx, said.model) = (lie, manager.attemptOf(task).ctx, following);
        if (lie != Lie.None) _blame(seatBits);
    }

    function _hasSet() private view returns (bool) {
        Phase p = phase();
        return p == Phase.Included || p == Phase.Proposed || p == Phase.Disputed;
    }

    function _isCollecting() private view returns (bool) {
        return phase() == Phase.Collecting || phase() == Phase.Drawing || phase() == Phase.Paused;
    }

    function _blame(uint256 seatBits) private {
        uint256[] memory committee = committeeOf(task);
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            if ((seatBits >> seat) & 1 == 1) _guilty[committee[seat]] = true;
        }
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
        assertTrue(finder == address(this) && !done, "another conviction than this proof's");
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

/// forge-config: default.invariant.runs = 4
/// forge-config: default.invariant.depth = 60
contract ProofInvariantTest is Test {
    ProofHandler private _handler;

    function setUp() public {
        _handler = new ProofHandler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
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
