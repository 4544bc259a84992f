"""What a trainer's operator agreed to after a pause: a file in the data directory."""

from pathlib import Path

from flocknode.storage.errors import StorageError
from flocknode.storage.files import write_whole

FILE_NAME = "consent"
FILE_BYTES_MAX = 64 << 10


class ConsentFile:
    """One line for each consent, ``round pause``; anything else in it consents to nothing."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME

    def given(self, round_: int, pause: int) -> bool:
        """Tell whether the operator consented; raise ``StorageError`` if the file is closed."""
        try:
            return _line(round_, pause) in self._lines()
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}") from error

    def give(self, round_: int, pause: int) -> None:
        """Consent; raises ``OSError``."""
        lines = dict.fromkeys([*self._lines(), _line(round_, pause)])
        write_whole(self._path, "".join(f"{line}\n" for line in lines).encode())

    def _lines(self) -> list[str]:
        try:
            with self._path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return []
        return data.decode("ascii", "replace").splitlines()


def _line(round_: int, pause: int) -> str:
    return f"{round_} {pause}"
