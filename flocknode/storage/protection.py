"""Signing protection: what a key has signed, on disk before the signature exists."""

import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from flocknode.errors import ConfigurationError
from flocknode.messages.slots import Slot
from flocknode.primitives import Address, Digest
from flocknode.storage.database import open_database
from flocknode.storage.errors import StorageError
from flocknode.storage.files import write_whole
from flocknode.storage.lock import DirectoryLock

RECORD = "protection.sqlite"
MARKER = "protection.marker"
LOCK = "protection.lock"

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS signed (kind TEXT, ctx BLOB, number INTEGER, digest BLOB NOT NULL,"
    " PRIMARY KEY (kind, ctx, number)) WITHOUT ROWID"
)
_FILL = (
    "INSERT INTO signed VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET digest = digest RETURNING digest"
)
"""One statement, so one transaction: it commits before the rows are all read."""

_FIND = "SELECT 1 FROM signed WHERE (kind, ctx, number) = (?, ?, ?)"
_COUNT = "SELECT count(*) FROM signed"

_NEVER_DELETE = "restore it from a backup; without it this key could sign twice and lose its stake"


class SigningProtection:
    """One statement per slot, for one signing key, for ever; nothing is ever pruned.

    ``protection.marker`` names the key and the number of slots filled at the last start or stop: a
    directory with the marker and without the record has lost it, and one whose record holds fewer
    slots has got an older copy back. Both are refused.
    """

    def __init__(self, directory: Path, address: Address, *, synchronous: str = "FULL") -> None:
        """Take the directory's lock and open its record, or raise ``ConfigurationError``."""
        self._mutex = threading.Lock()
        self._lock = DirectoryLock(directory / LOCK)
        try:
            self._database = self._open(directory, address, synchronous)
        except BaseException:
            self._lock.close()
            raise

    def record(self, slot: Slot, digest: Digest) -> bool:
        """Make ``digest`` the slot's statement for ever; False if it has another one.

        True means that the record is on disk. Raises ``StorageError`` if it cannot be known.
        """
        kind, ctx, number = slot
        try:
            with self._mutex:
                ((kept,),) = self._database.execute(_FILL, (kind, ctx, number, digest)).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"signing protection: {error}") from error
        return bytes(kept) == digest

    def holds(self, slot: Slot) -> bool:
        """Tell whether the slot is filled; raises ``StorageError`` if it cannot be known."""
        try:
            with self._mutex:
                return bool(self._database.execute(_FIND, slot).fetchall())
        except sqlite3.Error as error:
            raise StorageError(f"signing protection: {error}") from error

    def close(self) -> None:
        """Fold the log into the record and let another process have the directory."""
        with self._mutex:
            with suppress(sqlite3.Error, OSError):
                self._mark(self._database)
            self._database.close()
            self._lock.close()

    def _open(self, directory: Path, address: Address, synchronous: str) -> sqlite3.Connection:
        path = directory / RECORD
        self._address, self._marker = address, directory / MARKER
        marked, filled = _read_marker(self._marker)
        if marked is not None and marked != address:
            raise ConfigurationError(
                f"{path} is of another signing key", "give each signing key a directory of its own"
            )
        if marked is not None and not path.exists():
            raise ConfigurationError(f"{path} is missing, and this key has signed", _NEVER_DELETE)
        database = open_database(
            path, _SCHEMA, _NEVER_DELETE, synchronous=synchronous, may_create=marked is None
        )
        if _count(database) < filled:
            database.close()
            raise ConfigurationError(
                f"{path} is an older copy: it lacks statements that this key has signed",
                _NEVER_DELETE,
            )
        self._mark(database, sync=marked is None)
        return database

    def _mark(self, database: sqlite3.Connection, *, sync: bool = False) -> None:
        """Name the key for ever, and the count as far as the disk likes: a lower one is no harm."""
        line = f"{self._address.hex()} {_count(database)}\n".encode()
        write_whole(self._marker, line, sync=sync)


def _count(database: sqlite3.Connection) -> int:
    ((count,),) = database.execute(_COUNT).fetchall()
    return int(count)


def _read_marker(path: Path) -> tuple[Address | None, int]:
    """Return the key and how many slots it had filled; a marker without a number knows of none."""
    try:
        address, *count = path.read_text("ascii").split()
        return Address(bytes.fromhex(address)), int(*count)
    except FileNotFoundError:
        return None, 0
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} is damaged or unreadable", _NEVER_DELETE) from error
