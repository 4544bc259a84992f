// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title ChaCha20: halves of keystream blocks (RFC 8439, zero nonce) and their sums in a ring
/// @dev A row of the state is one word: four lanes of 64 bits, the first highest, each with a 32-bit value in its lower
/// half. So one EVM operation works on four columns, and a carry or a shifted bit leaves its value only into the upper half.
library ChaCha20 {
    /// @dev Sum the same half block of the keystreams of `seeds`, modulo 2^width in each ring word.
    /// @param counter number of the block, below 2^32
    /// @param upper whether the block's second half is meant
    /// @return The 32 bytes as they stand in a mask sum: little-endian words.
    function sum(bytes32[] memory seeds, uint256 counter, bool upper, uint256 width) internal pure returns (bytes32) {
        unchecked {
            // Every other ring word has its neighbour's place to overflow into: 256 seeds need eight bits of it.
            uint256 mask = _everyOther(width);
            uint256 even = 0;
            uint256 odd = 0;
            for (uint256 i = 0; i < seeds.length; ++i) {
                uint256 words = half(seeds[i], counter, upper);
                even += words & mask;
                odd += (words >> width) & mask;
            }
            return bytes32(_swap((even & mask) | ((odd & mask) << width)));
        }
    }

    /// @dev Return eight 32-bit words of a block as numbers, the first highest.
    function half(bytes32 key, uint256 counter, bool upper) internal pure returns (uint256 words) {
        uint256 swapped = _swap(uint256(key));
        assembly ("memory-safe") {
            function spread(x) -> y {
                y := or(shl(64, and(x, 0xffffffff0000000000000000)), and(x, 0xffffffff))
                y := or(y, or(shl(96, and(x, 0xffffffff000000000000000000000000)), shl(32, and(x, 0xffffffff00000000))))
            }
            function gather(x) -> y {
                y := or(shr(96, and(x, shl(192, 0xffffffff))), shr(64, and(x, shl(128, 0xffffffff))))
                y := or(y, or(shr(32, and(x, shl(64, 0xffffffff))), and(x, 0xffffffff)))
            }
            let low := 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff
            let twice := 0x100000001 // a value beside itself: shifted, it is rotated
            let a := 0x0000000061707865000000003320646e0000000079622d32000000006b206574
            let b := spread(shr(128, swapped))
            let c := spread(and(swapped, 0xffffffffffffffffffffffffffffffff))
            let d := shl(192, and(counter, 0xffffffff))
            let b0 := b
            let c0 := c
            for { let i := 0 } lt(i, 10) { i := add(i, 1) } {
                // A column round.
                a := and(add(a, b), low)
                d := and(shr(16, mul(xor(d, a), twice)), low)
                c := and(add(c, d), low)
                b := and(shr(20, mul(xor(b, c), twice)), low)
                a := and(add(a, b), low)
                d := and(shr(24, mul(xor(d, a), twice)), low)
                c := and(add(c, d), low)
                b := and(shr(25, mul(xor(b, c), twice)), low)
                // Turn the rows, so that diagonals stand in columns: a diagonal round.
                b := or(shl(64, b), shr(192, b))
                c := or(shl(128, c), shr(128, c))
                d := or(shl(192, d), shr(64, d))
                a := and(add(a, b), low)
                d := and(shr(16, mul(xor(d, a), twice)), low)
                c := and(add(c, d), low)
                b := and(shr(20, mul(xor(b, c), twice)), low)
                a := and(add(a, b), low)
                d := and(shr(24, mul(xor(d, a), twice)), low)
                c := and(add(c, d), low)
                b := and(shr(25, mul(xor(b, c), twice)), low)
                b := or(shl(192, b), shr(64, b))
                c := or(shl(128, c), shr(128, c))
                d := or(shl(64, d), shr(192, d))
            }
            switch upper
            case 0 {
                a := and(add(a, 0x0000000061707865000000003320646e0000000079622d32000000006b206574), low)
                b := and(add(b, b0), low)
                words := or(shl(128, gather(a)), gather(b))
            }
            default {
                c := and(add(c, c0), low)
                d := and(add(d, shl(192, and(counter, 0xffffffff))), low)
                words := or(shl(128, gather(c)), gather(d))
            }
        }
    }

    function _everyOther(uint256 width) private pure returns (uint256) {
        if (width == 8) return 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
        if (width == 16) return 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
        return 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    }

    /// @dev Reverse the bytes of each 32-bit word.
    function _swap(uint256 x) private pure returns (uint256) {
        x = ((x & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff) << 8)
            | ((x >> 8) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff);
        return ((x & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff) << 16)
            | ((x >> 16) & 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff);
    }
}
