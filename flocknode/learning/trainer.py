"""The node's trainer: one institution's rows in a shared pool. Free of torch."""

from dataclasses import dataclass

from flocknode.learning.jobs import TrainJob
from flocknode.learning.pool import TrainerPool
from flocknode.model.stages import ModelDelta


@dataclass(frozen=True, slots=True)
class LocalTrainer:
    """Implements ``flocknode.ports.Trainer``."""

    pool: TrainerPool
    task: str
    """Built-in name or FILE.py:Class."""
    shard: str
    """The institution's file of rows."""
    seed: int
    trainer: int
    """Place in the roster."""

    async def train(self, round_: int, model: bytes) -> ModelDelta:
        """Train one round from int32 model words. Raises ``TrainingError``, ``NoWorkers``."""
        job = TrainJob(self.task, self.shard, model, self.seed, self.trainer, round_)
        return (await self.pool.train(job)).delta
