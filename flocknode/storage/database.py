"""SQLite files of one format each, opened or refused with a sentence."""

import sqlite3
from pathlib import Path

from flocknode.errors import ConfigurationError

FORMAT = 1


def open_database(
    path: Path, schema: str, remedy: str, *, synchronous: str, may_create: bool = True
) -> sqlite3.Connection:
    """Open or create a database; raise ``ConfigurationError`` if it is damaged or too new.

    SQLite takes an empty file for a new database; without ``may_create`` it is a damaged one. The
    connection may be used from any thread, by one at a time.
    """
    connection: sqlite3.Connection | None = None
    try:
        # SQLite gives the files beside it the same mode.
        path.touch(mode=0o600)
        path.chmod(0o600)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        _prepare(connection, path, schema, synchronous, may_create=may_create)
    except (sqlite3.Error, OSError) as error:
        _close(connection)
        raise ConfigurationError(f"{path} is damaged or unreadable: {error}", remedy) from error
    except ConfigurationError:
        _close(connection)
        raise
    return connection


def _prepare(
    connection: sqlite3.Connection, path: Path, schema: str, synchronous: str, *, may_create: bool
) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > FORMAT:
        raise ConfigurationError(
            f"{path} was written by a newer flocknode", "install that version, or a newer one"
        )
    if found == 0 and not may_create:
        raise sqlite3.DatabaseError("it is empty")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise sqlite3.DatabaseError(state)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(schema)
    connection.execute(f"PRAGMA user_version={FORMAT}")
    connection.execute("COMMIT")


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        connection.close()
