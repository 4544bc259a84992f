"""Rows of one institution and the files that hold them."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from flocknode.learning.errors import TrainingError


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """Rows of one institution: ``inputs`` has shape ``[rows, ...]``, ``labels`` ``[rows, ...]``."""

    inputs: NDArray[Any]
    labels: NDArray[Any]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise TrainingError(f"{len(self.inputs)} inputs with {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return the rows of these numbers."""
        return type(self)(self.inputs[rows], self.labels[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A data set divided: one shard for each trainer, and rows that nobody trains on."""

    shards: tuple[Shard, ...]
    held_out: Shard


def join(shards: list[Shard]) -> Shard:
    """Return all rows in one shard: what no institution may see."""
    return Shard(
        np.concatenate([shard.inputs for shard in shards]),
        np.concatenate([shard.labels for shard in shards]),
    )


def write_shard(path: Path, shard: Shard) -> None:
    """Write ``shard`` to ``path``, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    with path.open("wb") as file:
        np.savez(file, inputs=shard.inputs, labels=shard.labels)


def read_shard(path: Path) -> Shard:
    """Read the rows in ``path``, which may hold plain arrays only. Raises ``TrainingError``."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            shard = Shard(arrays["inputs"], arrays["labels"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"no rows in {path}: {error}") from error
    if not len(shard):
        raise TrainingError(f"no rows in {path}: it is empty")
    return shard
