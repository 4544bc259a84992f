"""The pool with real processes; each costs seconds to start, so a test makes several claims."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing

from flocknode.errors import UsageError
from flocknode.learning import pool as pool_module
from flocknode.learning.errors import NoWorkers, TrainingError, TrainingTooSlow, WorkerDied
from flocknode.learning.jobs import EvaluateJob, PrepareJob, SoloJob, TrainJob
from flocknode.learning.pool import TrainerPool
from flocknode.learning.trainer import LocalTrainer
from flocknode.model.words import words_bytes

TRAINERS = 3
SEED = 11

# Its trainers misbehave by number: 1 dies, 2 hangs, 3 raises, 4 diverges; the others train.
TASK_FILE = """
import os, time
import numpy as np
from torch import nn
from flocknode.learning.shards import Shard, Split
from flocknode.learning.task import Task

class Lines(Task):
    name, input_shape, classes = "lines", (2,), 2
    epochs = 1

    def model(self):
        return nn.Linear(2, 2)

    def split(self, trainers, seed):
        rows = np.random.default_rng(seed).standard_normal((8, 2)).astype(np.float32)
        shards = [Shard(rows, np.full(8, 10 * k)) for k in range(trainers)]
        return Split(tuple(shards), Shard(rows, (rows[:, 0] > 0).astype(np.int64)))

    def train(self, model, shard, generator):
        match int(shard.labels[0]):
            case 10:
                print("out of luck", flush=True)
                os._exit(9)
            case 20:
                time.sleep(60)
            case 30:
                raise RuntimeError("no such scanner")
            case 40:
                nn.init.constant_(model.bias, float("nan"))
                return 0.0
        return super().train(model, shard, generator)
