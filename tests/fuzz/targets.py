"""Functions of hostile bytes. Each returns, or raises what no hostile bytes may raise."""

from functools import cache
from pathlib import Path

from flocknode.cli.task_file import TaskFile, read_task_file
from flocknode.errors import ConfigurationError
from flocknode.learning.jobs import unpack_body
from flocknode.messages.codec import CodecError, decode, encode
from flocknode.messages.wire import MESSAGES, Contribution, Message, SeatKeyBundle
from flocknode.p2p.faults import OversizedError
from flocknode.p2p.framing import FRAME_BYTES_MAX, Unframer
from flocknode.protocol.effects import Penalise
from tests.builders import task_terms
from tests.consortium import MODEL_ROOT as ROOT
from tests.consortium import roster
from tests.property.hostile_world import Moment, moments


def messages(data: bytes) -> None:
    """Decode as anything, and what lies inside as well."""
    try:
        message = decode(data)
    except CodecError:
        return
    assert encode(message) == data
    assert len(data) <= message.SIZE_MAX
    for inner in _inside(message):
        messages(inner)


def _inside(message: Message) -> tuple[bytes, ...]:
    match message:
        case Contribution():
            return (message.header,)
        case SeatKeyBundle():
            return message.keys
        case _:
            return ()


def machine(data: bytes) -> None:
    """Let a real machine hear bytes at the moment of a round that the first byte names."""
    if not data:
        return
    kind = MESSAGES[data[0] % len(MESSAGES)]
    answer = live_moments()[kind].fresh().hear(data[1:])
    assert answer.costly["signatures"] <= 21
    assert answer.costly["trees"] <= 1
    assert answer.costly["keystreams"] == answer.costly["capsules"] == 0
    assert sum(isinstance(effect, Penalise) for effect in answer.effects) <= 1


@cache
def live_moments() -> dict[type[Message], Moment]:
    return moments()


def frames(data: bytes) -> None:
    """Cut a stream into frames, in two pieces, as a peer may send them."""
    whole, parts = Unframer(), Unframer()
    cut = data[0] % len(data) if data else 0
    assert _fed(whole, data) == _fed(parts, data[:cut], data[cut:])


def _fed(unframer: Unframer, *pieces: bytes) -> list[bytes]:
    found: list[bytes] = []
    try:
        for piece in pieces:
            found += unframer.feed(piece)
    except OversizedError:
        pass
    assert all(len(payload) <= FRAME_BYTES_MAX for payload in found)
    return found


def training(data: bytes) -> None:
    """Read what a training process, which runs foreign code, writes."""
    try:
        values = unpack_body(data)
    except ValueError:
        return
    assert values


def task(data: bytes) -> None:
    """Read a task's file, which its creator wrote."""
    try:
        found = read_task_file(data, Path("task.json"))
    except ConfigurationError:
        return
    assert found.to_bytes() == data
    assert isinstance(found.terms.seats, int)
    assert len(found.roster.root()) == 32


def example_task() -> TaskFile:
    return TaskFile("breast-cancer", ROOT, ROOT, task_terms(), roster(2))


TARGETS = {
    "messages": messages,
    "machine": machine,
    "frames": frames,
    "task": task,
    "training": training,
}
