"""What a node remembers, held in memory: for simulations, and for nodes that start once."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flocknode.messages.slots import Slot
from flocknode.node.blobs import MemoryBlobs
from flocknode.ports import Ban, Heard
from flocknode.primitives import Digest, PeerId

CONTEXTS_MAX = 256
"""Attempts and rounds whose statements stay in memory; an older one is long final."""


class MemorySlots:
    """The statements of slots, as long as the process lives."""

    def __init__(self) -> None:
        self._slots: dict[Digest, dict[Slot, Digest]] = {}

    def record(self, slot: Slot, digest: Digest) -> bool:
        slots = self._slots.setdefault(slot[1], {})
        while len(self._slots) > CONTEXTS_MAX:
            del self._slots[next(iter(self._slots))]
        return slots.setdefault(slot, digest) == digest

    def holds(self, slot: Slot) -> bool:
        return slot in self._slots.get(slot[1], {})


class MemorySecrets:
    """Named secrets, as long as the process lives."""

    def __init__(self) -> None:
        self._secrets: dict[str, bytes] = {}

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._secrets))

    def save(self, name: str, secret: bytes) -> None:
        self._secrets[name] = secret

    def load(self, name: str) -> bytes | None:
        return self._secrets.get(name)

    def destroy(self, name: str) -> None:
        self._secrets.pop(name, None)


class MemoryConsent:
    """An operator's consents, as long as the process lives."""

    def __init__(self) -> None:
        self._given: set[tuple[int, int]] = set()

    def given(self, round_: int, pause: int) -> bool:
        return (round_, pause) in self._given

    def give(self, round_: int, pause: int) -> None:
        self._given.add((round_, pause))


class MemoryJournal:
    """Messages by attempt, as long as the process lives."""

    def __init__(self) -> None:
        self._heard: dict[Digest, dict[bytes, PeerId]] = {}
        self._attempts: dict[Digest, tuple[int, int]] = {}

    def remember(self, heard: Sequence[Heard]) -> None:
        for one in heard:
            self._attempts[one.ctx] = one.attempt
            self._heard.setdefault(one.ctx, {}).setdefault(one.payload, one.sender)

    def recall(self, ctx: Digest) -> list[tuple[PeerId, bytes]]:
        return [(sender, payload) for payload, sender in self._heard.get(ctx, {}).items()]

    def forget_before(self, attempt: tuple[int, int]) -> None:
        for ctx in [ctx for ctx, at in self._attempts.items() if at < attempt]:
            del self._attempts[ctx], self._heard[ctx]


class MemoryBans:
    """Bans, as long as the process lives."""

    def __init__(self) -> None:
        self._bans: tuple[Ban, ...] = ()

    def load(self) -> Sequence[Ban]:
        return self._bans

    def save(self, bans: Sequence[Ban]) -> None:
        self._bans = tuple(bans)


@dataclass(slots=True)
class MemoryStorage:
    """All of it, as long as this object lives."""

    protection: MemorySlots = field(default_factory=MemorySlots)
    secrets: MemorySecrets = field(default_factory=MemorySecrets)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    outbox: None = None
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    bans: MemoryBans = field(default_factory=MemoryBans)

    def close(self) -> None:
        """Leave everything as it is: there is no file to give up."""
