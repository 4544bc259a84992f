// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Plan, Settlement} from "../interfaces/Types.sol";
import {Committee} from "./Committee.sol";
import {Plans} from "./Plans.sol";

/// @title Shares: how a settled round's reward is split
library Shares {
    using Plans for Plan;

    uint256 private constant BPS = 10_000;

    /// @dev Return the share of a contribution, that of a seat's bit, and the number of bits.
    function split(Plan memory p, Settlement memory s)
        internal
        pure
        returns (uint256 each, uint256 perBit, uint256 bits)
    {
        uint256 trainers = uint256(s.reward) * p.trainerShareBps() / BPS;
        each = trainers / s.included;
        bits = Committee.count(s.includeSeats) + Committee.count(s.proposeSeats);
        // Verdicts may leave no seat to pay.
        if (bits != 0) perBit = (s.reward - trainers) / bits;
    }
}
