"""Secrets of a node in files that only its user can read, never in arguments or environment."""

import os
import stat
from pathlib import Path

from flocknode.crypto.errors import KeyMaterialError
from flocknode.crypto.signing import SigningKey
from flocknode.errors import ConfigurationError

SECRET_BYTES = 32
FILE_BYTES_MAX = 4096


def write_secret(path: Path, secret: bytes) -> None:
    """Write a new file that nobody else can read; an existing one is never overwritten."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists already", "move it away if it is yours") from error
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {error.strerror}", "name a file that you may write"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def read_secret(path: Path) -> bytes:
    """Read a secret file; raises ConfigurationError if it is missing or others may read it."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ConfigurationError(f"others may read {path}", f"chmod 600 {path}")
            return file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}", "create or restore the node's keys"
        ) from error


def create_key(path: Path) -> SigningKey:
    """Draw a signing key from the operating system and write it as hexadecimal."""
    secret = os.urandom(SECRET_BYTES)
    key = SigningKey(secret)
    write_secret(path, secret.hex().encode() + b"\n")
    return key


def load_key(path: Path) -> SigningKey:
    try:
        return SigningKey(bytes.fromhex(read_secret(path).decode("ascii").strip()))
    except (ValueError, KeyMaterialError):
        # Not chained: the cause's text could quote the file.
        raise ConfigurationError(
            f"{path} holds no signing key", "restore it from a backup"
        ) from None
