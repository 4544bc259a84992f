"""Bytes by content address, in memory at once and on disk a moment later; bounded."""

import logging
import mmap
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flocknode.crypto.errors import TreeError
from flocknode.crypto.merkle import TreeKind, root_of_subtrees, subtrees, tree_root
from flocknode.messages.statements import RECORD_BYTES
from flocknode.node.blobs import MemoryBlobs, MemoryDraft
from flocknode.ports import Draft
from flocknode.primitives import Digest
from flocknode.storage.drafts import DraftError, FileDraft, draft_path, drop_oldest
from flocknode.storage.files import PARTIAL_SUFFIX, sync_folder, write_whole

FOLDER = "blobs"
DISK_BYTES_MAX = 8 << 30
MEMORY_BYTES_MAX = 256 << 20
MAPPED_BYTES_MIN = 1 << 20
"""A longer blob is drafted in a file and read through a map of it: the system keeps in memory what
is in use, once, and the process nothing."""
HASHED_LEAVES = 1 << 14

_NAME = re.compile(r"[0-9a-f]{64}")

_WRITER = ThreadPoolExecutor(1, thread_name_prefix="blobs")
"""One thread for all nodes of a process: many would crowd out the loop."""

log = logging.getLogger("flocknode.storage")


class DiskBlobs:
    """A blob store whose newest blobs a restarted node finds again.

    Nothing that leaves the node waits for the disk: peers have, or can give, every blob. A thread
    writes each as a file named by its root; what another process wrote is checked against that
    name. Files are never changed, only replaced and unlinked, so a map of one stays good.
    """

    def __init__(
        self,
        directory: Path,
        *,
        disk_bytes_max: int = DISK_BYTES_MAX,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
    ) -> None:
        self._folder = directory / FOLDER
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for partial in self._folder.glob(f"*{PARTIAL_SUFFIX}"):
            partial.unlink()
        self._memory = MemoryBlobs(memory_bytes_max)
        self._disk_bytes_max = disk_bytes_max
        drop_oldest(self._folder)
        self._sizes = _sizes_by_age(self._folder)
        self._checked: set[Digest] = set()
        self._guard = threading.Lock()

    def put(self, root: Digest, data: bytes | memoryview, *, sync: bool = False) -> None:
        """Keep ``data``, whose root the caller has checked.

        Two hundred syncs a round held up the signatures'; vectors are checked when read, and come
        again, but a model may be the last copy: with ``sync`` it outlives a power loss.
        """
        self._memory.put(root, data)
        with self._guard:
            if root in self._sizes:
                return
            self._sizes[root] = len(data)
        _WRITER.submit(self._write, root, data, sync)

    def get(self, root: Digest) -> bytes | memoryview | None:
        held = self._memory.get(root)
        return self._read(root) if held is None else held

    def discard(self, root: Digest) -> None:
        self._memory.discard(root)
        with self._guard:
            self._sizes.pop(root, None)
            self._checked.discard(root)
            self._path(root).unlink(missing_ok=True)

    def close(self) -> None:
        """Write what is still to be written."""
        _WRITER.submit(int).result()

    def draft(self, root: Digest, length: int) -> FileDraft | MemoryDraft:
        """Return what was pulled of ``root`` so far, perhaps by a process that is no more."""
        if length < MAPPED_BYTES_MIN:
            return self._memory.draft(root, length)
        drop_oldest(self._folder)
        return FileDraft(draft_path(self._folder, root))

    def finish(self, root: Digest, draft: Draft, *, sync: bool) -> None:
        """Make a blob of ``draft``, whose root the caller has checked.

        With ``sync`` it outlives a power loss. Raises ``DraftError`` if the disk refuses.
        """
        if not isinstance(draft, FileDraft):
            self._memory.finish(root, draft, sync=sync)
            data = self._memory.get(root)
            assert data is not None
            self.put(root, data, sync=sync)
            return
        try:
            self._adopt(root, draft.path, sync=sync)
        except OSError as error:
            raise DraftError(f"{draft.path.name}: {error.strerror}") from error

    def _adopt(self, root: Digest, path: Path, *, sync: bool) -> None:
        if sync:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        with self._guard:
            size = path.stat().st_size
            self._make_room(size)
            path.replace(self._path(root))
            self._sizes[root] = size
            self._checked.add(root)
        if sync:
            sync_folder(self._folder)

    def _read(self, root: Digest) -> bytes | memoryview | None:
        try:
            data = _contents(self._path(root))
        except OSError:
            return None
        if root not in self._checked and not _is_under(root, data):
            log.warning("blob %s is damaged on disk: dropped, peers have it", root.hex()[:8])
            self.discard(root)
            return None
        self._checked.add(root)
        if len(data) < MAPPED_BYTES_MIN:
            self._memory.put(root, data)
        return data

    def _write(self, root: Digest, data: bytes | memoryview, sync: bool) -> None:
        try:
            self._store(root, data, sync=sync)
        except OSError as error:
            log.warning("blob %s is not on disk: %s", root.hex()[:8], error.strerror)
            with self._guard:
                self._sizes.pop(root, None)

    def _store(self, root: Digest, data: bytes | memoryview, *, sync: bool) -> None:
        with self._guard:
            # Discarded meanwhile.
            if root not in self._sizes:
                return
            self._make_room(0)
            if root not in self._sizes:
                return
        write_whole(self._path(root), data, sync=sync)
        if len(data) >= MAPPED_BYTES_MIN:
            self._checked.add(root)
            self._memory.discard(root)

    def _make_room(self, size: int) -> None:
        """Unlink the oldest files until ``size`` more bytes fit; called under the guard."""
        while sum(self._sizes.values()) + size > self._disk_bytes_max and len(self._sizes) > 1:
            oldest = next(iter(self._sizes))
            del self._sizes[oldest]
            self._checked.discard(oldest)
            self._path(oldest).unlink(missing_ok=True)

    def _path(self, root: Digest) -> Path:
        return self._folder / root.hex()


def _sizes_by_age(folder: Path) -> dict[Digest, int]:
    """Return the sizes of the files in ``folder`` by root, the oldest first."""
    found = []
    for path in folder.iterdir():
        if _NAME.fullmatch(path.name):
            stat = path.stat()
            found.append((stat.st_mtime_ns, path.name, stat.st_size))
    return {Digest(bytes.fromhex(name)): size for _, name, size in sorted(found)}


def _contents(path: Path) -> bytes | memoryview:
    """Read a short file, map a long one."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < MAPPED_BYTES_MIN:
            return file.read()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _is_under(root: Digest, data: bytes | memoryview) -> bool:
    """Tell whether ``data`` has this root as any kind of tree: no two kinds share a root."""
    try:
        nodes = subtrees(data, HASHED_LEAVES)
        if any(root_of_subtrees(kind, len(data), nodes) == root for kind in TreeKind):
            return True
        return tree_root(TreeKind.INCLUSION, data, RECORD_BYTES) == root
    except TreeError:
        return False
