"""Bytes by content address, in memory and bounded; the oldest go first."""

import mmap
from collections import OrderedDict
from contextlib import suppress

from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.ports import BlobStore, Draft
from flocknode.primitives import Digest
from flocknode.protocol.effects import Fetch

BYTES_MAX = 2 << 30
DRAFTS_MAX = 8
"""Interrupted pulls that may be gone on with."""
COPIED_BYTES_MAX = 1 << 20


class MemoryDraft:
    """The first bytes of a blob of ``length`` bytes, in memory.

    Large pages where the system has them: to touch a fresh small one for every 4 KiB that came took
    a twelfth of the time of a pull.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.held = 0
        self._pages = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(AttributeError, OSError):  # A system without them gives small ones.
            self._pages.madvise(mmap.MADV_HUGEPAGE)

    def read(self, start: int, size: int) -> bytes:
        return self._pages[start : min(start + size, self.held)]

    def append(self, data: bytes | bytearray) -> None:
        """Keep ``data``; raises ``IndexError`` beyond the length."""
        self._pages[self.held : self.held + len(data)] = data
        self.held += len(data)

    def cut(self, size: int) -> None:
        self.held = min(self.held, size)

    def take(self) -> bytes | memoryview:
        """Return the bytes, which nobody changes any more, without copying many."""
        data = memoryview(self._pages).toreadonly()[: self.held]
        return bytes(data) if len(data) < COPIED_BYTES_MAX else data


class MemoryBlobs:
    """A blob store for one node's rounds; models and vectors of past rounds fall out."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._blobs: OrderedDict[Digest, bytes | memoryview] = OrderedDict()
        self._drafts: OrderedDict[Digest, MemoryDraft] = OrderedDict()

    def put(self, root: Digest, data: bytes | memoryview, *, sync: bool = False) -> None:
        """Keep ``data``, whose root the caller has checked."""
        del sync
        if root in self._blobs:
            self._blobs.move_to_end(root)
            return
        self._blobs[root] = data
        self._bytes += len(data)
        while self._bytes > self._bytes_max and len(self._blobs) > 1:
            _, dropped = self._blobs.popitem(last=False)
            self._bytes -= len(dropped)

    def get(self, root: Digest) -> bytes | memoryview | None:
        return self._blobs.get(root)

    def discard(self, root: Digest) -> None:
        dropped = self._blobs.pop(root, None)
        self._bytes -= len(dropped) if dropped else 0

    def draft(self, root: Digest, length: int) -> MemoryDraft:
        """Return what was pulled of ``root`` so far; the oldest draft makes room for a new one."""
        draft = self._drafts.get(root)
        if draft is None or draft.length != length:
            draft = self._drafts[root] = MemoryDraft(length)
        self._drafts.move_to_end(root)
        while len(self._drafts) > DRAFTS_MAX:
            self._drafts.popitem(last=False)
        return draft

    def finish(self, root: Digest, draft: Draft, *, sync: bool) -> None:
        """Make a blob of ``draft``, whose root the caller has checked."""
        del sync
        assert isinstance(draft, MemoryDraft)
        self._drafts.pop(root, None)
        self.put(root, draft.take())


def is_wanted(blobs: BlobStore, wanted: Fetch) -> bool | None:
    """Tell whether bytes that are here are those of the wanted tree; None if none are here.

    A peer chooses the roots that it names: one may be the model's, or another vector's. Bytes of
    another kind of tree, or of another length, nobody can give.
    """
    data = blobs.get(wanted.root)
    if data is None or len(data) == 0:
        return None
    root = tree_root(TreeKind(wanted.kind), data, wanted.leaf_bytes)
    return len(data) == wanted.length and root == wanted.root