"""


def _prepare_job(directory: Path, task: str, trainers: int) -> PrepareJob:
    shards = tuple(str(directory / str(k) / "shard.npz") for k in range(trainers))
    return PrepareJob(task, shards, str(directory / "held_out.npz"), SEED)


def _workers_of(parent: int) -> set[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {
        pid
        for pid in pids
        if b"flocknode.learning.worker" in _command(pid) and _parent_of(pid) == parent
    }


def _parent_of(pid: int) -> int:
    try:
        # After the name in brackets, which may hold anything: state, then parent.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


async def test_workers_repeat_one_another_and_learn(tmp_path, monkeypatch):
    before = _workers_of(os.getpid())
    async with TrainerPool.open(workers=2) as pool:
        job = _prepare_job(tmp_path, "breast-cancer", TRAINERS)
        prepared = await pool.prepare(job)
        words = bytes(words_bytes(prepared.words))
        assert prepared.layout.words == prepared.terms.words == len(prepared.words)
        assert sum(prepared.rows) == 569 - 113
        assert max(prepared.weights) == prepared.terms.weight_max

        solo = SoloJob(job.task, job.shards, job.held_out, words, SEED, rounds=2)
        assert len(_workers_of(os.getpid()) - before) == 1
        # A job that waits calls for the second worker.
        monkeypatch.setattr(pool_module, "PATIENCE_SECONDS", 0.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.evaluate, EvaluateJob(job.task, job.held_out, words))
            nursery.start_soon(pool.baselines, solo)
        with trio.fail_after(60):
            while pool._free.statistics().current_buffer_used < 2:  # noqa: ASYNC110  # no event
                await trio.sleep(0.05)
        assert len(_workers_of(os.getpid()) - before) == 2

        train = TrainJob(job.task, job.shards[0], words, SEED, trainer=0, round=4)
        results = []

        async def train_once() -> None:
            results.append(await pool.train(train))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(train_once)
            nursery.start_soon(train_once)
        first, second = results
        assert first.delta.values.tobytes() == second.delta.values.tobytes()
        assert (first.loss, first.rows) == (second.loss, prepared.rows[0])
        assert np.linalg.norm(first.delta.values) <= 2.0**prepared.terms.clip_norm_log2

        local = LocalTrainer(pool, job.task, job.shards[0], SEED, trainer=0)
        assert np.array_equal((await local.train(4, words)).values, first.delta.values)
        assert not np.array_equal((await local.train(5, words)).values, first.delta.values)

        untrained = await pool.evaluate(EvaluateJob(job.task, job.held_out, words))
        baselines = await pool.baselines(solo)
        assert len(baselines.alone) == TRAINERS
        assert baselines.pooled > max(0.9, untrained)

        with pytest.raises(UsageError, match="no task 'lungs'"):
            await pool.prepare(_prepare_job(tmp_path, "lungs", TRAINERS))
        assert _resident_mb(_workers_of(os.getpid())) <= 450
    assert "torch" not in _modules_of_the_pool()


def _resident_mb(pids: set[int]) -> float:
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return max(pages) * os.sysconf("SC_PAGESIZE") / 1e6


def _modules_of_the_pool() -> set[str]:
    code = "import sys, flocknode.learning.trainer; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


async def test_faulty_training_fails_its_job_only(tmp_path):
    (tmp_path / "lines.py").write_text(TASK_FILE)
    job = _prepare_job(tmp_path, f"{tmp_path}/lines.py:Lines", 5)
    async with TrainerPool.open(workers=1, seconds_max=1.0) as pool:
        words = bytes(words_bytes((await pool.prepare(job)).words))

        async def train(trainer: int, words: bytes = words) -> bytes:
            train = TrainJob(job.task, job.shards[trainer], words, SEED, trainer, 0)
            return (await pool.train(train)).delta.values.tobytes()

        before = await train(0)
        with pytest.raises(TrainingError, match="RuntimeError: no such scanner"):
            await train(3)
        with pytest.raises(TrainingError, match="diverged"):
            await train(4)
        with pytest.raises(TrainingError, match="LengthError"):
            await train(0, words[:-4])
        with pytest.raises(WorkerDied, match="out of luck"):
            await train(1)
        assert await train(0) == before
        with pytest.raises(TrainingTooSlow, match="longer than 1 s"):
            await train(2)


async def test_cancelled_pool_leaves_no_process_behind(tmp_path):
    (tmp_path / "lines.py").write_text(TASK_FILE)
    job = _prepare_job(tmp_path, f"{tmp_path}/lines.py:Lines", 3)
    before = _workers_of(os.getpid())
    with trio.move_on_after(30) as scope:
        async with TrainerPool.open(workers=1) as pool, trio.open_nursery() as nursery:
            prepared = await pool.prepare(job)
            words = bytes(words_bytes(prepared.words))
            hanging = TrainJob(job.task, job.shards[2], words, SEED, 2, 0)
            nursery.start_soon(pool.train, hanging)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(_workers_of(os.getpid()) - before) == 1
            scope.cancel()
    assert _workers_of(os.getpid()) == before


async def test_pool_whose_workers_cannot_start_says_why(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with TrainerPool.open(workers=2) as pool:
        with pytest.raises(NoWorkers) as caught:
            await pool.evaluate(EvaluateJob("breast-cancer", "none", b""))
    assert caught.value.exit_code == 69


PARENT = """
import trio
import trio.testing
from flocknode.learning.jobs import PrepareJob, TrainJob
from flocknode.learning import pool as pool_module
from flocknode.learning.pool import TrainerPool

async def main():
    async with TrainerPool.open(workers=1) as pool:
        job = PrepareJob({task!r}, {shards!r}, {held_out!r}, 1)
        words = (await pool.prepare(job)).words.tobytes()
        print("training", flush=True)
        await pool.train(TrainJob(job.task, job.shards[2], words, 1, 2, 0))

trio.run(main)
"""


def test_worker_ends_with_a_killed_parent_even_while_it_trains(tmp_path):
    (tmp_path / "lines.py").write_text(TASK_FILE)
    job = _prepare_job(tmp_path, f"{tmp_path}/lines.py:Lines", 3)
    code = PARENT.format(task=job.task, shards=job.shards, held_out=job.held_out)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"training\n"
        (worker,) = _workers_of(parent.pid)
        os.kill(worker, signal.SIGINT)  # Ignored: the parent decides.
        with pytest.raises(subprocess.TimeoutExpired):
            parent.wait(0.3)
        assert _command(worker)
    finally:
        parent.kill()
        parent.communicate()
    deadline = time.monotonic() + 5
    while _command(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _command(worker)
