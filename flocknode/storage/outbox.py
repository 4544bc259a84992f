"""Transactions on their way: on disk before any endpoint sees them."""

import sqlite3
import threading
from pathlib import Path

from flocknode.storage.database import open_database
from flocknode.storage.errors import StorageError

OUTBOX = "outbox.sqlite"

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS sent (nonce INTEGER, attempt INTEGER, raw BLOB NOT NULL,"
    " PRIMARY KEY (nonce, attempt))"
)
_KEEP = "INSERT INTO sent SELECT ?1, count(*), ?2 FROM sent WHERE nonce = ?1"


class TransactionOutbox:
    """Signed transactions of one key by nonce, until one of that nonce is final."""

    def __init__(self, directory: Path, *, synchronous: str = "FULL") -> None:
        path = directory / OUTBOX
        remedy = f"move {path} away once no transaction of this key is on its way"
        self._database = open_database(path, _SCHEMA, remedy, synchronous=synchronous)
        self._mutex = threading.Lock()

    def keep(self, nonce: int, raw: bytes) -> None:
        """Add an attempt at ``nonce``; it is on disk on return, or ``StorageError`` is raised."""
        self._execute(_KEEP, nonce, raw)

    def kept(self) -> list[tuple[int, bytes]]:
        """Return nonces and transactions, of one nonce in the order in which they were kept."""
        return self._execute("SELECT nonce, raw FROM sent ORDER BY nonce, attempt")

    def forget_to(self, nonce: int) -> None:
        """Drop everything up to and including ``nonce``."""
        self._execute("DELETE FROM sent WHERE nonce <= ?", nonce)

    def close(self) -> None:
        with self._mutex:
            self._database.close()

    def _execute(self, statement: str, *values: object) -> list[tuple[int, bytes]]:
        try:
            with self._mutex:
                return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StorageError(f"outbox: {error}") from error
