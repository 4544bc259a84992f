"""Which peers are kept out, in a file that an operator can read, and remove."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from flocknode.ports import Ban
from flocknode.primitives import PeerId, Seconds
from flocknode.storage.files import write_whole

FILE_NAME = "bans.json"
FILE_BYTES_MAX = 1 << 20

log = logging.getLogger("flocknode.storage")


class BanFile:
    """Peer id in hex, the time until which it is banned and its number of bans."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def load(self) -> Sequence[Ban]:
        """Return the bans; what cannot be read bans nobody, and peers earn theirs again."""
        try:
            with self._path.open("rb") as file:
                rows = json.loads(file.read(FILE_BYTES_MAX))
            return [
                Ban(PeerId(bytes.fromhex(peer)), Seconds(float(until)), int(count))
                for peer, until, count in rows
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
            log.warning("%s is unreadable, nobody is banned: %s", self._path, error)
            return []

    def save(self, bans: Sequence[Ban]) -> None:
        rows = [[ban.peer.hex(), ban.until, ban.count] for ban in bans]
        try:
            write_whole(self._path, json.dumps(rows, indent=0).encode())
        except OSError as error:
            log.warning("bans are not on disk: %s", error.strerror)
