"""Who may train in a task: public, fixed by its root on the chain."""

from dataclasses import dataclass

from flocknode.crypto.hashing import sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.primitives import Address, Digest, PeerId

ROSTER_LEAF_BYTES = 128


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """A trainer: signing address, coarse public weight k and libp2p peer."""

    index: int
    trainer: Address
    weight: int
    peer: PeerId

    def record(self) -> bytes:
        """Return the leaf: index, address, weight and SHA-256 of the peer id, a word each."""
        return (
            self.index.to_bytes(32, "big")
            + self.trainer.rjust(32, b"\0")
            + self.weight.to_bytes(32, "big")
            + sha256(self.peer)
        )


@dataclass(frozen=True, slots=True)
class Roster:
    entries: tuple[RosterEntry, ...]

    def records(self) -> bytes:
        """Return all leaves, one after another."""
        return b"".join(entry.record() for entry in self.entries)

    def root(self) -> Digest:
        return tree_root(TreeKind.ROSTER, self.records(), ROSTER_LEAF_BYTES)

    def entry_of(self, trainer: Address) -> RosterEntry | None:
        return next((entry for entry in self.entries if entry.trainer == trainer), None)

    def weight_of(self, trainers: int) -> int:
        """Return D, the weight of the roster bitmap ``trainers``."""
        return sum(entry.weight for entry in self.entries if trainers >> entry.index & 1)
