// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Committee: at most 32 validator ids in two words, and the arithmetic of seats
/// @dev Seat p sits in column p mod k at place p div k. Ids are 16 bits, seat 0 in the lowest bits of the first word.
library Committee {
    uint256 internal constant SEATS_MAX = 32;

    function pack(uint256[] memory ids) internal pure returns (uint256 low, uint256 high) {
        for (uint256 seat = 0; seat < ids.length; ++seat) {
            if (seat < 16) low |= ids[seat] << (seat << 4);
            else high |= ids[seat] << ((seat - 16) << 4);
        }
    }

    function at(uint256[2] storage words, uint256 seat) internal view returns (uint256) {
        return (words[seat >> 4] >> ((seat & 15) << 4)) & 0xffff;
    }

    /// @dev Return the ids of the seats whose bits are set, in seat order.
    function select(uint256[2] storage words, uint256 seats) internal view returns (uint256[] memory ids) {
        ids = new uint256[](count(seats));
        uint256 word = words[0];
        uint256 next = 0;
        for (uint256 seat = 0; next < ids.length; ++seat) {
            if (seat == 16) word = words[1];
            if ((seats >> seat) & 1 == 1) ids[next++] = word & 0xffff;
            word >>= 16;
        }
    }

    /// @dev Return the bitmap of all `seats` seats.
    function all(uint256 seats) internal pure returns (uint256) {
        return (1 << seats) - 1;
    }

    /// @dev Tell whether the bitmap holds a majority of each of `columns` columns of `places` seats.
    function isMajority(uint256 bitmap, uint256 columns, uint256 places) internal pure returns (bool) {
        uint256 column = 0;
        for (uint256 place = 0; place < places; ++place) {
            column |= 1 << (place * columns);
        }
        for (uint256 c = 0; c < columns; ++c) {
            if (2 * count(bitmap & (column << c)) <= places) return false;
        }
        return true;
    }

    /// @dev Part `ids` by the bits of `chosen`, keeping their order.
    function split(uint256[] memory ids, uint256 chosen)
        internal
        pure
        returns (uint256[] memory rest, uint256[] memory taken)
    {
        taken = new uint256[](count(chosen));
        rest = new uint256[](ids.length - taken.length);
        uint256 inTaken = 0;
        for (uint256 seat = 0; seat < ids.length; ++seat) {
            if ((chosen >> seat) & 1 == 1) taken[inTaken++] = ids[seat];
            else rest[seat - inTaken] = ids[seat];
        }
    }

    /// @dev Return `first`, `second` and of `last` as many as make up for those that are missing in `second`.
    function join(uint256[] memory first, uint256[] memory second, uint256[] memory last)
        internal
        pure
        returns (uint256[] memory ids)
    {
        ids = new uint256[](first.length + last.length);
        uint256 next = 0;
        for (uint256 i = 0; i < first.length; ++i) {
            ids[next++] = first[i];
        }
        for (uint256 i = 0; i < second.length; ++i) {
            ids[next++] = second[i];
        }
        for (uint256 i = 0; next < ids.length; ++i) {
            ids[next++] = last[i];
        }
    }

    /// @dev Permute in place (Fisher-Yates) with the words keccak256(abi.encode(seed, i)).
    function shuffle(uint256[] memory ids, bytes32 seed) internal pure {
        for (uint256 i = ids.length - 1; i > 0; --i) {
            uint256 j = uint256(keccak256(abi.encode(seed, i))) % (i + 1);
            (ids[i], ids[j]) = (ids[j], ids[i]);
        }
    }

    /// @dev Keccak-256 over the seats' (uint256 validator, uint256 signer) words in seat order.
    function hash(uint256[] memory ids, address[] memory signers) internal pure returns (bytes32) {
        uint256[] memory words = new uint256[](2 * ids.length);
        for (uint256 seat = 0; seat < ids.length; ++seat) {
            words[2 * seat] = ids[seat];
            words[2 * seat + 1] = uint160(signers[seat]);
        }
        return keccak256(abi.encodePacked(words));
    }

    /// @dev Count the set bits, in lanes of 2, 4, 8 and 16 bits; the product adds the lanes of 16 bits in the highest.
    function count(uint256 bitmap) internal pure returns (uint256) {
        unchecked {
            // No lane overflows: a lane of w bits holds at most w.
            bitmap -= (bitmap >> 1) & (type(uint256).max / 3);
            bitmap = (bitmap & (type(uint256).max / 5)) + ((bitmap >> 2) & (type(uint256).max / 5));
            bitmap = (bitmap + (bitmap >> 4)) & (type(uint256).max / 17);
            bitmap = (bitmap + (bitmap >> 8)) & (type(uint256).max / 257);
            return (bitmap * (type(uint256).max / 65_535)) >> 240;
        }
    }
}
