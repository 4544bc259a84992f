"""Secrets of attempts and rounds: one encrypted file each, destroyed when they are over."""

import os
import re
import stat
import threading
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from flocknode.errors import ConfigurationError
from flocknode.storage.errors import StorageError
from flocknode.storage.files import destroy, destroy_partial, write_whole

KEY = "secrets.key"
FOLDER = "secrets"
SUFFIX = ".sealed"

_NAME = re.compile(r"[0-9a-z-]{1,128}")
_REMEDY = "restore it from a backup, or move it away: the node then sits out what it belongs to"


class SecretFiles:
    """Named secrets under one key; what is saved is on disk when ``save`` returns."""

    def __init__(self, directory: Path) -> None:
        """Read every file once; raise ``ConfigurationError`` for one that does not open."""
        self._folder = directory / FOLDER
        self._mutex = threading.Lock()
        self._folder.mkdir(mode=0o700, exist_ok=True)
        destroy_partial(self._folder)
        self._names = {path.stem for path in self._folder.glob(f"*{SUFFIX}")}
        for name in self._names:
            if not _NAME.fullmatch(name):
                stray = self._folder / (name + SUFFIX)
                raise ConfigurationError(f"{stray} is none of this node's", _REMEDY)
        self._box = SecretBox(_load_key(directory / KEY, may_create=not self._names))
        for name in self._names:
            self.load(name)

    def names(self) -> tuple[str, ...]:
        with self._mutex:
            return tuple(sorted(self._names))

    def save(self, name: str, secret: bytes) -> None:
        """Replace what ``name`` held; raise ``StorageError`` if the disk does not take it."""
        sealed = bytes(self._box.encrypt(_bound(name, secret)))
        try:
            with self._mutex:
                write_whole(self._path(name), sealed)
                self._names.add(name)
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror}") from error

    def load(self, name: str) -> bytes | None:
        """Return the secret, None if there is none; raise ``ConfigurationError`` if damaged."""
        path = self._path(name)
        try:
            plain = self._box.decrypt(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, CryptoError, ValueError) as error:
            raise ConfigurationError(f"{path} is damaged or of another key", _REMEDY) from error
        prefix = _bound(name, b"")
        if not plain.startswith(prefix):
            raise ConfigurationError(f"{path} was renamed", _REMEDY)
        return plain[len(prefix) :]

    def destroy(self, name: str) -> None:
        """Overwrite and unlink; raise ``StorageError`` if the disk refuses."""
        try:
            with self._mutex:
                destroy(self._path(name))
                self._names.discard(name)
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror}") from error

    def _path(self, name: str) -> Path:
        assert _NAME.fullmatch(name)
        return self._folder / (name + SUFFIX)


def _bound(name: str, secret: bytes) -> bytes:
    """Put the name before the secret, so that no file passes for another one."""
    return name.encode() + b"\0" + secret


def _load_key(path: Path, *, may_create: bool) -> bytes:
    if not path.exists():
        if not may_create:
            raise ConfigurationError(f"{path} is missing", "restore it from a backup")
        write_whole(path, os.urandom(SecretBox.KEY_SIZE))
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigurationError(f"others may read {path}", f"chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != SecretBox.KEY_SIZE:
        raise ConfigurationError(f"{path} holds no key", "restore it from a backup")
    return key
