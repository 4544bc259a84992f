"""One process per data directory."""

import fcntl
import os
from pathlib import Path

from flocknode.errors import ConfigurationError


class DirectoryLock:
    """Held until closed, or until the process ends however it ends."""

    def __init__(self, path: Path) -> None:
        """Take the lock, or raise ``ConfigurationError`` that names the holder."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, 20).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise ConfigurationError(
                f"{path.parent} is in use by process {holder or 'unknown'}",
                "stop that process, or name another directory; never copy keys to run two",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        os.close(self._descriptor)
