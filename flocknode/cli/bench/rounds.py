"""What rounds cost by the length of the model: twelve trainers and a committee of 3x3, for real.

Training is a dummy. All nodes share one process, which is started anew for each length, so that its
peak of memory is this length's own: ``python -m flocknode.cli.bench.rounds WORDS`` prints one line.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import trio

from flocknode.cli.bench.figure import Figure
from flocknode.cli.bench.transfer import measure_pulls
from flocknode.cli.demo.plan import DemoOptions
from flocknode.cli.demo.report import bytes_needed, count_traffic
from flocknode.cli.demo.run import watch
from flocknode.cli.demo.stage import Stage, open_grounds, set_stage, start_nodes
from flocknode.cli.process import tune_process
from flocknode.learning.jobs import PrepareJob, TrainJob
from flocknode.learning.pool import Prepared, Trained, TrainerPool
from flocknode.learning.recipe import WEIGHT_MAX, Reach, default_terms
from flocknode.model.layout import ModelLayout
from flocknode.model.stages import ModelDelta
from flocknode.model.terms import IntegerTerms, TaskTerms, Windows
from flocknode.primitives import Digest

TRAINERS, COLUMNS, SEATS = 12, 3, 3
ROUNDS = {10_000: 5, 1_000_000: 2, 10_000_000: 1}
"""How many rounds are measured of a model of so many words."""
SECONDS_MAX = 900.0
BYTES_RATIO_MAX = 1.1
SECONDS_RATIO_MAX = 3.0
MEMORY_GIB_MAX = 8.0
FORMULA = "N n B + k (n - m) B + (N + V - n) 4 d"
"""Bytes that a round needs: N trainers, n seats in k columns of m, V validators, d words, B bytes
of a vector."""

_STEP = 1e-4
_WINDOWS = Windows(
    collect=600, settle=2, view=600, demand=1, roots=600, challenge=1, abort=4, finality=0
)
"""So long that nothing is cut short on a slow machine: whole sets and proposals do not wait."""


@dataclass(frozen=True, slots=True)
class RoundCost:
    """What one round cost, as a mean over those measured."""

    words: int
    seconds: float
    """From the opening until every trainer has the next model."""
    cpu_seconds: float
    sent_bytes: int
    needed_bytes: int
    peak_bytes: int
    """Resident at most, of all nodes together and from the start of the process."""


class BenchOptions(DemoOptions):
    """The demo's options with windows that no transfer outlasts."""

    __slots__ = ()

    def terms(self, integers: IntegerTerms) -> TaskTerms:
        return replace(DemoOptions.terms(self, integers), windows=_WINDOWS)


class DummyPool(TrainerPool):
    """Answers at once: a model of zeros, and the same small delta for everyone."""

    def __init__(self, words: int) -> None:
        """Start no process."""
        self._words = words

    async def prepare(self, job: PrepareJob) -> Prepared:
        reach = Reach(norm=_STEP * self._words**0.5, coordinate=_STEP)
        count = len(job.shards)
        return Prepared(
            ModelLayout((("dummy", (self._words,)),)),
            np.zeros(self._words, np.int32),
            (1,) * count,
            (WEIGHT_MAX,) * count,
            default_terms(self._words, count, reach),
        )

    async def train(self, job: TrainJob) -> Trained:
        delta = np.full(self._words, _STEP * (1 + job.trainer) / TRAINERS)
        return Trained(ModelDelta(delta), 0.0, 1)


def measure_rounds(words: int) -> list[Figure]:
    """Measure one length in a process of its own; blocks while it runs.

    The time that a round's bytes take in pulls within one process is what its seconds are measured
    by. Those pulls are measured before and after it, since a machine has other things to do.
    """
    command = [sys.executable, "-m", "flocknode.cli.bench.rounds", str(words)]
    before = measure_pulls()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=SECONDS_MAX)
    cost = RoundCost(**json.loads(done.stdout.splitlines()[-1]))
    return figures_of(cost, (before + measure_pulls()) / 2)


def figures_of(cost: RoundCost, bytes_per_second: float) -> list[Figure]:
    """Set a round's cost against what it needs."""
    of = f"a round of {cost.words:,} words"
    needed_seconds = cost.needed_bytes / bytes_per_second
    is_bulk = cost.words == max(ROUNDS)
    return [
        Figure(f"blob pulls beside {of}", bytes_per_second / 1e6, "MB/s", None, None),
        Figure(
            f"seconds of {of}",
            cost.seconds,
            "s",
            SECONDS_RATIO_MAX * needed_seconds if is_bulk else None,
            cost.seconds / needed_seconds,
        ),
        Figure(f"processor seconds of {of}", cost.cpu_seconds, "s", None, None),
        Figure(
            f"bytes of {of}, against {FORMULA}",
            float(cost.sent_bytes),
            "B",
            BYTES_RATIO_MAX * cost.needed_bytes if is_bulk else None,
            cost.sent_bytes / cost.needed_bytes,
        ),
        Figure(
            f"peak memory of {of}",
            cost.peak_bytes / 2**30,
            "GiB",
            MEMORY_GIB_MAX if is_bulk else None,
            cost.peak_bytes / (MEMORY_GIB_MAX * 2**30),
        ),
    ]


async def _measure(words: int, directory: Path) -> RoundCost:
    rounds = ROUNDS.get(words, 1)
    options = BenchOptions(
        task="breast-cancer",
        rounds=rounds,
        trainers=TRAINERS,
        validators=COLUMNS * SEATS,
        columns=COLUMNS,
        seats=SEATS,
        chain="anvil",
        seed=0,
        timeout=SECONDS_MAX,
        keep=None,
        port=0,
    )
    async with (
        open_grounds(directory, DummyPool(words), options.chain) as grounds,
        trio.open_nursery() as nursery,
    ):
        stage = await set_stage(grounds, options)
        await start_nodes(stage, nursery)
        before, started = _cpu_seconds(), time.monotonic()
        watcher = await watch(stage)
        for _ in range(rounds):
            record = await watcher.settled()
        await _spread(stage, record.settled.model_root)
        seconds, cpu = time.monotonic() - started, _cpu_seconds() - before
        traffic = count_traffic(stage)
        nursery.cancel_scope.cancel()
    return RoundCost(
        words,
        seconds / rounds,
        cpu / rounds,
        (traffic.bytes_bulk + traffic.bytes_gossiped) // rounds,
        bytes_needed(stage),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


async def _spread(stage: Stage, model_root: Digest) -> None:
    """Wait until every trainer has the model."""
    for node in stage.nodes[: len(stage.trainers)]:
        while node.blobs.get(model_root) is None:  # noqa: ASYNC110  # a store has no event
            await trio.sleep(0.05)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(words: int) -> None:
    """Measure rounds of ``words`` in this process and print their cost."""
    tune_process()
    with tempfile.TemporaryDirectory(prefix="flocknode-bench-") as directory:
        cost = trio.run(_measure, words, Path(directory))
    sys.stdout.write(json.dumps(asdict(cost)) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]))
