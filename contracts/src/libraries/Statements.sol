// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Statements: the EIP-712 structs that seats sign and the contracts check
/// @dev Word for word the structs of flocknode/messages/statements.py. All members are static words.
library Statements {
    bytes32 internal constant CONTEXT_TYPE = keccak256(
        "Context(uint256 task,uint256 round,uint256 attempt,bytes32 modelRoot,bytes32 seed,bytes32 committeeHash,bytes32 rosterRoot)"
    );
    bytes32 internal constant INCLUDE_TYPE = keccak256(
        "Include(bytes32 ctx,uint256 view,bytes32 inclusionRoot,uint256 trainers,uint256 weight,bytes32 commitment)"
    );
    bytes32 internal constant SEAT_KEY_TYPE = keccak256("SeatKey(bytes32 ctx,uint256 seat,bytes32 keyHash)");
    bytes32 internal constant MASK_ROOT_TYPE =
        keccak256("MaskRoot(bytes32 ctx,uint256 column,bytes32 inclusionRoot,bytes32 root,uint256 words)");
    bytes32 internal constant HEADER_TYPE = keccak256(
        "Header(bytes32 ctx,uint256 index,address trainer,bytes32 root,uint256 words,uint256 width,bytes32 seedsHash,bytes32 capsulesHash)"
    );
    bytes32 internal constant PROPOSE_TYPE = keccak256(
        "Propose(bytes32 ctx,uint256 view,bytes32 inclusionRoot,bytes32 maskRootsHash,bytes32 aggregateRoot,bytes32 modelRoot)"
    );

    /// @dev What one attempt is.
    struct Context {
        uint256 task;
        uint256 round;
        uint256 attempt;
        bytes32 modelRoot;
        bytes32 seed;
        bytes32 committeeHash;
        bytes32 rosterRoot;
    }

    /// @dev A seat's consent to one inclusion set; `view_` is the member `view`, which Solidity reserves.
    struct Include {
        bytes32 ctx;
        uint256 view_;
        bytes32 inclusionRoot;
        uint256 trainers;
        uint256 weight;
        bytes32 commitment;
    }

    /// @dev A seat's consent to an aggregate and a model.
    struct Propose {
        bytes32 ctx;
        uint256 view_;
        bytes32 inclusionRoot;
        bytes32 maskRootsHash;
        bytes32 aggregateRoot;
        bytes32 modelRoot;
    }

    /// @dev A seat opens its commitment: the root of its column's mask sum over the accepted set.
    struct MaskRoot {
        bytes32 ctx;
        uint256 column;
        bytes32 inclusionRoot;
        bytes32 root;
        uint256 words;
    }

    function hash(MaskRoot memory s) internal pure returns (bytes32) {
        return keccak256(abi.encode(MASK_ROOT_TYPE, s));
    }

    function hash(Context memory s) internal pure returns (bytes32) {
        return keccak256(abi.encode(CONTEXT_TYPE, s));
    }

    function hash(Include memory s) internal pure returns (bytes32) {
        return keccak256(abi.encode(INCLUDE_TYPE, s));
    }

    function hash(Propose memory s) internal pure returns (bytes32) {
        return keccak256(abi.encode(PROPOSE_TYPE, s));
    }
}
