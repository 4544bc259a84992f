"""What a worker does: train, evaluate, and compare with training alone or on pooled rows.

Equal arguments give equal bits on one machine: one thread, deterministic kernels, derived seeds.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from flocknode.learning.errors import TrainingError
from flocknode.learning.modules import read_parameters, write_parameters
from flocknode.learning.recipe import Reach
from flocknode.learning.seeds import derive
from flocknode.learning.shards import Shard
from flocknode.learning.task import Task
from flocknode.learning.words import from_words, to_words

DRY_SETS: Final = 6
DRY_ROWS: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class LocalUpdate:
    """One trainer's round: ``delta`` is float64[d]."""

    delta: NDArray[np.float64]
    loss: float
    rows: int


def make_deterministic() -> None:
    """Make torch repeat itself bit by bit; call once, before anything else of torch."""
    torch.set_num_threads(1)
    # ``use_deterministic_algorithms`` sets the same and loads a compiler: more than a second.
    torch.set_deterministic_debug_mode("error")


def initial_words(task: Task, seed: int) -> NDArray[np.int32]:
    """Return the model that round 0 starts from."""
    torch.manual_seed(derive(seed, "model"))
    return to_words(read_parameters(task.model()))


def local_update(
    task: Task, words: NDArray[np.int32], shard: Shard, seed: int, trainer: int, round_id: int
) -> LocalUpdate:
    """Train from ``words`` on ``shard`` and return the difference.

    Raises ``TrainingError`` when the result is not finite, ``LengthError`` for other words.
    """
    start = from_words(words)
    model = _model(task, start)
    loss = _train(task, model, shard, derive(seed, "train", trainer, round_id))
    delta = read_parameters(model) - start
    if not np.all(np.isfinite(delta)):
        raise TrainingError("training diverged: the model holds NaN or infinity")
    return LocalUpdate(delta, loss, len(shard))


def accuracy(task: Task, words: NDArray[np.int32], held_out: Shard) -> float:
    """Return the task's measure of the model ``words`` on ``held_out``."""
    return task.evaluate(_model(task, from_words(words)), held_out)


def solo_accuracy(
    task: Task,
    words: NDArray[np.int32],
    shard: Shard,
    held_out: Shard,
    seed: int,
    rounds: int,
) -> float:
    """Train ``rounds`` rounds on ``shard`` only, from the same start, and measure."""
    model = _model(task, from_words(words))
    for round_id in range(rounds):
        _train(task, model, shard, derive(seed, "solo", round_id))
    return task.evaluate(model, held_out)


def dry_run(task: Task, words: NDArray[np.int32]) -> Reach:
    """Train once on each of six invented one-class sets and return the largest moves.

    One label only is the worst skew that a hospital can have; random labels pull less.
    """
    norms, coordinates = [], []
    for number in range(DRY_SETS):
        generator = torch.Generator().manual_seed(derive(number, "invent"))
        shard = task.one_class(number % task.classes, DRY_ROWS, generator)
        delta = local_update(task, words, shard, number, 0, 0).delta
        norms.append(float(np.linalg.norm(delta)))
        coordinates.append(float(np.max(np.abs(delta))))
    return Reach(max(norms), max(coordinates))


def _model(task: Task, flat: NDArray[np.float64]) -> nn.Module:
    model = task.model()
    write_parameters(model, flat)
    return model


def _train(task: Task, model: nn.Module, shard: Shard, seed: int) -> float:
    torch.manual_seed(seed)
    return float(task.train(model, shard, torch.Generator().manual_seed(seed)))
