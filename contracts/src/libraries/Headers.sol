// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Headers: leaves of the inclusion tree from what differs between the headers of one set
/// @dev A record is abi.encode(ctx, index, trainer, root, words, width, seedsHash, capsulesHash) ++ signature. A header whose
/// ctx, words or width differ from the attempt's gives another leaf, and so another root: that set is disproved as bad inclusion.
library Headers {
    uint256 internal constant RECORD_BYTES = 321;
    bytes32 private constant SEED_TAG = "flock/seed/v1";

    /// @dev Memory for one leaf: the prefix 0x00 at `at`, the record after it.
    struct Writer {
        uint256 at;
    }

    function writer(bytes32 ctx, uint256 words, uint256 width) internal pure returns (Writer memory w) {
        bytes memory space = new bytes(352);
        assembly ("memory-safe") {
            let at := add(space, 32)
            mstore(w, at)
            mstore(add(at, 1), ctx)
            mstore(add(at, 129), words)
            mstore(add(at, 161), width)
        }
    }

    /// @dev Return the seed and the leaf of what an opening of `column` says of one trainer, at `offset` of the calldata: address
    /// 20, root 32, capsulesHash 32, signature 65, seed 32, then `others` bytes of the other columns' commitments.
    function open(Writer memory w, uint256 index, uint256 column, uint256 offset, uint256 others)
        internal
        view
        returns (bytes32 seed, bytes32 node)
    {
        bytes32 tag = SEED_TAG;
        assembly ("memory-safe") {
            seed := calldataload(add(offset, 149))
            let at := mload(w)
            let free := mload(0x40)
            // H(s), as `commitment` has it.
            mstore(free, tag)
            mstore(add(free, 32), mload(add(at, 1)))
            mstore(add(free, 64), shr(96, calldataload(offset)))
            mstore(add(free, 96), column)
            mstore(add(free, 128), seed)
            let before := shl(5, column)
            if iszero(staticcall(gas(), 2, free, 160, add(free, before), 32)) { revert(0, 0) }
            // seedsHash, as below.
            calldatacopy(free, add(offset, 181), before)
            calldatacopy(add(free, add(before, 32)), add(offset, add(181, before)), sub(others, before))
            if iszero(staticcall(gas(), 2, free, add(others, 32), add(at, 193), 32)) { revert(0, 0) }
            mstore(add(at, 33), index)
            calldatacopy(add(at, 77), offset, 52)
            calldatacopy(add(at, 225), add(offset, 52), 97)
            if iszero(staticcall(gas(), 2, at, 322, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }

    /// @dev Return the leaf of a header.
    /// @param trainer 20 bytes of address, then 32 of root
    /// @param seeds the member seedsHash
    /// @param rest 32 bytes of capsulesHash, then 65 of signature
    function leaf(Writer memory w, uint256 index, bytes calldata trainer, bytes32 seeds, bytes calldata rest)
        internal
        view
        returns (bytes32 node)
    {
        assembly ("memory-safe") {
            let at := mload(w)
            mstore(add(at, 33), index)
            calldatacopy(add(at, 77), trainer.offset, 52)
            mstore(add(at, 193), seeds)
            calldatacopy(add(at, 225), rest.offset, 97)
            if iszero(staticcall(gas(), 2, at, 322, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }

    /// @dev Return H(s): what a header commits to for one column.
    function commitment(bytes32 ctx, uint256 trainer, uint256 column, bytes32 seed)
        internal
        view
        returns (bytes32 node)
    {
        bytes32 tag = SEED_TAG;
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, tag)
            mstore(add(at, 32), ctx)
            mstore(add(at, 64), trainer)
            mstore(add(at, 96), column)
            mstore(add(at, 128), seed)
            if iszero(staticcall(gas(), 2, at, 160, 0, 32)) { revert(0, 0) }
            node := mload(0)
        }
    }

    /// @dev Return SHA-256 of the commitments of all columns: those of the others in order, `own` in its place.
    function seedsHash(bytes calldata others, uint256 column, bytes32 own) internal view returns (bytes32 hash) {
        uint256 before = 32 * column;
        assembly ("memory-safe") {
            let at := mload(0x40)
            calldatacopy(at, others.offset, before)
            mstore(add(at, before), own)
            calldatacopy(add(at, add(before, 32)), add(others.offset, before), sub(others.length, before))
            if iszero(staticcall(gas(), 2, at, add(others.length, 32), 0, 32)) { revert(0, 0) }
            hash := mload(0)
        }
    }
}
