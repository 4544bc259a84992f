"""Blobs on their way: what was pulled so far is in a file, and is there after a restart."""

from pathlib import Path

from flocknode.errors import FlockError
from flocknode.primitives import Digest

DRAFT_SUFFIX = ".draft"
DRAFTS_MAX = 16


class DraftError(FlockError):
    """The disk took no more of a blob that is being pulled. Fault: this node's operator."""


class FileDraft:
    """The first bytes of a blob, in a file of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = self.held

    @property
    def held(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, start: int, size: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise DraftError(f"{self.path.name}: {error.strerror}") from error

    def append(self, data: bytes | bytearray) -> None:
        if self.held != self._size:
            # It made room for others; what comes now must not be taken for its beginning.
            raise DraftError(f"{self.path.name}: gone")
        try:
            with self.path.open("ab") as file:
                file.write(data)
            self._size += len(data)
        except OSError as error:
            self.cut(self._size)
            raise DraftError(f"{self.path.name}: {error.strerror}") from error

    def cut(self, size: int) -> None:
        try:
            with self.path.open("r+b") as file:
                file.truncate(size)
            self._size = size
        except FileNotFoundError:
            return
        except OSError as error:
            raise DraftError(f"{self.path.name}: {error.strerror}") from error


def draft_path(folder: Path, root: Digest) -> Path:
    return folder / (root.hex() + DRAFT_SUFFIX)


def drop_oldest(folder: Path, keep: int = DRAFTS_MAX) -> None:
    """Remove all drafts but the ``keep`` newest."""
    drafts = sorted(folder.glob(f"*{DRAFT_SUFFIX}"), key=_age)
    for path in drafts[: max(0, len(drafts) - keep)]:
        path.unlink(missing_ok=True)


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        # Another thread made a blob of it meanwhile.
        return 0
