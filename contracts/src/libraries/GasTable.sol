// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title GasTable: what a relayer is refunded for, in gas
/// @dev Fixed numbers at or below what the calls cost, so that no call pays for itself.
library GasTable {
    uint256 internal constant OPEN = 150_000;
    uint256 internal constant DRAW = 70_000;
    uint256 internal constant DRAW_SEAT = 9_000;
    uint256 internal constant INCLUDE = 100_000;
    uint256 internal constant INCLUDE_SEAT = 8_000;
    uint256 internal constant ROLL_CALL = 60_000;
    uint256 internal constant PROPOSE = 80_000;
    uint256 internal constant PROPOSE_SEAT = 7_000;
    uint256 internal constant SETTLE = 60_000;
    uint256 internal constant ASK = 70_000; // the beacon, ahead of the next epoch
    uint256 internal constant SEAT = 6_000; // a seat of the round that a settlement opens
    uint256 internal constant POKE = 60_000;
    uint256 internal constant REVEAL = 37_000;
}
