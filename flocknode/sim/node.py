"""One node of a simulated world, and what can happen to it there."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flocknode.crypto.hashing import keccak256
from flocknode.crypto.signing import SigningKey
from flocknode.messages.statements import Statement
from flocknode.messages.wire import Message
from flocknode.node.blobs import MemoryBlobs
from flocknode.node.vault import Vault
from flocknode.primitives import Digest, PeerId
from flocknode.protocol.chain_view import ChainFold
from flocknode.protocol.events import Event
from flocknode.protocol.round import RoundMachine

TASK = 1
ONION_LAYERS = 64


@dataclass(frozen=True, slots=True)
class Crash:
    """The node is gone until it joins again, if it does."""


@dataclass(frozen=True, slots=True)
class Join:
    """The node comes, or comes back with everything it knew."""


@dataclass(frozen=True, slots=True)
class NewBlock:
    """The node's follower looks at the chain."""


@dataclass(frozen=True, slots=True)
class Gossiped:
    """A message reaches a node by gossip, which judges it before it is delivered."""

    author: PeerId
    message: Message


Happening = Event | Crash | Join | NewBlock | Gossiped


Twist = Callable[[PeerId, Message], Sequence[Message]]
"""What an adversary tells a peer instead of a message."""


class SimulatedNode:
    """A real machine and vault behind simulated ports."""

    def __init__(self, name: int, identities: random.Random, chance: random.Random) -> None:
        """Draw keys and onion from ``identities`` and the seeds of masks from ``chance``."""
        draw = identities.randbytes
        self.key = SigningKey(draw(32))
        self.peer = PeerId(draw(34))
        self.blobs = MemoryBlobs()
        self.vault = Vault(self.blobs, entropy=chance.randbytes, rounding=self._rounding)
        self.fold = ChainFold(TASK)
        self.seen: Digest | None = None
        self.name = name
        self.crashed = False
        self.twist: Twist | None = None
        self.statements: list[Statement] = []
        self.penalties: list[tuple[PeerId, str]] = []
        self.onion = [Digest(draw(32))]
        while len(self.onion) < ONION_LAYERS:
            self.onion.append(keccak256(self.onion[-1]))
        self.machine: RoundMachine

    def _rounding(self, round_: int) -> bytes:
        """Return the dither secret of a round: the node's own, whatever the network does."""
        return hashlib.sha256(b"rounding" + self.peer + round_.to_bytes(8, "big")).digest()
