"""What this node knows of the chunks of blobs, so that it hashes none of them twice."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from flocknode.primitives import Digest

TREES_MAX = 64


@dataclass(frozen=True, slots=True)
class ChunkTree:
    """The nodes above the chunks, and sums that tell a damaged one at a seventh of the cost."""

    nodes: Sequence[Digest]
    sums: Sequence[int]

    def is_intact(self, number: int, chunk: memoryview) -> bool:
        """Tell whether a chunk is what it was: no liar wrote it, but a disk may have lost it."""
        return crc32(chunk) == self.sums[number]


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
