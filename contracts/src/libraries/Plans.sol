// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Plan, TaskSpecification, Windows} from "../interfaces/Types.sol";

/// @title Plans: the fields of a plan, and the deadlines of an attempt in seconds of block time
/// @dev `block.timestamp >= deadline` is late. Windows are eight fields of 32 bits, `collect` lowest. The fields of `shape`, from
/// the lowest: trainers, trainersMin (16 bits each), columns, seatsPerColumn, epochRounds, attemptsMax (8), rounds (32),
/// weightMax (8), trainerShareBps (16), rewardPerRound (128).
/// Sums of these fields and 40-bit times stay far below 2^256, so nothing here can overflow.
library Plans {
    function pack(TaskSpecification memory s) internal pure returns (Plan memory) {
        Windows memory w = s.terms.windows;
        uint256 windows = uint256(w.collect) | uint256(w.settle) << 32 | uint256(w.view_) << 64 | uint256(w.demand)
            << 96 | uint256(w.roots) << 128 | uint256(w.challenge) << 160 | uint256(w.abort) << 192
            | uint256(w.finality) << 224;
        uint256 shape = uint256(s.terms.trainers) | uint256(s.terms.trainersMin) << 16 | uint256(s.terms.columns) << 32
            | uint256(s.terms.seatsPerColumn) << 40 | uint256(s.terms.epochRounds) << 48 | uint256(s.terms.attemptsMax)
            << 56 | uint256(s.terms.rounds) << 64 | uint256(s.terms.integers.weightMax) << 96
            | uint256(s.trainerShareBps) << 104 | uint256(s.rewardPerRound) << 120;
        return Plan(windows, shape, s.rosterRoot);
    }

    function trainers(Plan memory p) internal pure returns (uint256) {
        return p.shape & 0xffff;
    }

    function trainersMin(Plan memory p) internal pure returns (uint256) {
        return (p.shape >> 16) & 0xffff;
    }

    function columns(Plan memory p) internal pure returns (uint256) {
        return (p.shape >> 32) & 0xff;
    }

    function seatsPerColumn(Plan memory p) internal pure returns (uint256) {
        return (p.shape >> 40) & 0xff;
    }

    function epochRounds(Plan memory p) internal pure returns (uint256) {
        return (p.shape >> 48) & 0xff;
    }

    function attemptsMax(Plan memory p) internal pure returns (uint256) {
        return (p.shape >> 56) & 0xff;
    }

    /// @dev Zero only for a task that was never opened.
    function rounds(Plan memory p) internal pure returns (uint256) {
        return (p.shape >> 64) & 0xffffffff;
    }

    function weightMax(Plan memory p) internal pure returns (uint256) {
        return (p.shape >> 96) & 0xff;
    }

    function trainerShareBps(Plan memory p) internal pure returns (uint256) {
        return (p.shape >> 104) & 0xffff;
    }

    function rewardPerRound(Plan memory p) internal pure returns (uint256) {
        return p.shape >> 120;
    }

    function seats(Plan memory p) internal pure returns (uint256) {
        unchecked {
            return columns(p) * seatsPerColumn(p);
        }
    }

    /// @dev One view more than the faulty seats that a round tolerates, and one for a replaced block.
    function views(Plan memory p) internal pure returns (uint256) {
        unchecked {
            return (seats(p) - 1) / 3 + 2;
        }
    }

    /// @dev Two thirds of the seats that were not convicted in this attempt, rounded up; where all were, nobody is enough.
    function quorum(Plan memory p, uint256 convicted) internal pure returns (uint256) {
        unchecked {
            uint256 honest = seats(p) - convicted;
            return honest == 0 ? 1 : (2 * honest + 2) / 3;
        }
    }

    /// @dev A full set has nothing to wait for: its view 0 opens with the draw.
    function inclusionView(Plan memory p, uint256 drawnAt, uint256 view_, bool full)
        internal
        pure
        returns (uint256 start, uint256 end)
    {
        unchecked {
            uint256 length = _window(p, 2);
            start = drawnAt + _window(p, 0) + _window(p, 1) + view_ * length;
            end = start + length;
            if (view_ == 0 && full) start = drawnAt;
        }
    }

    function rollCall(Plan memory p, uint256 drawnAt) internal pure returns (uint256 start, uint256 end) {
        (start,) = inclusionView(p, drawnAt, views(p), false);
        unchecked {
            end = start + _window(p, 6);
        }
    }

    /// @dev Half of the demand window is for demands, the other half for answers.
    function demandsUntil(Plan memory p, uint256 acceptedAt) internal pure returns (uint256) {
        unchecked {
            return acceptedAt + (_window(p, 3) + 1) / 2;
        }
    }

    function demandEnd(Plan memory p, uint256 acceptedAt) internal pure returns (uint256) {
        unchecked {
            return acceptedAt + _window(p, 3);
        }
    }

    /// @dev Time for an act that waits for the finality of another: a view, on top of the allowance.
    function answerTime(Plan memory p) internal pure returns (uint256) {
        unchecked {
            return _window(p, 7) + _window(p, 2);
        }
    }

    /// @dev Seconds after which a block counts as final.
    function finality(Plan memory p) internal pure returns (uint256) {
        return _window(p, 7);
    }

    function rootDeadline(Plan memory p, uint256 acceptedAt) internal pure returns (uint256) {
        unchecked {
            return demandEnd(p, acceptedAt) + _window(p, 7) + _window(p, 4);
        }
    }

    /// @dev Views count on through strikes, `views` to a turn. The first turn's view 0 is open from the end of the demand
    /// window, final, until its place after the root deadline ends; a later turn begins when its strike at `struckAt` is final.
    function proposalView(Plan memory p, uint256 acceptedAt, uint256 strikes, uint256 struckAt, uint256 view_)
        internal
        pure
        returns (uint256 start, uint256 end)
    {
        unchecked {
            uint256 length = _window(p, 2);
            if (strikes != 0) {
                start = struckAt + _window(p, 7) + (view_ - strikes * views(p)) * length;
                return (start, start + length);
            }
            start = rootDeadline(p, acceptedAt) + view_ * length;
            end = start + length;
            if (view_ == 0) start = demandEnd(p, acceptedAt) + _window(p, 7);
        }
    }

    function voidDeadline(Plan memory p, uint256 acceptedAt, uint256 strikes, uint256 struckAt)
        internal
        pure
        returns (uint256 end)
    {
        (end,) = proposalView(p, acceptedAt, strikes, struckAt, (strikes + 1) * views(p));
    }

    function windowEnd(Plan memory p, uint256 proposedAt) internal pure returns (uint256) {
        unchecked {
            return proposedAt + _window(p, 5);
        }
    }

    function _window(Plan memory p, uint256 index) private pure returns (uint256) {
        return (p.windows >> (index << 5)) & 0xffffffff;
    }
}
