"""Files that are whole or absent, and files that are gone for good."""

import os
from pathlib import Path

PARTIAL_SUFFIX = ".partial"


def write_whole(path: Path, data: bytes | memoryview, *, sync: bool = True) -> None:
    """Write ``data`` so that after a power loss the file is the old or the new one, never half.

    Without ``sync`` that holds for a killed process only. Only the node's user may read it. Raises
    ``OSError``.
    """
    partial = path.with_name(path.name + PARTIAL_SUFFIX)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
    with os.fdopen(os.open(partial, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())
    partial.replace(path)
    if sync:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: a rename alone is not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def destroy(path: Path) -> None:
    """Overwrite a file with zeros on the disk, then unlink it; an absent one is fine.

    Whenever it is killed, ``path`` holds all that it held or nothing: a file that is half gone has
    the name of a partial one, of which ``destroy_partial`` takes the rest.
    """
    dying = path.with_name(path.name + PARTIAL_SUFFIX)
    try:
        path.replace(dying)
    except FileNotFoundError:
        return
    sync_folder(path.parent)
    _overwrite(dying)


def destroy_partial(folder: Path) -> None:
    """Destroy what was being written or destroyed when the process ended."""
    for path in folder.glob(f"*{PARTIAL_SUFFIX}"):
        _overwrite(path)


def _overwrite(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, "wb") as file:
        file.write(bytes(os.fstat(descriptor).st_size))
        file.flush()
        os.fsync(descriptor)
    path.unlink()
