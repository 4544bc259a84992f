// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRandomnessBeacon} from "./interfaces/IRandomnessBeacon.sol";
import {Attempt, Consequence, Phase, Plan} from "./interfaces/Types.sol";
import {Committee} from "./libraries/Committee.sol";
import {GasTable} from "./libraries/GasTable.sol";
import {Plans} from "./libraries/Plans.sol";
import {Statements} from "./libraries/Statements.sol";
import {Domain} from "./Domain.sol";
import {TaskPurse} from "./TaskPurse.sol";

/// @title RoundSeating: how an attempt gets its committee, and how it is given up
/// @dev Weights are frozen from each beacon request to its draw, or until nobody waits for it.
abstract contract RoundSeating is TaskPurse, Domain {
    using Committee for uint256[2];
    using Plans for Plan;

    IRandomnessBeacon public immutable beacon;

    constructor(IRandomnessBeacon beacon_) Domain(address(this)) {
        beacon = beacon_;
    }

    /// @dev Copy what rounds need of the task: agreed terms never change.
    function _adopt(uint256 task, Attempt storage a) internal {
        (_plans[task], a.modelRoot) = tasks.planOf(task);
    }

    /// @dev Open the attempt that `a` counts: drawn within an epoch, else waiting for the beacon, drawing if it can.
    /// It stays idle if the beacon cannot be asked, so that nothing that leads here can be blocked.
    function _open(uint256 task, Plan memory p, Attempt storage a) internal {
        if (!_needsDraw(p, a.round, a.attempt)) {
            emit RoundOpened(task, a.round, a.attempt, a.modelRoot, 0);
            _seatAgain(task, p, a);
            return;
        }
        uint48 request = a.nextRequest;
        if (request == 0) request = _ask(task, p, a.round, a.attempt);
        else a.nextRequest = 0;
        if (request == 0) return;
        a.phase = Phase.Drawing;
        a.request = request;
        emit RoundOpened(task, a.round, a.attempt, a.modelRoot, request);
        _tryDraw(task, p, a);
    }

    /// @dev The last round of an epoch asks for the next one, so that its reveals run during the challenge window.
    /// Nothing is asked for a round that could not be paid: it would keep everybody's weights frozen.
    function _askAhead(uint256 task, Plan memory p, Attempt storage a) internal {
        uint256 next = uint256(a.round) + 1;
        if (a.nextRequest != 0) return;
        if (next >= p.rounds() || !_needsDraw(p, next, 0) || !_isFunded(task, p, 2)) return;
        a.nextRequest = _ask(task, p, next, 0);
    }

    /// @dev Ask once more after a failed request. The attempt falls back to idle if the beacon cannot be asked.
    function _askAgain(uint256 task, Plan memory p, Attempt storage a) internal {
        (, bool failed,) = beacon.seed(a.request);
        if (!failed) revert RoundManagerNothingDue(task);
        registry.thaw();
        a.phase = Phase.Idle;
        _open(task, p, a);
    }

    /// @dev After the roll call: seats that did not answer are left out of the next draw.
    function _abort(uint256 task, Plan memory p, Attempt storage a) internal {
        (, uint256 end) = p.rollCall(a.drawnAt);
        if (block.timestamp < end) revert RoundManagerTooEarly(end);
        uint256 noShows = Committee.all(p.seats()) & ~uint256(a.rollCalled);
        a.noShows |= uint32(noShows);
        _giveUp(task, p, a, Consequence.Abort);
    }

    /// @dev The set's sum counts as known to somebody: a sum over any other set would tell the difference.
    function _spend(uint256 task, Plan memory p, Attempt storage a) internal {
        uint256 end = p.voidDeadline(a.acceptedAt, a.strikes, a.proposedAt);
        if (block.timestamp < end) revert RoundManagerTooEarly(end);
        _giveUp(task, p, a, Consequence.Spend);
    }

    /// @dev At `attemptsMax` attempts the task pauses; aborted and spent attempts count alike.
    function _giveUp(uint256 task, Plan memory p, Attempt storage a, Consequence c) internal {
        bool spent = c != Consequence.Abort;
        emit AttemptAborted(task, a.round, a.attempt, spent, a.noShows);
        if (spent) a.spent = true;
        if (a.nextRequest != 0) {
            // Asked ahead for a round that does not come yet; its value may be known by now.
            a.nextRequest = 0;
            registry.thaw();
        }
        uint256 next = uint256(a.attempt) + 1;
        if (c == Consequence.SpendAndPause || next % p.attemptsMax() == 0) {
            a.phase = Phase.Paused;
            emit TaskPaused(task, a.round);
            return;
        }
        a.phase = Phase.Idle;
        a.attempt = uint16(next);
        _open(task, p, a);
    }

    /// @dev Draw the committee if the beacon is ready.
    function _tryDraw(uint256 task, Plan memory p, Attempt storage a) internal returns (bool) {
        (bool ready,, bytes32 seed) = beacon.seed(a.request);
        if (!ready) return false;
        uint256[] memory ids = _choose(task, p, a, seed);
        registry.thaw();
        uint32 number = a.draw + 1;
        a.draw = number;
        _epochSeeds[task] = seed;
        (uint256 low, uint256 high) = Committee.pack(ids);
        _committees[task][number][0] = low;
        if (high != 0) _committees[task][number][1] = high;
        a.noShows = 0;
        _seat(task, p, a, seed, ids);
        return true;
    }

    function _requireNow(uint256 start, uint256 end) internal view {
        if (block.timestamp < start) revert RoundManagerTooEarly(start);
        if (block.timestamp >= end) revert RoundManagerTooLate(end);
    }

    function _isFunded(uint256 task, Plan memory p, uint256 rounds) internal view returns (bool) {
        return purseOf(task).rewards >= rounds * p.rewardPerRound();
    }

    /// @dev Freeze weights and ask the beacon; return 0 where either makes no sense now.
    function _ask(uint256 task, Plan memory p, uint256 round, uint256 attempt) private returns (uint48 request) {
        if (registry.eligibleOrganisations() < p.seats()) return 0;
        uint256 fee = _takeGas(task, beacon.duties() * GasTable.REVEAL);
        try beacon.request{value: fee}(keccak256(abi.encode(task, round, attempt))) returns (uint256 id) {
            registry.freeze();
            return uint48(id);
        } catch {
            _returnGas(task, fee);
        }
    }

    /// @dev Within an epoch the committee stays and only the seed moves on.
    function _seatAgain(uint256 task, Plan memory p, Attempt storage a) private {
        uint256[] memory ids = _committees[task][a.draw].select(Committee.all(p.seats()));
        _seat(task, p, a, keccak256(abi.encode(_epochSeeds[task], uint256(a.round))), ids);
    }

    function _seat(uint256 task, Plan memory p, Attempt storage a, bytes32 seed, uint256[] memory ids) private {
        address[] memory signers = registry.signersOf(ids);
        bytes32 ctx = _typedDigest(
            Statements.hash(
                Statements.Context({
                    task: task,
                    round: a.round,
                    attempt: a.attempt,
                    modelRoot: a.modelRoot,
                    seed: seed,
                    committeeHash: Committee.hash(ids, signers),
                    rosterRoot: p.rosterRoot
                })
            )
        );
        a.phase = Phase.Collecting;
        a.drawnAt = uint40(block.timestamp);
        a.rollCalled = 0;
        a.slashed = 0;
        a.ctx = ctx;
        uint256 frozen = a.spent ? a.trainers : 0;
        emit CommitteeDrawn(task, a.round, a.attempt, a.modelRoot, seed, ctx, ids, signers, block.timestamp, frozen);
    }

    /// @dev Choose seats: a plain draw, or what follows an abort.
    function _choose(uint256 task, Plan memory p, Attempt storage a, bytes32 seed)
        private
        view
        returns (uint256[] memory)
    {
        uint256 seats = p.seats();
        bool fresh = a.attempt == 0;
        if ((fresh && a.noShows == 0) || a.draw == 0) return registry.draw(seed, seats, new uint256[](0));
        uint256[] memory members = _committees[task][a.draw].select(Committee.all(seats));
        return registry.redraw(seed, members, a.noShows, !fresh && p.epochRounds() != 1);
    }

    /// @dev The beacon is needed at an epoch's first round and for every attempt after the first.
    function _needsDraw(Plan memory p, uint256 round, uint256 attempt) private pure returns (bool) {
        return attempt > 0 || round % p.epochRounds() == 0;
    }
}
