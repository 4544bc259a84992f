"""What a seat was given in an attempt, to hear again after a restart: public, or sealed to it."""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from flocknode.crypto.hashing import sha256
from flocknode.ports import Heard
from flocknode.primitives import Digest, PeerId
from flocknode.storage.database import open_database
from flocknode.storage.errors import StorageError

JOURNAL = "journal.sqlite"
MESSAGES_MAX = 1024
"""Per attempt; the core remembers at most two contributions of each trainer and their seeds."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS heard (round INTEGER, attempt INTEGER, ctx BLOB, digest BLOB,"
    " sender BLOB NOT NULL, payload BLOB NOT NULL, PRIMARY KEY (ctx, digest))"
)

_KEEP = (
    "INSERT OR IGNORE INTO heard SELECT ?1, ?2, ?3, ?4, ?5, ?6"
    " WHERE (SELECT count(*) FROM heard WHERE ctx = ?3) < ?7"
)


class MessageJournal:
    """Messages by attempt, in the order in which they came.

    A crash may cost the newest ones, which peers say again.
    """

    def __init__(self, directory: Path, *, synchronous: str = "NORMAL") -> None:
        path = directory / JOURNAL
        remedy = f"move {path} away: peers repeat what it held"
        self._database = open_database(path, _SCHEMA, remedy, synchronous=synchronous)
        self._mutex = threading.Lock()

    def remember(self, heard: Sequence[Heard]) -> None:
        """Keep messages, all in one transaction."""
        rows = [
            (*one.attempt, one.ctx, sha256(one.payload), one.sender, one.payload, MESSAGES_MAX)
            for one in heard
        ]
        try:
            with self._mutex, self._database:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany(_KEEP, rows)
        except sqlite3.Error as error:
            raise StorageError(f"journal: {error}") from error

    def recall(self, ctx: Digest) -> list[tuple[PeerId, bytes]]:
        rows = self._execute(
            "SELECT sender, payload FROM heard WHERE ctx = ? ORDER BY rowid", (ctx,)
        )
        return [(PeerId(sender), payload) for sender, payload in rows]

    def forget_before(self, attempt: tuple[int, int]) -> None:
        """Drop what belongs to an earlier (round, attempt)."""
        self._execute("DELETE FROM heard WHERE (round, attempt) < (?, ?)", attempt)

    def close(self) -> None:
        with self._mutex:
            self._database.close()

    def _execute(self, statement: str, values: tuple[object, ...]) -> list[tuple[bytes, bytes]]:
        try:
            with self._mutex:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"journal: {error}") from error
