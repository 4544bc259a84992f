"""What this node knows of the chunks of blobs, so that it hashes none of them twice."""

import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.poly1305 import Poly1305

from flocknode.primitives import Digest

TREES_MAX = 64
_KEY = os.urandom(32)
"""Sums stay in this process: they tell damage, and nobody forges one."""


def chunk_sum(chunk: bytes | memoryview) -> bytes:
    """Return what tells a damaged chunk."""
    return Poly1305.generate_tag(_KEY, chunk)


@dataclass(frozen=True, slots=True)
class ChunkTree:
    """The nodes above the chunks, and sums that tell a damaged one at a small part of the cost."""

    nodes: Sequence[Digest]
    sums: Sequence[bytes]

    def is_intact(self, number: int, chunk: memoryview) -> bool:
        """Tell whether a chunk is what it was: no liar wrote it, but a disk may have lost it."""
        return chunk_sum(chunk) == self.sums[number]


class ChunkTrees:
    """The trees of the blobs that were pulled or served last, by root."""

    def __init__(self) -> None:
        self._trees: OrderedDict[Digest, ChunkTree] = OrderedDict()

    def keep(self, root: Digest, tree: ChunkTree) -> None:
        """Keep a tree whose root the caller has checked."""
        self._trees[root] = tree
        self._trees.move_to_end(root)
        while len(self._trees) > TREES_MAX:
            self._trees.popitem(last=False)

    def get(self, root: Digest) -> ChunkTree | None:
        return self._trees.get(root)

    def drop(self, root: Digest) -> None:
        self._trees.pop(root, None)
