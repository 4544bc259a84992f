"""What a node asks of a training process, and the frames that carry it. Free of torch.

A frame is four big-endian bytes of length and a msgpack array. Never pickle: a worker runs code
that the node does not trust with its memory.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, ClassVar, Final

import msgpack

FRAME_BYTES_MAX: Final = 1 << 30
"""A model of 100 million words, as float64, and what belongs to it."""
HEAD_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class PrepareJob:
    """Divide the task's data among trainers, write the files, and describe the start."""

    KIND: ClassVar[str] = "prepare"
    task: str
    shards: tuple[str, ...]
    """One file for each trainer, to be written."""
    held_out: str
    seed: int


@dataclass(frozen=True, slots=True)
class TrainJob:
    """One trainer's round."""

    KIND: ClassVar[str] = "train"
    task: str
    shard: str
    words: bytes
    """The global model: little-endian int32."""
    seed: int
    trainer: int
    round: int


@dataclass(frozen=True, slots=True)
class EvaluateJob:
    """Measure a model on rows that nobody trains on."""

    KIND: ClassVar[str] = "evaluate"
    task: str
    held_out: str
    words: bytes


@dataclass(frozen=True, slots=True)
class SoloJob:
    """Train ``rounds`` rounds on the rows of ``shards`` together and measure."""

    KIND: ClassVar[str] = "solo"
    task: str
    shards: tuple[str, ...]
    held_out: str
    words: bytes
    seed: int
    rounds: int


Job = PrepareJob | TrainJob | EvaluateJob | SoloJob
_JOBS: Final[dict[str, Callable[..., Job]]] = {
    PrepareJob.KIND: PrepareJob,
    TrainJob.KIND: TrainJob,
    EvaluateJob.KIND: EvaluateJob,
    SoloJob.KIND: SoloJob,
}

READY: Final = "ready"
DONE: Final = "done"
REFUSED: Final = "refused"
"""With cause and remedy: the operator can put it right."""
FAILED: Final = "failed"


def pack_frame(values: tuple[Any, ...]) -> bytes:
    """Return the bytes of one frame."""
    body: bytes = msgpack.packb(values, use_bin_type=True)
    assert len(body) <= FRAME_BYTES_MAX
    return len(body).to_bytes(HEAD_BYTES, "big") + body


def unpack_body(body: bytes) -> tuple[Any, ...]:
    """Read what follows a frame's head. Raises ``ValueError``."""
    try:
        values = msgpack.unpackb(body, use_list=False, raw=False)
    except (msgpack.UnpackException, RecursionError) as error:
        raise ValueError("not msgpack") from error
    if type(values) is not tuple or not values:
        raise ValueError("not an array")
    return values


def pack_job(job: Job) -> bytes:
    """Return the frame that asks for ``job``."""
    return pack_frame((job.KIND, *astuple(job)))


def read_job(body: bytes) -> Job:
    """Return the job in a frame from this node."""
    kind, *fields = unpack_body(body)
    return _JOBS[kind](*fields)
