"""Bytes by content address, in memory and bounded; the oldest go first."""

from collections import OrderedDict

from flocknode.primitives import Digest

BYTES_MAX = 2 << 30


class MemoryBlobs:
    """A blob store for one node's rounds; models and vectors of past rounds fall out."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._blobs: OrderedDict[Digest, bytes] = OrderedDict()

    def put(self, root: Digest, data: bytes) -> None:
        """Keep ``data``, whose root the caller has checked."""
        if root in self._blobs:
            self._blobs.move_to_end(root)
            return
        self._blobs[root] = data
        self._bytes += len(data)
        while self._bytes > self._bytes_max and len(self._blobs) > 1:
            _, dropped = self._blobs.popitem(last=False)
            self._bytes -= len(dropped)

    def get(self, root: Digest) -> bytes | None:
        return self._blobs.get(root)

    def discard(self, root: Digest) -> None:
        dropped = self._blobs.pop(root, None)
        self._bytes -= len(dropped) if dropped else 0
