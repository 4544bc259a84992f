"""The parts of Solidity's arithmetic and encoding that the contracts' rules rest on."""

from collections.abc import Iterable

from flocknode.crypto.eip712 import encode_word
from flocknode.crypto.hashing import keccak256
from flocknode.errors import FlockError
from flocknode.primitives import Digest


class CallReverted(FlockError):
    """A call that the contracts refuse; ``reason`` is the name of their custom error."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def require(condition: bool, reason: str) -> None:
    """Revert with ``reason`` unless ``condition`` holds."""
    if not condition:
        raise CallReverted(reason)


def keccak_words(*values: int | bytes) -> Digest:
    """Return keccak256(abi.encode(values)) of static values: their words, concatenated."""
    return keccak256(b"".join(encode_word(value) for value in values))


def keccak_labelled(digest: Digest, label: str) -> Digest:
    """Return keccak256(abi.encode(digest, label)): a string is an offset, a length and padding."""
    text = label.encode()
    padded = text.ljust(-(-len(text) // 32) * 32, b"\0")
    return keccak256(digest + encode_word(64) + encode_word(len(text)) + padded)


def bits(bitmap: int) -> list[int]:
    """Return the positions of the set bits, in ascending order."""
    return [i for i in range(bitmap.bit_length()) if bitmap >> i & 1]


def bitmap(positions: Iterable[int]) -> int:
    """Return the bitmap with the bits at ``positions`` set."""
    return sum(1 << position for position in set(positions))
