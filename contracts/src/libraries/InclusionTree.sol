// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title InclusionTree: the root over the records of an inclusion set
/// @dev Leaf sha256(0x00 ++ record), node sha256(0x01 ++ left ++ right), an odd node is promoted,
/// root sha256(0x02 ++ uint64 byteLength ++ uint8 kind ++ tree).
library InclusionTree {
    uint256 internal constant RECORD_LENGTH = 321;
    uint8 private constant KIND_INCLUSION = 5;

    error InclusionTreeRecordLength(uint256 length);
    error InclusionTreePosition(uint256 position, uint256 count);
    error InclusionTreePathLength(uint256 length);

    /// @dev Return the root that `record` at `position` of `count` leaves and its `path` lead to.
    function rootOf(bytes calldata record, uint256 position, uint256 count, bytes32[] calldata path)
        internal
        pure
        returns (bytes32)
    {
        if (record.length != RECORD_LENGTH) revert InclusionTreeRecordLength(record.length);
        if (position >= count) revert InclusionTreePosition(position, count);
        bytes32 node = sha256(abi.encodePacked(bytes1(0x00), record));
        uint256 used = 0;
        for (uint256 width = count; width > 1; width = (width + 1) >> 1) {
            if (position ^ 1 < width) {
                if (used == path.length) revert InclusionTreePathLength(path.length);
                bytes32 sibling = path[used++];
                node = position & 1 == 0 ? _node(node, sibling) : _node(sibling, node);
            }
            position >>= 1;
        }
        if (used != path.length) revert InclusionTreePathLength(path.length);
        // forge-lint: disable-next-line(unsafe-typecast)
        return sha256(abi.encodePacked(bytes1(0x02), uint64(RECORD_LENGTH * count), KIND_INCLUSION, node));
    }

    function _node(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(bytes1(0x01), left, right));
    }
}
