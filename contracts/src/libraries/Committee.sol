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
        for (uint256 place = 0; place < places; ++place) column |= 1 << (place * columns);
        for (uint256 c = 0; c < columns; ++c) {
            if (2 * count(bitmap & (column << c)) <= places) return false;
        }
        return true;
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

    /// @dev Count the set bits.
    function count(uint256 bitmap) internal pure returns (uint256 bits) {
        for (; bitmap != 0; bitmap &= bitmap - 1) ++bits;
    }
}
