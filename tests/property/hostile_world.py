"""Real messages at the moment when a real machine hears them, and what answering costs."""

import copyreg
from collections import Counter
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from types import MappingProxyType

import coincurve
import msgpack
import pytest
from nacl.public import SealedBox

from flocknode.crypto import masks, merkle
from flocknode.crypto.suites import X25519, Suite
from flocknode.messages.codec import CodecError, decode, encode
from flocknode.messages.wire import GOSSIPED, MESSAGES, Contribution, Message, ModelWords, Outcome
from flocknode.primitives import PeerId
from flocknode.protocol.attempt import header_of
from flocknode.protocol.effects import Effect
from flocknode.protocol.events import MessageReceived
from flocknode.protocol.gossip_rules import GossipIgnore, GossipReject
from flocknode.protocol.round import RoundMachine
from flocknode.sim.world import Faults
from tests.simulation.round_world import calm_world

LOSSY = Faults(loss=0.3, delay_seconds=(0.005, 0.3))
TRIES = 12

# Views of the chain hold read-only mappings, which the standard library does not copy.
copyreg.pickle(MappingProxyType, lambda view: (MappingProxyType, (dict(view),)))


@dataclass(frozen=True)
class Moment:
    """A message about to be heard, with the machine that is about to hear it."""

    machine: RoundMachine
    sender: PeerId
    message: Message
    now: float
    gossiped: bool

    @property
    def data(self) -> bytes:
        return encode(self.message)

    def fresh(self) -> "Moment":
        """Return the same moment with a machine of its own."""
        return Moment(deepcopy(self.machine), self.sender, self.message, self.now, self.gossiped)

    def hear(self, data: bytes, sender: PeerId | None = None) -> "Answer":
        """Let the machine hear bytes as the service does: decode, judge gossip, handle."""
        with counted_work() as work:
            try:
                message = decode(data)
                if self.gossiped:
                    self.machine.judge(message)
                effects = self.machine.handle(
                    MessageReceived(sender or self.sender, message), self.now
                )
            except (CodecError, GossipIgnore, GossipReject) as error:
                return Answer(type(error).__name__, [], work)
        return Answer(None, effects, work)


@dataclass(frozen=True)
class Answer:
    refused: str | None
    """The name of the error that met the bytes before the machine took them in."""
    effects: list[Effect]
    work: Counter
    """Signature checks, trees over vectors, keystreams, opened capsules, unpacked messages."""

    @property
    def costly(self) -> Counter:
        return +Counter({name: n for name, n in self.work.items() if name != "unpacked"})


@contextmanager
def counted_work():
    """Count what is costly, where the libraries are called and nowhere higher."""
    work = Counter()

    def counting(name, function, counts=lambda *_: True):
        def call(*args, **kwargs):
            work[name] += counts(*args)
            return function(*args, **kwargs)

        return call

    def of_vectors(kind, *_):
        return kind not in (merkle.TreeKind.INCLUSION, merkle.TreeKind.ROSTER)

    recover = coincurve.PublicKey.from_signature_and_message
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            coincurve.PublicKey,
            "from_signature_and_message",
            staticmethod(counting("signatures", recover)),
        )
        patch.setattr(merkle, "seal_root", counting("trees", merkle.seal_root, of_vectors))
        patch.setattr(masks, "_keystream", counting("keystreams", masks._keystream))
        patch.setattr(SealedBox, "decrypt", counting("capsules", SealedBox.decrypt))
        patch.setattr(msgpack, "unpackb", counting("unpacked", msgpack.unpackb))
        yield work


def moments(suite: Suite = X25519) -> dict[type[Message], Moment]:
    """Return a moment of each kind, from lossy rounds: somebody asks, somebody reseals."""
    found: dict[type[Message], Moment] = {}
    for seed in range(1, 20):
        found = {**_moments_of(seed, suite), **found}
        if found.keys() == set(MESSAGES):
            return found
    raise AssertionError(f"nobody said {set(MESSAGES) - found.keys()}")


def _moments_of(seed: int, suite: Suite) -> dict[type[Message], Moment]:
    """Keep for each kind the first moment that makes a machine do something, or the first."""
    world = calm_world(seed, validators=10, faults=LOSSY, suite=suite)
    found: dict[type[Message], Moment] = {}
    tries: Counter[type[Message]] = Counter()

    def note(node, sender, message, *, gossiped):
        kind = type(message)
        if tries[kind] >= TRIES or not _is_for(node.machine, message):
            return
        moment = Moment(deepcopy(node.machine), sender, message, world.now, gossiped)
        tries[kind] += TRIES if moment.fresh().hear(moment.data).effects else 1
        found[kind] = moment if tries[kind] >= TRIES else found.get(kind, moment)

    handle, judge = world._handle, world._judge

    def handling(node, event):
        if isinstance(event, MessageReceived) and not isinstance(event.message, GOSSIPED):
            note(node, event.sender, event.message, gossiped=False)
        handle(node, event)

    def judging(node, author, message):
        note(node, author, message, gossiped=True)
        judge(node, author, message)

    world._handle, world._judge = handling, judging
    world.run(seconds=120, beyond=2)
    return found


def _is_for(machine: RoundMachine, message: Message) -> bool:
    """Tell whether the message is for those without a seat, or of the machine's own attempt."""
    if isinstance(message, ModelWords | Outcome):
        return True
    attempt = machine.attempt
    if attempt is None or attempt.seat is None:
        return False
    ctx = header_of(message).ctx if isinstance(message, Contribution) else message.ctx
    return ctx == attempt.seating.ctx
