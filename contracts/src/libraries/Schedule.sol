// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Plan} from "../interfaces/Types.sol";

/// @title Schedule: the deadlines of an attempt, in seconds of block time
/// @dev `block.timestamp >= deadline` is late.
library Schedule {
    function seats(Plan memory p) internal pure returns (uint256) {
        return uint256(p.columns) * p.seatsPerColumn;
    }

    /// @dev One view more than the faulty seats that a round tolerates, and one for a replaced block.
    function views(Plan memory p) internal pure returns (uint256) {
        return (seats(p) - 1) / 3 + 2;
    }

    /// @dev Two thirds of all seats, rounded up.
    function quorum(Plan memory p) internal pure returns (uint256) {
        return (2 * seats(p) + 2) / 3;
    }

    /// @dev A full set has nothing to wait for: its view 0 opens with the draw.
    function inclusionView(Plan memory p, uint256 drawnAt, uint256 view_, bool full)
        internal
        pure
        returns (uint256 start, uint256 end)
    {
        uint256 first = drawnAt + p.windows.collect + p.windows.settle;
        start = view_ == 0 && full ? drawnAt : first + view_ * p.windows.view_;
        end = first + (view_ + 1) * p.windows.view_;
    }

    function rollCall(Plan memory p, uint256 drawnAt) internal pure returns (uint256 start, uint256 end) {
        start = drawnAt + p.windows.collect + p.windows.settle + views(p) * p.windows.view_;
        end = start + p.windows.abort;
    }

    /// @dev View 0 is open from the end of the demand window, final, until its place after the root deadline ends.
    function proposalView(Plan memory p, uint256 acceptedAt, uint256 view_)
        internal
        pure
        returns (uint256 start, uint256 end)
    {
        uint256 opened = acceptedAt + p.windows.demand + p.windows.finality;
        uint256 rootDeadline = opened + p.windows.roots;
        start = view_ == 0 ? opened : rootDeadline + view_ * p.windows.view_;
        end = rootDeadline + (view_ + 1) * p.windows.view_;
    }

    function voidDeadline(Plan memory p, uint256 acceptedAt) internal pure returns (uint256 end) {
        (, end) = proposalView(p, acceptedAt, views(p) - 1);
    }
}
