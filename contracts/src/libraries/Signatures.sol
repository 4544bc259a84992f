// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title Signatures: 65-byte secp256k1 signatures r, s, v, one after another
library Signatures {
    uint256 internal constant LENGTH = 65;

    error SignaturesLength(uint256 length, uint256 expected);
    error SignaturesWrongSigner(uint256 index);

    function checkLength(bytes calldata signatures, uint256 count) internal pure {
        if (signatures.length != LENGTH * count) revert SignaturesLength(signatures.length, LENGTH * count);
    }

    /// @dev Refuse unless signature `index` over `digest` is `signer`'s; v is 27 or 28 and s low (OpenZeppelin's rule).
    function check(bytes calldata signatures, uint256 index, bytes32 digest, address signer) internal pure {
        bytes calldata signature = signatures[index * LENGTH:(index + 1) * LENGTH];
        (address recovered, ECDSA.RecoverError error,) =
            ECDSA.tryRecover(digest, uint8(signature[64]), bytes32(signature[0:32]), bytes32(signature[32:64]));
        if (error != ECDSA.RecoverError.NoError || recovered != signer) revert SignaturesWrongSigner(index);
    }
}
