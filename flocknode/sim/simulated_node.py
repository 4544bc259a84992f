"""A node of the simulated world: a real machine and vault, a store, and a process that may die."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.hashing import keccak256
from flocknode.crypto.signing import SigningKey
from flocknode.crypto.suites import Suite
from flocknode.messages.slots import slot_of
from flocknode.messages.statements import Statement, statement_digest
from flocknode.messages.wire import Message
from flocknode.node.memory import MemoryConsent, MemoryStorage
from flocknode.node.prover import Prover
from flocknode.node.vault import Vault
from flocknode.ports import BlobStore, Journal, SecretStore, SlotRecord
from flocknode.primitives import Digest, PeerId
from flocknode.protocol.chain_view import ChainFold
from flocknode.protocol.events import Signed
from flocknode.protocol.ledger import TaskCreated
from flocknode.protocol.roster import Roster
from flocknode.protocol.round import RoundMachine
from flocknode.sim.liars import LyingMachine, Plot

TASK = 1
ONION_LAYERS = 64

Twist = Callable[[PeerId, Message], Sequence[Message]]
"""What an adversary tells a peer instead of a message."""


class Storage(Protocol):
    """What outlives a node's process."""

    @property
    def protection(self) -> SlotRecord: ...

    @property
    def secrets(self) -> SecretStore: ...

    @property
    def journal(self) -> Journal: ...

    @property
    def blobs(self) -> BlobStore: ...

    def close(self) -> None: ...


class Surroundings(Protocol):
    """What a node needs of its world."""

    random: Random
    identities: Random
    domain: Domain
    roster: Roster
    agreed: TaskCreated
    initial_root: Digest
    suite: Suite
    initial_model: bytes
    plot: Plot | None


class SimulatedNode:
    """A real machine and vault behind simulated ports."""

    def __init__(self, surroundings: "Surroundings", name: int) -> None:
        draw = surroundings.identities.randbytes
        self.key = SigningKey(draw(32))
        self.peer = PeerId(draw(34))
        self.name = name
        self.life = 0
        self._surroundings = surroundings
        self.storage: Storage = MemoryStorage()
        self.open_storage: Callable[[], Storage] | None = None
        """Opens the node's store at each start; without it memory lasts."""
        self.consent = MemoryConsent()
        self.crashed = False
        self.serves = True
        """Whether peers can pull what it holds."""
        self.twist: Twist | None = None
        self.statements: list[Statement] = []
        self.signatures: list[tuple[Statement, bytes]] = []
        self.refused: list[Statement] = []
        self.penalties: list[tuple[PeerId, str]] = []
        self.offers: dict[Digest, set[PeerId]] = {}
        self.uploads: Counter[Digest] = Counter()
        self.onion = [Digest(draw(32))]
        while len(self.onion) < ONION_LAYERS:
            self.onion.append(keccak256(self.onion[-1]))
        self.vault: Vault
        self.prover: Prover
        self.machine: RoundMachine
        """The honest one, also of a node in a plot."""
        self.told: RoundMachine | LyingMachine
        self.fold: ChainFold
        self.seen: Digest | None

    @property
    def blobs(self) -> BlobStore:
        return self.storage.blobs

    def start(self) -> None:
        """Begin a life with nothing but the store, the configuration and the initial model."""
        world = self._surroundings
        if self.open_storage:
            self.storage = self.open_storage()
        self.life += 1
        self.vault = Vault(
            self.blobs,
            self.storage.secrets,
            self.storage.protection,
            entropy=world.random.randbytes,
            rounding=self._rounding,
        )
        self.prover = Prover(self.blobs, self.vault.seeds_of)
        self.fold, self.seen = ChainFold(TASK), None
        self.machine = RoundMachine(
            self.key.address, world.domain, world.agreed, world.roster, world.suite
        )
        self.told = self.machine
        if world.plot:
            self.told = world.plot.wrap(self.machine, self.key, self.blobs)
        self.blobs.put(world.initial_root, world.initial_model)

    def give(self, root: Digest, peer: PeerId) -> bytes | memoryview | None:
        """Return the bytes of ``root`` if ``peer`` may have them, and count that."""
        if not self.serves or (root in self.offers and peer not in self.offers[root]):
            return None
        data = self.blobs.get(root)
        self.uploads[root] += data is not None
        return data

    def sign(self, statement: Statement) -> list[Signed]:
        """Record, then sign; nothing if the slot holds another statement."""
        digest = statement_digest(self._surroundings.domain, statement)
        slot = slot_of(statement)
        if slot and not self.storage.protection.record(slot, digest):
            self.refused.append(statement)
            return []
        signature = self.key.sign_digest(digest)
        self.statements.append(statement)
        self.signatures.append((statement, signature))
        return [Signed(statement, signature)]

    def _rounding(self, round_: int) -> bytes:
        """Return the dither secret of a round: the node's own, whatever the network does."""
        return hashlib.sha256(b"rounding" + self.peer + round_.to_bytes(8, "big")).digest()
