"""Training processes for one node: jobs in, typed results out. Free of torch.

A worker that dies or passes a deadline fails its job only; another is started in its place.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Self, TypeVar

import numpy as np
import trio
from numpy.typing import NDArray

from flocknode.errors import UsageError
from flocknode.learning import jobs
from flocknode.learning.errors import NoWorkers, TrainingError, TrainingTooSlow, WorkerDied
from flocknode.learning.jobs import EvaluateJob, Job, PrepareJob, SoloJob, TrainJob
from flocknode.learning.process import START_SECONDS_MAX, WorkerProcess
from flocknode.model.errors import LengthError, ModelError
from flocknode.model.layout import ModelLayout
from flocknode.model.stages import ModelDelta
from flocknode.model.terms import IntegerTerms
from flocknode.model.words import MODEL_DTYPE, model_words

WORKERS: Final = 2
JOB_SECONDS_MAX: Final = 300.0
PATIENCE_SECONDS: Final = 1.0
"""A job that waits this long calls for the other workers: each loads torch, for a second or two."""
_WORKERS_MAX: Final = 64
_ANSWER_EXTRA_BYTES: Final = 4_096
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Where a task starts."""

    layout: ModelLayout
    words: NDArray[np.int32]
    """The initial model: int32[d]."""
    rows: tuple[int, ...]
    """Of each trainer. Not for a log: a count of one hospital is its own."""
    weights: tuple[int, ...]
    """Of each trainer, 1..weight_max, as the roster publishes them."""
    terms: IntegerTerms
    """Recommended for this model, this recipe and this many trainers."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What one trainer's round came to."""

    delta: ModelDelta
    loss: float
    """Mean of the last epoch, on the trainer's own rows: as private as they are."""
    rows: int


@dataclass(frozen=True, slots=True)
class Baselines:
    """What training would reach without the federation, after as many rounds."""

    pooled: float
    """On all rows in one place."""
    alone: tuple[float, ...]
    """On each trainer's own rows."""


