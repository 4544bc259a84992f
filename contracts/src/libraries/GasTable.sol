// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title GasTable: what a relayer is refunded for, in gas
/// @dev Fixed numbers at or below what the calls cost, so that no call pays for itself.
library GasTable {
    uint256 internal constant OPEN = 150_000;
    uint256 internal constant DRAW = 90_000;
    uint256 internal constant DRAW_SEAT = 10_000;
    uint256 internal constant INCLUDE = 100_000;
    uint256 internal constant INCLUDE_SEAT = 8_000;
    uint256 internal constant ROLL_CALL = 60_000;
    uint256 internal constant PROPOSE = 100_000;
    uint256 internal constant PROPOSE_SEAT = 7_000;
    uint256 internal constant SETTLE = 100_000;
    uint256 internal constant SETTLE_SEAT = 10_000;
    uint256 internal constant POKE = 60_000;
    uint256 internal constant REVEAL = 38_000;
}
