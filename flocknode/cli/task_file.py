"""The task's configuration file: what every participant agreed on. Its SHA-256 is on the chain."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from flocknode.crypto.hashing import sha256
from flocknode.crypto.suites import SUITES, X25519, Suite
from flocknode.errors import ConfigurationError
from flocknode.model.terms import IntegerTerms, TaskTerms, Windows
from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.ledger import TaskCreated
from flocknode.protocol.roster import Roster, RosterEntry

FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class TaskFile:
    """The recipe's name, the model's layout, the terms and the roster."""

    recipe: str
    layout: Digest
    initial_model: Digest
    terms: TaskTerms
    roster: Roster
    suite: Suite = X25519
    """What capsules are sealed with."""

    def to_bytes(self) -> bytes:
        """Return the one encoding whose digest the chain holds."""
        content = {
            "recipe": self.recipe,
            "suite": self.suite.name,
            "layout": self.layout.hex(),
            "initial_model": self.initial_model.hex(),
            "terms": asdict(self.terms),
            "roster": [
                {
                    "trainer": entry.trainer.hex(),
                    "weight": entry.weight,
                    "peer": entry.peer.hex(),
                }
                for entry in self.roster.entries
            ],
        }
        return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"

    def digest(self) -> Digest:
        return sha256(self.to_bytes())

    def agreed(self, number: int) -> TaskCreated:
        """Return what a chain that holds this task under ``number`` says of it."""
        root = self.roster.root()
        return TaskCreated(number, self.terms, self.digest(), self.initial_model, root)


def load_task_file(path: Path) -> TaskFile:
    """Read a task's file; raise ``ConfigurationError`` for anything but a canonical one."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}", "fetch it from the task's creator"
        ) from error
    return read_task_file(data, path)


def read_task_file(data: bytes, path: Path) -> TaskFile:
    """Read the bytes of a task's file, which somebody else made; ``path`` names it in errors."""
    remedy = "fetch the task's file from its creator again"
    try:
        task = _parse(data[:FILE_BYTES_MAX])
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise ConfigurationError(f"{path} describes no task: {error}", remedy) from error
    if task.to_bytes() != data:
        raise ConfigurationError(f"{path} is not in canonical form", remedy)
    return task


def _parse(data: bytes) -> TaskFile:
    content = json.loads(data)
    terms = dict(content["terms"])
    integers = IntegerTerms(**_whole(terms.pop("integers")))
    windows = Windows(**_whole(terms.pop("windows")))
    entries = tuple(
        RosterEntry(
            index,
            Address(_bytes(entry["trainer"], 20)),
            _weight(entry["weight"], integers.weight_max),
            PeerId(bytes.fromhex(entry["peer"])),
        )
        for index, entry in enumerate(content["roster"])
    )
    if not entries:
        raise ValueError("its roster names nobody")
    return TaskFile(
        str(content["recipe"]),
        Digest(_bytes(content["layout"], 32)),
        Digest(_bytes(content["initial_model"], 32)),
        TaskTerms(integers=integers, windows=windows, **_whole(terms)),
        Roster(entries),
        SUITES[content["suite"]],
    )


def _bytes(text: str, length: int) -> bytes:
    data = bytes.fromhex(text)
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes stand where {length} belong")
    return data


def _weight(weight: int, weight_max: int) -> int:
    """Refuse a weight that no contract takes: steps divide by their sum."""
    if type(weight) is not int or not 1 <= weight <= weight_max:
        raise ValueError("a trainer's weight is not between one and weight_max")
    return weight


def _whole(fields: dict[str, int]) -> dict[str, int]:
    """Refuse what is no integer: text in its place would be canonical as well."""
    for name, value in fields.items():
        if type(value) is not int:
            raise TypeError(f"{name} is no integer")
    return fields
