// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ChaCha20} from "../src/libraries/ChaCha20.sol";
import {Trees} from "../src/libraries/Trees.sol";

/// @notice The libraries' functions behind calls, for arguments that must be calldata.
contract Hashing {
    function rootOf(uint8 kind, uint256 byteLength, uint256 leafBytes, uint256 position, bytes calldata opening)
        external
        view
        returns (bytes32)
    {
        return Trees.rootOf(kind, byteLength, leafBytes, position, opening);
    }

    function half(bytes32 key, uint256 counter, bool upper) external pure returns (uint256) {
        return ChaCha20.half(key, counter, upper);
    }

    function sum(bytes32[] calldata seeds, uint256 counter, bool upper, uint256 width) external pure returns (bytes32) {
        return ChaCha20.sum(seeds, counter, upper, width);
    }
}
