"""A task: the model, its data and the local recipe. Write one in a file of your own.

    class Scans(Task):
        name = "scans"
        input_shape = (1, 28, 28)
        classes = 2

        def model(self) -> nn.Module: ...
        def split(self, trainers: int, seed: int) -> Split: ...

and name it ``scans.py:Scans``. It runs in a training process and never in the node.
"""

import importlib
import importlib.util
from abc import ABC, abstractmethod
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from flocknode.errors import UsageError
from flocknode.learning.descent import MomentumSgd
from flocknode.learning.shards import Shard, Split
from flocknode.learning.tasks import BUILT_IN

_FILE_MARK: Final = ".py:"


class Task(ABC):
    """What is learned. The defaults train a classifier by momentum SGD on cross-entropy.

    All randomness comes from the seeds and generators that are handed in, or from torch's global
    generator, which is seeded before every call.
    """

    name: ClassVar[str]
    input_shape: ClassVar[tuple[int, ...]]
    """Shape of one row of ``inputs``."""
    classes: ClassVar[int]

    epochs: int = 5
    """Passes over the shard in one round."""
    batch_rows: int = 16
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0

    @abstractmethod
    def model(self) -> nn.Module:
        """Build the model; its parameters are the start of round 0."""

    @abstractmethod
    def split(self, trainers: int, seed: int) -> Split:
        """Divide a public data set among ``trainers``, as a demonstration needs it."""

    def loss(self, model: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a batch; the model returns logits ``[rows, classes]``."""
        return functional.cross_entropy(model(inputs), labels)

    def train(self, model: nn.Module, shard: Shard, generator: torch.Generator) -> float:
        """Train ``model`` in place for one round; return the mean loss of the last epoch."""
        model.train()
        inputs, labels = torch.from_numpy(shard.inputs), torch.from_numpy(shard.labels)
        descent = MomentumSgd(model, self.learning_rate, self.momentum, self.weight_decay)
        epoch_loss = 0.0
        for _ in range(self.epochs):
            epoch_loss = 0.0
            order = torch.randperm(len(shard), generator=generator)
            for start in range(0, len(shard), self.batch_rows):
                rows = order[start : start + self.batch_rows]
                loss = self.loss(model, inputs[rows], labels[rows])
                descent.step(loss)
                epoch_loss += loss.item() * len(rows)
        return epoch_loss / len(shard)

    def evaluate(self, model: nn.Module, shard: Shard) -> float:
        """Return the share of rows that ``model`` labels rightly."""
        model.eval()
        with torch.no_grad():
            guesses = model(torch.from_numpy(shard.inputs)).argmax(dim=1).numpy()
        return float(np.mean(guesses == shard.labels))

    def one_class(self, label: int, rows: int, generator: torch.Generator) -> Shard:
        """Invent ``rows`` of one label, to learn how far a hospital may pull the model."""
        inputs = torch.randn(rows, *self.input_shape, generator=generator)
        return Shard(inputs.numpy(), np.full(rows, label, np.int64))


def load_task(reference: str) -> Task:
    """Return the built-in task of that name, or the class of ``FILE.py:Class``.

    Raises ``UsageError``. A file is executed: it must be one that its operator has read.
    """
    if reference in BUILT_IN:
        module_name, class_name = BUILT_IN[reference]
        return _make(importlib.import_module(module_name), class_name, reference)
    stem, mark, class_name = reference.rpartition(_FILE_MARK)
    if not mark:
        raise UsageError(
            f"there is no task '{reference}'",
            f"name one of: {', '.join(sorted(BUILT_IN))}; or a class of yours as FILE.py:Class",
        )
    return _make(_execute(Path(f"{stem}.py")), class_name, reference)


def _execute(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", "name the task's file as FILE.py:Class")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(
            f"{path} does not run: {type(error).__name__}: {error}",
            f"correct it; `python {path}` shows where it fails",
        ) from error
    return module


def _make(module: ModuleType, class_name: str, reference: str) -> Task:
    made = getattr(module, class_name, None)
    if not (isinstance(made, type) and issubclass(made, Task)):
        raise UsageError(
            f"'{reference}' is not a task",
            f"name a class of {module.__name__} derived from flocknode.learning.task.Task",
        )
    try:
        return made()
    except TypeError as error:
        raise UsageError(
            f"'{reference}' is not complete: {error}", "give it model() and split()"
        ) from error
