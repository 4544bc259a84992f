// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Trees: what a root says about its leaves
/// @dev Leaf sha256(0x00 ++ bytes), node sha256(0x01 ++ left ++ right), an odd node is promoted,
/// root sha256(0x02 ++ uint64 byteLength ++ uint8 kind ++ tree). An opening is a leaf and, bottom up, the siblings of its way
/// to the top, one after another: the position says how long both are.
library Trees {
    uint256 internal constant LEAF_BYTES = 1024;
    uint8 internal constant MASKED_VECTOR = 1;
    uint8 internal constant MASK_SUM = 2;
    uint8 internal constant AGGREGATE = 3;
    uint8 internal constant MODEL = 4;
    uint8 internal constant INCLUSION = 5;
    uint8 internal constant ROSTER = 6;

    error TreesLength(uint256 length, uint256 expected);
    error TreesPosition(uint256 position, uint256 count);
    error TreesWrongRoot(bytes32 found, bytes32 expected);

    /// @dev Return the root that the opening of `position` among `byteLength` bytes leads to.
    function rootOf(uint8 kind, uint256 byteLength, uint256 leafBytes, uint256 position, bytes calldata opening)
        internal
        view
        returns (bytes32)
    {
        // A root binds 64 bits of length: a longer one would pass for another.
        if (byteLength > type(uint64).max) revert TreesLength(byteLength, type(uint64).max);
        uint256 count = leavesOf(byteLength, leafBytes);
        if (position >= count) revert TreesPosition(position, count);
        uint256 length = leafBytes;
        unchecked {
            // All leaves before the last one are whole.
            if (position + 1 == count) length = byteLength - position * leafBytes;
        }
        bytes32 node = climb(leaf(opening[:length]), position, count, opening[length:]);
        return seal(kind, byteLength, node);
    }

    /// @dev Refuse an opening that does not lead to `root`.
    function check(
        bytes32 root,
        uint8 kind,
        uint256 byteLength,
        uint256 leafBytes,
        uint256 position,
        bytes calldata opening
    ) internal view {
        bytes32 found = rootOf(kind, byteLength, leafBytes, position, opening);
        if (found != root) revert TreesWrongRoot(found, root);
    }

    /// @dev Climb from the node at `index` of a level of `width` nodes to the top; refuse a path that is not of just the siblings.
    function climb(bytes32 node, uint256 index, uint256 width, bytes calldata path) internal view returns (bytes32) {
        uint256 used;
        // What is read beyond a path that is too short leads nowhere: the length is compared at the end.
        assembly ("memory-safe") {
            let at := mload(0x40)
            let next := path.offset
            mstore8(at, 1)
            for {} gt(width, 1) { width := shr(1, add(width, 1)) } {
                if lt(xor(index, 1), width) {
                    let odd := shl(5, and(index, 1))
                    mstore(add(add(at, 1), odd), node)
                    mstore(sub(add(at, 33), odd), calldataload(next))
                    next := add(next, 32)
                    if iszero(staticcall(gas(), 2, at, 65, 0, 32)) { revert(0, 0) }
                    node := mload(0)
                }
                index := shr(1, index)
            }
            used := sub(next, path.offset)
        }
        if (used != path.length) revert TreesLength(path.length, used);
        return node;
    }

    /// @dev Number of siblings between the node at `index` of a level of `width` nodes and the top.
    function pathLength(uint256 index, uint256 width) internal pure returns (uint256 length) {
        unchecked {
            for (; width > 1; width = (width + 1) >> 1) {
                if (index ^ 1 < width) ++length;
                index >>= 1;
            }
        }
    }

    function leavesOf(uint256 byteLength, uint256 leafBytes) internal pure returns (uint256) {
        unchecked {
            // Both are below 2^65.
            return (byteLength + leafBytes - 1) / leafBytes;
        }
    }

    /// @dev Return the node over neighbouring nodes, which are overwritten.
    function fold(bytes32[] memory nodes) internal view returns (bytes32) {
        unchecked {
            for (uint256 width = nodes.length; width > 1; width = (width + 1) >> 1) {
                for (uint256 i = 0; i + 1 < width; i += 2) {
                    nodes[i >> 1] = join(nodes[i], nodes[i + 1]);
                }
                if (width & 1 == 1) nodes[width >> 1] = nodes[width - 1];
            }
            return nodes[0];
        }
    }

    function leaf(bytes calldata data) internal view returns (bytes32 node) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore8(at, 0)
            calldatacopy(add(at, 1), data.offset, data.length)
            // The precompile at 2 is SHA-256; it fails only without gas.
            if iszero(staticcall(gas(), 2, at, add(data.length, 1), 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }

    function join(bytes32 left, bytes32 right) internal view returns (bytes32 node) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore8(at, 1)
            mstore(add(at, 1), left)
            mstore(add(at, 33), right)
            if iszero(staticcall(gas(), 2, at, 65, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }

    function seal(uint8 kind, uint256 byteLength, bytes32 node) internal pure returns (bytes32) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return sha256(abi.encodePacked(bytes1(0x02), uint64(byteLength), kind, node));
    }
}
