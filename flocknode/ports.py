"""The seams between the node's services and the world."""

from collections.abc import AsyncIterable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from flocknode.crypto.merkle import TreeKind
from flocknode.messages.slots import Slot
from flocknode.messages.statements import Statement
from flocknode.model.stages import ModelDelta
from flocknode.primitives import Digest, PeerId, Seconds
from flocknode.protocol.ledger import Call, ChainProgress


class Inbound(Protocol):
    """Bytes from a peer: over its direct stream, or gossiped and already judged."""

    @property
    def peer(self) -> PeerId: ...

    @property
    def payload(self) -> bytes: ...


class Network(Protocol):
    """Gossip, direct streams and bulk, seen from one node."""

    @property
    def incoming(self) -> AsyncIterable[Inbound]: ...

    async def publish(self, topic: str, payload: bytes) -> None:
        """Gossip; delivery is not promised."""

    def send(self, peer: PeerId, payload: bytes) -> bool:
        """Queue for the direct stream; False when there is none or it is full."""

    async def fetch(
        self,
        root: Digest,
        kind: TreeKind,
        length: int,
        holders: Sequence[PeerId],
        draft: "Draft",
        leaf_bytes: int,
    ) -> None:
        """Pull what ``draft`` lacks of the ``length`` bytes under ``root``, and check it.

        Raises a ``FlockError`` when no holder can give it; the draft keeps what came.
        """

    def offer(self, root: Digest, peers: Iterable[PeerId]) -> None:
        """Serve ``root`` to ``peers`` only, besides those that it was offered to before."""

    def admit(self, members: frozenset[PeerId]) -> None:
        """Let nobody else connect from now on."""

    def keep(self, peers: Iterable[PeerId], later: AbstractSet[PeerId]) -> None:
        """Hold direct streams with exactly these peers, as far as they can be found.

        Those of ``later`` can wait for some seconds.
        """

    def penalise(self, peer: PeerId, reason: str) -> None:
        """Count a fault of ``peer``: too many get it banned."""


class Ledger(Protocol):
    """The contracts, seen from one node."""

    def progress(self, task: int) -> AsyncIterable[ChainProgress]:
        """Follow the chain from the contracts' first block, for a node of ``task``."""

    async def submit(self, call: Call) -> None:
        """Send a transaction and wait for its receipt; raises a ``FlockError`` if it failed."""


class Trainer(Protocol):
    """Local training on data that never leaves the institution."""

    async def train(self, round_: int, model: bytes) -> ModelDelta:
        """Train from int32 model words."""


class Signer(Protocol):
    """The only component that signs: it records first, and signs one statement per slot."""

    async def sign(self, statement: Statement) -> bytes | None:
        """Return the signature, or None if the slot already holds another statement."""


class Draft(Protocol):
    """The first bytes of a blob that is on its way; may block. Raises a ``FlockError``."""

    @property
    def held(self) -> int:
        """Return how many bytes are here."""

    def read(self, start: int, size: int) -> bytes | bytearray: ...

    def append(self, data: bytes | bytearray) -> None: ...

    def cut(self, size: int) -> None:
        """Keep the first ``size`` bytes only."""


class BlobStore(Protocol):
    """Bytes by content address; the oldest may be gone at any time. May block."""

    def put(self, root: Digest, data: bytes | memoryview, *, sync: bool = False) -> None:
        """Keep ``data``, whose root the caller has checked; ``sync``: beyond a power loss."""

    def get(self, root: Digest) -> bytes | memoryview | None: ...

    def discard(self, root: Digest) -> None: ...

    def draft(self, root: Digest, length: int) -> Draft:
        """Return what was pulled of ``root`` so far."""

    def finish(self, root: Digest, draft: Draft, *, sync: bool) -> None:
        """Make a blob of ``draft``, whose root the caller has checked."""


class SlotRecord(Protocol):
    """Which statement fills which slot; called in a thread."""

    def record(self, slot: Slot, digest: Digest) -> bool:
        """Fill the slot for good before returning True; False if it holds another statement."""

    def holds(self, slot: Slot) -> bool:
        """Tell whether the slot is filled."""


class SecretStore(Protocol):
    """Secrets by name; may block. What is saved outlives the process before ``save`` returns."""

    def names(self) -> tuple[str, ...]: ...

    def save(self, name: str, secret: bytes) -> None: ...

    def load(self, name: str) -> bytes | None: ...

    def destroy(self, name: str) -> None:
        """Leave no trace of it."""


@dataclass(frozen=True, slots=True)
class Ban:
    """``peer`` is kept out until a time of the wall clock; it is its ban number ``count``."""

    peer: PeerId
    until: Seconds
    count: int


class BanRecord(Protocol):
    """Bans that outlive the process; may block."""

    def load(self) -> Sequence[Ban]: ...

    def save(self, bans: Sequence[Ban]) -> None: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """An encoded message of the attempt (round, attempt) that ``ctx`` names."""

    attempt: tuple[int, int]
    ctx: Digest
    sender: PeerId
    payload: bytes


class Consent(Protocol):
    """What a trainer's operator agreed to; may block."""

    def given(self, round_: int, pause: int) -> bool:
        """Tell whether the round's delta may be sent again after that pause of the task."""


class Journal(Protocol):
    """Messages that a seat hears again after a restart; may block."""

    def remember(self, heard: Sequence[Heard]) -> None: ...

    def recall(self, ctx: Digest) -> list[tuple[PeerId, bytes]]:
        """Return the attempt's messages in the order in which they came."""

    def forget_before(self, attempt: tuple[int, int]) -> None: ...


class Outbox(Protocol):
    """One key's signed transactions by nonce, until one of that nonce is final; may block."""

    def keep(self, nonce: int, raw: bytes) -> None:
        """Add an attempt at ``nonce``, which outlives the process before this returns."""

    def kept(self) -> list[tuple[int, bytes]]:
        """Return nonces and transactions, of one nonce in the order in which they were kept."""

    def forget_to(self, nonce: int) -> None:
        """Drop everything up to and including ``nonce``."""
