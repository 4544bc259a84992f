"""EIP-712 typed data for structs whose members are all static 32-byte words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from eth_hash.auto import keccak

from flocknode.crypto.errors import EncodingError
from flocknode.primitives import Address, Digest

NAME: Final = "flocknode"
VERSION: Final = "1"
_DOMAIN_TYPE: Final = (
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a statement counts: one chain and one RoundManager."""

    chain_id: int
    verifying_contract: Address

    @property
    def separator(self) -> Digest:
        return _separator(self)


@lru_cache(maxsize=64)
def type_hash(type_string: str) -> Digest:
    """Return Keccak-256 of an encoded type such as ``"SeatKey(bytes32 ctx,uint256 seat)"``."""
    return Digest(keccak(type_string.encode("ascii")))


def typed_digest(domain: Domain, type_hash: Digest, words: Sequence[int | bytes]) -> Digest:
    """Return the digest that a key signs for a struct with these members.

    Each member is an int (uint256), a 20-byte address or 32 bytes; anything else raises
    ``EncodingError``.
    """
    struct_hash = keccak(type_hash + encode_words(words))
    return Digest(keccak(b"\x19\x01" + domain.separator + struct_hash))


def encode_word(word: int | bytes) -> bytes:
    """Encode a member as the 32 bytes that Solidity's ``abi.encode`` gives it."""
    if isinstance(word, int):
        if not 0 <= word < 1 << 256:
            raise EncodingError("an integer outside uint256")
        return word.to_bytes(32, "big")
    if len(word) == 20:
        return bytes(12) + word
    if len(word) == 32:
        return word
    raise EncodingError(f"{len(word)} bytes are neither an address nor bytes32")


def encode_words(words: Iterable[int | bytes]) -> bytes:
    """Encode members one after the other."""
    return b"".join(encode_word(word) for word in words)


@lru_cache(maxsize=16)
def _separator(domain: Domain) -> Digest:
    members = (
        type_hash(_DOMAIN_TYPE),
        keccak(NAME.encode("ascii")),
        keccak(VERSION.encode("ascii")),
        domain.chain_id,
        domain.verifying_contract,
    )
    return Digest(keccak(encode_words(members)))
