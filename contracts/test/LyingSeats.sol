// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Attempt, Phase, ProposalStatement} from "../src/interfaces/Types.sol";
import {ProofFixture} from "./ProofFixture.sol";

/// @notice Rounds in which seats tell the truth or lie; who lied is `_guilty`.
abstract contract LyingSeats is ProofFixture {
    uint256 internal constant VALIDATORS = 12;

    enum SetLie {
        None,
        Record,
        Weight
    }

    /// @dev What seats said last, together or one alone.
    struct Said {
        ProposalStatement statement;
        Lie lie;
        uint256 column;
        bytes32 ctx;
        int256 model;
    }

    uint256 public settled;
    Said internal _proposed;
    Said internal _vote;
    SetLie internal _setLie;
    uint256 internal _stakeIn;
    uint256 internal _stakeOut;
    mapping(uint256 validator => uint256) internal _assets;
    mapping(uint256 validator => bool) internal _guilty;

    constructor() {
        setUpProofs(5, 600);
        for (uint256 i = 0; i < VALIDATORS; ++i) {
            _assets[i] = registry.assetsOf(i);
            _stakeIn += _assets[i];
        }
    }

    /// @dev The honest next step, so that runs get far.
    function goOn() public {
        Phase p = phase();
        if (p == Phase.Idle) _open();
        else if (p == Phase.Drawing) _draw();
        else if (p == Phase.Collecting) includeSet(0);
        else if (p == Phase.Included) propose(0);
        else if (p == Phase.Proposed) _settle();
        else if (p == Phase.Paused) _resume();
        else _closeChallenge();
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
        lieColumn = how / 4 % 3;
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
        uint256 units = uint256(amount) * 1e16 + 1;
        bytes memory call = abi.encodeCall(registry.stake, (id, units));
        if (unstake) {
            call = amount % 2 == 0
                ? abi.encodeCall(registry.requestUnstake, (id, units))
                : abi.encodeCall(registry.withdraw, (id));
        }
        (bool done,) = address(registry).call(call);
        done;
        vm.stopPrank();
        uint256 held = registry.assetsOf(id);
        if (held > before) _stakeIn += held - before;
        else _stakeOut += before - held;
        _assets[id] = _assets[id] + held - before;
    }

    /// @dev Take honest steps to a phase, or beyond it within the same attempt.
    function _reach(Phase target) internal {
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

    function _open() private {
        try manager.openRound(task) {} catch {}
    }

    function _resume() private {
        vm.prank(CREATOR);
        try manager.resume(task) {} catch {}
    }

    function _say(Said storage said, Lie lie, uint256 seatBits, uint256 view_) private {
        said.statement = statement(lie, seatBits, view_);
        (said.lie, said.column) = (lie, lieColumn);
        (said.ctx, said.model) = (manager.attemptOf(task).ctx, following);
        if (lie != Lie.None) _blame(seatBits);
    }

    function _hasSet() internal view returns (bool) {
        Phase p = phase();
        return p == Phase.Included || p == Phase.Proposed || p == Phase.Disputed;
    }

    function _blame(uint256 seatBits) internal {
        uint256[] memory committee = committeeOf(task);
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            if ((seatBits >> seat) & 1 == 1) _guilty[committee[seat]] = true;
        }
    }

    function _closeChallenge() internal {
        skip(20);
        try slashing.closeChallenge(task, manager.attemptOf(task).ctx) {} catch {}
    }
}
