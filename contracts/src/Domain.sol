// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Domain: the EIP-712 domain of all statements
/// @dev Computed anew each time, so that a chain that forks off under another id has a domain of its own.
abstract contract Domain {
    bytes32 private constant TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    address private immutable _verifyingContract;

    /// @param roundManager the contract that statements are addressed to
    constructor(address roundManager) {
        _verifyingContract = roundManager;
    }

    function _separator() internal view returns (bytes32) {
        return keccak256(abi.encode(TYPE, keccak256("flocknode"), keccak256("1"), block.chainid, _verifyingContract));
    }

    function _typedDigest(bytes32 structHash) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", _separator(), structHash));
    }
}
