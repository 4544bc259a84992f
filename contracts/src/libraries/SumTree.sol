// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title SumTree: weights by index, with their total and the index at a point of the total
/// @dev A 4-ary tree; each word packs the sums of four children, 64 bits each. Level 0 holds the weights, so that the tree
/// grows at the root with one write. The caller keeps the total below 2^64.
library SumTree {
    struct Tree {
        uint256 height;
        mapping(uint256 node => uint256) words;
    }

    uint256 private constant MASK = type(uint64).max;

    /// @dev Set the weight at `index`; O(log4(index)) writes.
    function set(Tree storage tree, uint256 index, uint256 weight) internal {
        uint256 top = _grow(tree, index);
        uint256 old = _child(tree.words[_node(0, index >> 2)], index & 3);
        if (weight == old) return;
        for (uint256 level = 0; level <= top; ++level) {
            uint256 shift = (index & 3) << 6;
            index >>= 2;
            uint256 node = _node(level, index);
            uint256 word = tree.words[node];
            uint256 sum = ((word >> shift) & MASK) + weight - old;
            tree.words[node] = (word & ~(MASK << shift)) | (sum << shift);
        }
    }

    function weightAt(Tree storage tree, uint256 index) internal view returns (uint256) {
        return _child(tree.words[_node(0, index >> 2)], index & 3);
    }

    function total(Tree storage tree) internal view returns (uint256) {
        return _sum(tree.words[_node(tree.height, 0)]);
    }

    /// @dev Return the index whose interval, in index order, holds `point`; needs `point < total`.
    function find(Tree storage tree, uint256 height, uint256 point) internal view returns (uint256 index) {
        unchecked {
            // `point` is below the sum of the node at each level, so the inner loop ends at a child j <= 3.
            for (uint256 level = height + 1; level > 0; --level) {
                uint256 word = tree.words[_node(level - 1, index)];
                index <<= 2;
                while (point >= word & MASK) {
                    point -= word & MASK;
                    word >>= 64;
                    ++index;
                }
            }
        }
    }

    function _grow(Tree storage tree, uint256 index) private returns (uint256 height) {
        height = tree.height;
        uint256 before = height;
        while (index >> (2 * (height + 1)) != 0) {
            uint256 sum = _sum(tree.words[_node(height, 0)]);
            ++height;
            tree.words[_node(height, 0)] = sum;
        }
        if (height != before) tree.height = height;
    }

    function _child(uint256 word, uint256 child) private pure returns (uint256) {
        return (word >> (child << 6)) & MASK;
    }

    function _sum(uint256 word) private pure returns (uint256) {
        return (word & MASK) + ((word >> 64) & MASK) + ((word >> 128) & MASK) + (word >> 192);
    }

    function _node(uint256 level, uint256 index) private pure returns (uint256) {
        return (level << 64) | index;
    }
}
