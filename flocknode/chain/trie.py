"""The root by which a block header names its receipts: a Merkle-Patricia trie over their places.

Yellow Paper, appendix D. Keys are the places' RLP, of which none begins another.
"""

from collections.abc import Sequence
from typing import Final, Union

import rlp

from flocknode.crypto.hashing import keccak256
from flocknode.primitives import Digest

EMPTY_ROOT: Final = keccak256(rlp.encode(b""))
_LEAF: Final = 2
_EXTENSION: Final = 0

Nibbles = tuple[int, ...]
Item = Union[bytes, "list[Item]"]
"""What RLP encodes."""


def ordered_root(values: Sequence[bytes]) -> Digest:
    """Return the root of the trie that holds ``values`` by place."""
    if not values:
        return EMPTY_ROOT
    items = [(_nibbles(rlp.encode(place)), value) for place, value in enumerate(values)]
    return keccak256(rlp.encode(_node(items, 0)))


def _node(items: Sequence[tuple[Nibbles, bytes]], depth: int) -> list[Item]:
    """Return the node of all ``items``, whose keys agree up to ``depth``."""
    first = items[0][0]
    if len(items) == 1:
        return [_path(first[depth:], _LEAF), items[0][1]]
    shared = depth
    while all(key[shared] == first[shared] for key, _ in items):
        shared += 1
    if shared > depth:
        return [_path(first[depth:shared], _EXTENSION), _reference(_node(items, shared))]
    children = [[item for item in items if item[0][depth] == nibble] for nibble in range(16)]
    return [*(_reference(_node(child, depth + 1)) if child else b"" for child in children), b""]


def _reference(node: list[Item]) -> Item:
    """Return a short node itself and a longer one's hash."""
    encoded = rlp.encode(node)
    return node if len(encoded) < 32 else keccak256(encoded)


def _path(nibbles: Nibbles, flag: int) -> bytes:
    odd = len(nibbles) & 1
    padded = (flag + odd, *nibbles) if odd else (flag, 0, *nibbles)
    pairs = zip(padded[::2], padded[1::2], strict=True)
    return bytes(high << 4 | low for high, low in pairs)


def _nibbles(key: bytes) -> Nibbles:
    return tuple(nibble for byte in key for nibble in (byte >> 4, byte & 15))
