"""A training process: jobs on standard input, answers on standard output, until input ends.

    python -m flocknode.learning.worker

It ends with its parent, whatever ends that, because the kernel then closes its input.
"""

import os
import queue
import signal
import sys
import threading
from dataclasses import astuple
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from flocknode.errors import OperatorError
from flocknode.learning import jobs, training
from flocknode.learning.jobs import EvaluateJob, Job, PrepareJob, SoloJob, TrainJob
from flocknode.learning.modules import layout_of
from flocknode.learning.recipe import default_terms, roster_weights
from flocknode.learning.seeds import derive
from flocknode.learning.shards import join, read_shard, write_shard
from flocknode.learning.task import load_task
from flocknode.model.words import MODEL_DTYPE, words_bytes


def main() -> None:
    """Answer jobs one after another."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent decides when a worker ends.
    answers = _claim_output()
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_frames, args=(frames,), daemon=True).start()
    training.make_deterministic()
    _answer(answers, (jobs.READY,))
    while True:
        _answer(answers, _outcome(jobs.read_job(frames.get())))


def _claim_output() -> BinaryIO:
    """Keep standard output for answers; what a task prints goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def _read_frames(frames: queue.SimpleQueue[bytes]) -> None:
    """Queue frames; end the process when input ends, even in the middle of a job."""
    source = sys.stdin.buffer
    while len(head := source.read(jobs.HEAD_BYTES)) == jobs.HEAD_BYTES:
        frames.put(source.read(int.from_bytes(head, "big")))
    os._exit(0)


def _answer(answers: BinaryIO, values: tuple[Any, ...]) -> None:
    answers.write(jobs.pack_frame(values))
    answers.flush()


def _outcome(job: Job) -> tuple[Any, ...]:
    try:
        return (jobs.DONE, *perform(job))
    except OperatorError as error:
        return (jobs.REFUSED, error.cause, error.remedy)
    except Exception as error:
        return (jobs.FAILED, f"{type(error).__name__}: {error}")


def perform(job: Job) -> tuple[Any, ...]:
    """Do ``job`` and return its answer's values."""
    match job:
        case PrepareJob():
            return _prepare(job)
        case TrainJob():
            return _train(job)
        case EvaluateJob():
            task = load_task(job.task)
            return (training.accuracy(task, _words(job.words), read_shard(Path(job.held_out))),)
        case SoloJob():
            return _solo(job)


def _prepare(job: PrepareJob) -> tuple[Any, ...]:
    task = load_task(job.task)
    torch.manual_seed(derive(job.seed, "split"))
    split = task.split(len(job.shards), derive(job.seed, "split"))
    for path, shard in zip(job.shards, split.shards, strict=True):
        write_shard(Path(path), shard)
    write_shard(Path(job.held_out), split.held_out)
    layout = layout_of(task.model())
    words = training.initial_words(task, job.seed)
    rows = tuple(len(shard) for shard in split.shards)
    terms = default_terms(layout.words, len(rows), training.dry_run(task, words))
    start = words_bytes(words).tobytes()
    return (layout.parameters, start, rows, roster_weights(rows), astuple(terms))


def _train(job: TrainJob) -> tuple[Any, ...]:
    update = training.local_update(
        load_task(job.task),
        _words(job.words),
        read_shard(Path(job.shard)),
        job.seed,
        job.trainer,
        job.round,
    )
    return (update.delta.astype("<f8").tobytes(), update.loss, update.rows)


def _solo(job: SoloJob) -> tuple[Any, ...]:
    rows = join([read_shard(Path(path)) for path in job.shards])
    return (
        training.solo_accuracy(
            load_task(job.task),
            _words(job.words),
            rows,
            read_shard(Path(job.held_out)),
            job.seed,
            job.rounds,
        ),
    )


def _words(data: bytes) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.frombuffer(data, MODEL_DTYPE)


if __name__ == "__main__":
    main()
