"""The seams between the node's services and the world."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from flocknode.messages.statements import Statement
from flocknode.model.stages import ModelDelta
from flocknode.primitives import Digest, PeerId
from flocknode.protocol.ledger import Call, ChainProgress


@dataclass(frozen=True, slots=True)
class Inbound:
    """Bytes from a peer: over its direct stream, or gossiped and already judged."""

    peer: PeerId
    payload: bytes
    gossiped: bool


class Network(Protocol):
    """Gossip, direct streams and bulk, seen from one node."""

    def incoming(self) -> AsyncIterator[Inbound]: ...

    async def publish(self, payload: bytes) -> None:
        """Gossip to the task's topic; delivery is not promised."""

    def send(self, peer: PeerId, payload: bytes) -> bool:
        """Queue for the direct stream; False when there is none or it is full."""

    async def fetch(
        self,
        root: Digest,
        length: int,
        holders: Sequence[PeerId],
        verify: Callable[[memoryview], bool],
    ) -> bytes | None:
        """Pull exactly ``length`` bytes that pass ``verify`` from the first holder that can."""

    def keep(self, peers: Mapping[PeerId, str]) -> None:
        """Keep direct streams to these peers, at these addresses."""

    def penalise(self, peer: PeerId, reason: str) -> None: ...


class Ledger(Protocol):
    """The contracts, seen from one node."""

    def progress(self) -> AsyncIterator[ChainProgress]: ...

    async def submit(self, call: Call) -> None:
        """Send a transaction and wait for its receipt; a refusal by the contract is logged."""


class Trainer(Protocol):
    """Local training on data that never leaves the institution."""

    async def train(self, round_: int, model: bytes) -> ModelDelta:
        """Train from int32 model words."""


class Signer(Protocol):
    """The only component that signs: it records first, and signs one statement per slot."""

    async def sign(self, statement: Statement) -> bytes | None:
        """Return the signature, or None if the slot already holds another statement."""


class BlobStore(Protocol):
    """Bytes by content address."""

    def put(self, root: Digest, data: bytes) -> None: ...

    def get(self, root: Digest) -> bytes | None: ...

    def discard(self, root: Digest) -> None: ...
