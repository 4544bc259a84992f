// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IntegerTerms} from "../interfaces/Types.sol";

/// @title Step: how an aggregate moves one word of the model
/// @dev Word for word flocknode/aggregation/step.py. TaskRegistry keeps every intermediate below 2^63.
library Step {
    /// @dev W' = sat32(W + floor((2 num Rc + den D) / (2 den D))), Rc = R limited to +-floor(D tau / weightMax).
    function next(int256 model, int256 sum, uint256 weight, IntegerTerms memory t)
        internal
        pure
        returns (int256 moved)
    {
        int256 limit = int256(weight * t.tau / t.weightMax);
        if (sum > limit) sum = limit;
        if (sum < -limit) sum = -limit;
        int256 half = int256(uint256(t.denominator) * weight);
        moved = model + _floor(sum * int256(2 * uint256(t.numerator)) + half, 2 * half);
        if (moved > type(int32).max) return type(int32).max;
        if (moved < type(int32).min) return type(int32).min;
    }

    /// @dev Read the little-endian word of `width` bits at `index` of a leaf, as a number with a sign.
    function signedAt(bytes calldata leaf, uint256 index, uint256 width) internal pure returns (int256) {
        uint256 word = unsignedAt(leaf, index, width);
        return word >> (width - 1) == 0 ? int256(word) : int256(word) - int256(1 << width);
    }

    /// @dev Read the little-endian word of `width` bits at `index` of a leaf.
    function unsignedAt(bytes calldata leaf, uint256 index, uint256 width) internal pure returns (uint256 word) {
        uint256 bytesEach = width >> 3;
        bytes calldata data = leaf[index * bytesEach:(index + 1) * bytesEach];
        unchecked {
            // `i` counts down to zero.
            for (uint256 i = bytesEach; i > 0; --i) {
                word = word << 8 | uint8(data[i - 1]);
            }
        }
    }

    /// @dev Division towards minus infinity; Solidity's goes towards zero.
    function _floor(int256 numerator, int256 denominator) private pure returns (int256 quotient) {
        quotient = numerator / denominator;
        if (numerator < 0 && numerator % denominator != 0) --quotient;
    }
}