class TrainerPool:
    """A few workers that all trainers of this process share. Open it with ``open``."""

    def __init__(self, nursery: trio.Nursery, seconds_max: float) -> None:
        self._nursery = nursery
        self._seconds_max = seconds_max
        self._returned, self._free = trio.open_memory_channel[WorkerProcess](_WORKERS_MAX)
        self._alive = 0
        self._begun = trio.Event()
        self._greeted = trio.Event()
        self._wanting = trio.Event()
        self._why = ""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, workers: int = WORKERS, seconds_max: float = JOB_SECONDS_MAX
    ) -> AsyncIterator[Self]:
        """Start one of ``workers`` and go on; jobs wait until it is ready. Leaving kills them.

        The others start when a job has waited for a while.

        ``seconds_max`` is the deadline of one job, from when a worker takes it.
        """
        assert 1 <= workers <= _WORKERS_MAX
        async with trio.open_nursery() as nursery:
            pool = cls(nursery, seconds_max)
            pool._alive = workers
            nursery.start_soon(pool._serve_all, workers)
            await pool._begun.wait()
            yield pool
            nursery.cancel_scope.cancel()

    async def prepare(self, job: PrepareJob) -> Prepared:
        """Write every trainer's rows and the held-out ones; return where the task starts.

        Raises ``UsageError`` for an unknown task or too many trainers.
        """
        return await self._do(job, jobs.FRAME_BYTES_MAX, lambda values: _prepared(job, values))

    async def train(self, job: TrainJob) -> Trained:
        """Train one round on one shard."""
        return await self._do(job, _answer_bytes(job.words), lambda v: _trained(job, v))

    async def evaluate(self, job: EvaluateJob) -> float:
        """Return the task's measure of a model on the held-out rows."""
        return await self._do(job, _answer_bytes(b""), _measure)

    async def baselines(self, job: SoloJob) -> Baselines:
        """Measure training on all shards of ``job`` pooled, and on each alone.

        For demonstrations: it needs the rows of all trainers.
        """
        alone = [replace(job, shards=(shard,)) for shard in job.shards]
        # One after the other: those who train for a round do not wait for all of them.
        pooled, *each = [await self._do(it, _answer_bytes(b""), _measure) for it in (job, *alone)]
        return Baselines(pooled, tuple(each))

    async def _do(
        self, job: Job, bytes_max: int, read: Callable[[tuple[Any, ...]], _Result]
    ) -> _Result:
        match await self._exchange(job, bytes_max):
            case (jobs.DONE, *values):
                try:
                    return read(tuple(values))
                except (ValueError, TypeError, ModelError) as error:
                    raise TrainingError(f"'{job.KIND}' gave nonsense: {error}") from error
            case (jobs.REFUSED, str(cause), str(remedy)):
                raise UsageError(cause, remedy)
            case (jobs.FAILED, str(detail)):
                raise TrainingError(detail)
            case _:
                raise TrainingError(f"'{job.KIND}' gave nonsense")

    async def _exchange(self, job: Job, bytes_max: int) -> tuple[Any, ...]:
        """Have a free worker do ``job``. One that was cut short is never used again."""
        worker = await self._take()
        try:
            with trio.fail_after(self._seconds_max):
                answer = await worker.ask(job, bytes_max)
        except trio.TooSlowError as error:
            worker.retired.set()
            raise TrainingTooSlow(job.KIND, self._seconds_max) from error
        except BaseException:
            worker.retired.set()
            raise
        self._returned.send_nowait(worker)
        return answer

    async def _take(self) -> WorkerProcess:
        await self._greeted.wait()
        with trio.move_on_after(PATIENCE_SECONDS):
            return await self._next()
        self._wanting.set()
        return await self._next()

    async def _next(self) -> WorkerProcess:
        async for worker in self._free:
            if worker.is_running:
                return worker
            worker.retired.set()
        raise NoWorkers(self._why)

    async def _serve_all(self, workers: int) -> None:
        self._nursery.start_soon(self._serve)
        await self._wanting.wait()
        for _ in range(workers - 1):
            self._nursery.start_soon(self._serve)

    async def _serve(self) -> None:
        """Keep one worker running, until a new one does not even start."""
        while await self._serve_one():
            pass
        self._alive -= 1
        if not self._alive:
            self._returned.close()

    async def _serve_one(self) -> bool:
        """Offer one worker until it retires; say whether it became ready."""
        worker = await WorkerProcess.start()
        self._begun.set()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.listen)
                started = await self._greet(worker)
                self._greeted.set()
                if started:
                    self._returned.send_nowait(worker)
                    await worker.retired.wait()
                nursery.cancel_scope.cancel()
        finally:
            await worker.stop()
        return started

    async def _greet(self, worker: WorkerProcess) -> bool:
        try:
            await worker.ready()
        except WorkerDied as error:
            self._why = error.detail
        except trio.TooSlowError:
            self._why = f"not ready after {START_SECONDS_MAX:g} s"
        else:
            return True
        return False


def _prepared(job: PrepareJob, values: tuple[Any, ...]) -> Prepared:
    parameters, words, rows, weights, terms = values
    layout = ModelLayout(parameters)
    if len(rows) != len(job.shards) or len(weights) != len(rows):
        raise ValueError("another number of trainers")
    prepared = IntegerTerms(*terms)
    return Prepared(layout, model_words(words, layout.words), rows, weights, prepared)


def _trained(job: TrainJob, values: tuple[Any, ...]) -> Trained:
    data, loss, rows = values
    delta = np.frombuffer(data, "<f8").astype(np.float64, copy=False)
    words = len(job.words) // MODEL_DTYPE.itemsize
    if delta.size != words:
        raise LengthError(delta.size, words)
    return Trained(ModelDelta(delta), float(loss), int(rows))


def _measure(values: tuple[Any, ...]) -> float:
    (measure,) = values
    return float(measure)


def _answer_bytes(words: bytes) -> int:
    """Return how long an answer to a job on ``words`` may be: a delta is twice as long."""
    return 2 * len(words) + _ANSWER_EXTRA_BYTES
