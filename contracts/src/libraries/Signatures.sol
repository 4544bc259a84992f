// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Signatures: 65-byte secp256k1 signatures r, s, v, one after another
library Signatures {
    uint256 internal constant LENGTH = 65;
    /// @dev Half the order of the group: of s and its negative only the lower is valid (EIP-2).
    uint256 private constant S_MAX = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    error SignaturesLength(uint256 length, uint256 expected);
    error SignaturesWrongSigner(uint256 index);

    function checkLength(bytes calldata signatures, uint256 count) internal pure {
        if (signatures.length != LENGTH * count) revert SignaturesLength(signatures.length, LENGTH * count);
    }

    /// @dev Refuse unless signature `index` over `digest` is `signer`'s.
    function check(bytes calldata signatures, uint256 index, bytes32 digest, address signer) internal pure {
        address recovered = recover(signatures[index * LENGTH:(index + 1) * LENGTH], digest);
        if (recovered == address(0) || recovered != signer) revert SignaturesWrongSigner(index);
    }

    /// @dev Return the signer, or the zero address; v is 27 or 28 (others recover nobody) and s low.
    function recover(bytes calldata signature, bytes32 digest) internal pure returns (address) {
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > S_MAX) return address(0);
        return ecrecover(digest, uint8(signature[64]), bytes32(signature[0:32]), s);
    }
}
