"""Where somebody else's tree differs from the own one: from its bytes, or from what the chain got.

Who withholds bytes from its peers must still answer the chain, node by node, down to the leaf.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flocknode.crypto.merkle import LEAF_BYTES, path_among, tree_level, tree_opening
from flocknode.primitives import ZERO_DIGEST, Digest
from flocknode.protocol.evidence import Answer, levels_of

CHILD_LEVELS = 8
"""How far below a node an answer reaches: 256 children."""
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf of the other tree, and the first byte of the vector in which it differs."""

    at: int
    number: int
    data: bytes
    opening: bytes

    def read(self, start: int, length: int) -> bytes:
        """Return bytes of the vector that lie in this leaf."""
        offset = start - self.number * LEAF_BYTES
        return self.data[offset : offset + length]


@dataclass(frozen=True, slots=True)
class Branch:
    """A node under which the trees differ and nothing more is known."""

    level: int
    index: int
    node: Digest
    path: tuple[Digest, ...]


def find_difference(
    own: bytes, other: bytes | None, answers: Sequence[Answer]
) -> Leaf | Branch | None:
    """Return the first leaf that differs, or what to ask for next; None where nothing differs."""
    if other is not None:
        return _compare(own, other)
    known = {(answer.level, answer.index): answer.data for answer in answers}
    level, index = levels_of(len(own), LEAF_BYTES), 0
    node, path = ZERO_DIGEST, tuple[Digest, ...]()
    while (level, index) in known:
        data = known[level, index]
        if level == 0:
            start = index * LEAF_BYTES
            at = _first_difference(own[start : start + LEAF_BYTES], data)
            return None if at is None else Leaf(start + at, index, data, data + b"".join(path))
        below = min(level, CHILD_LEVELS)
        theirs = [Digest(data[i : i + 32]) for i in range(0, len(data), _DIGEST_BYTES)]
        ours = tree_level(own, level - below)[index << below :]
        differing = (i for i, child in enumerate(theirs) if child != ours[i])
        place = next(differing, None)
        if place is None:
            return None
        node, path = theirs[place], (*path_among(theirs, place), *path)
        level, index = level - below, (index << below) + place
    return Branch(level, index, node, path)


def _compare(own: bytes, other: bytes) -> Leaf | None:
    at = _first_difference(own, other)
    if at is None:
        return None
    number = at // LEAF_BYTES
    data = other[number * LEAF_BYTES : (number + 1) * LEAF_BYTES]
    return Leaf(at, number, data, tree_opening(other, number))


def _first_difference(one: bytes, other: bytes) -> int | None:
    """Return the first byte in which two vectors of one length differ."""
    if len(one) != len(other):
        return None
    differ = np.frombuffer(one, np.uint8) != np.frombuffer(other, np.uint8)
    return int(differ.argmax()) if differ.any() else None
