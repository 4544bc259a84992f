"""What a kept run holds for whoever checks it: plain files, each read up to a limit."""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flocknode.errors import FlockError
from flocknode.primitives import Address, Digest

MANIFEST: Final = "manifest.json"
TASK: Final = "task.json"
CHAIN: Final = "chain"
HEADERS: Final = "headers"
BLOBS: Final = "blobs"
RECEIPTS: Final = "receipts"
FOLDERS: Final = (CHAIN, HEADERS, BLOBS, RECEIPTS)


class FileFault(FlockError):
    """A file of the run is not what the chain says that it is."""

    def __init__(self, file: str, what: str) -> None:
        super().__init__(f"{file}: {what}")
        self.file = file
        self.what = what


def block_name(number: int) -> str:
    return f"{CHAIN}/{number:08}.rlp"


def headers_name(round_: int) -> str:
    """Return the file of a round's inclusion records; rounds count from 0, as on the chain."""
    return f"{HEADERS}/{round_:05}.bin"


def blob_name(root: Digest) -> str:
    return f"{BLOBS}/{root.hex()}"


def receipt_name(trainer: Address) -> str:
    return f"{RECEIPTS}/0x{trainer.hex()}.json"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """The public part of a run; nodes' own directories beside it are nobody's business."""

    path: Path

    def create(self) -> None:
        for folder in FOLDERS:
            (self.path / folder).mkdir(exist_ok=True)

    def write(self, name: str, data: bytes) -> None:
        (self.path / name).write_bytes(data)

    def read(self, name: str, limit: int) -> bytes:
        """Read a plain file of at most ``limit`` bytes; raise ``FileFault``."""
        # Neither a link nor a pipe is followed: whoever made the directory may be hostile.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            with os.fdopen(os.open(self.path / name, flags), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise FileFault(name, "is no plain file")
                if status.st_size > limit:
                    raise FileFault(name, f"has {status.st_size} bytes, at most {limit} belong")
                return file.read(limit)
        except FileNotFoundError as error:
            raise FileFault(name, "is missing") from error
        except OSError as error:
            raise FileFault(name, f"cannot be read: {error.strerror}") from error

    def names(self, folder: str) -> set[str]:
        """Return the names of everything in ``folder``."""
        try:
            return {f"{folder}/{entry.name}" for entry in os.scandir(self.path / folder)}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise FileFault(folder, f"cannot be read: {error.strerror}") from error


def canonical_json(content: dict[str, Any]) -> bytes:
    """Return the one encoding that a file of the run may have."""
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"
