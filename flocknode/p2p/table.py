"""The peer records that a node knows, by their distance from a key. No network in here."""

from collections.abc import Callable

from flocknode.p2p.records import PeerRecord, key_of
from flocknode.primitives import Digest, PeerId

RECORDS_MAX = 1_024


class RecordTable:
    """Records of members; a full table forgets whoever is farthest from its owner.

    Distance is the exclusive or of keys (Maymounkov and Mazieres 2002, Kademlia).
    """

    def __init__(self, owner: PeerId) -> None:
        self._owner = owner
        self._records: dict[PeerId, PeerRecord] = {}

    def add(self, record: PeerRecord) -> bool:
        """Keep a record and say whether it is news."""
        known = self._records.get(record.peer)
        if record.peer == self._owner or (known and known.sequence >= record.sequence):
            return False
        self._records[record.peer] = record
        if len(self._records) > RECORDS_MAX:
            del self._records[self.closest(key_of(self._owner))[-1].peer]
        return record.peer in self._records

    def keep(self, admits: Callable[[PeerId], bool]) -> None:
        """Forget those that are not admitted any more."""
        self._records = {peer: one for peer, one in self._records.items() if admits(peer)}

    def peers(self) -> tuple[PeerId, ...]:
        return tuple(self._records)

    def closest(self, key: Digest, count: int = RECORDS_MAX + 1) -> list[PeerRecord]:
        """Return up to ``count`` records, the nearest to ``key`` first."""
        return sorted(self._records.values(), key=lambda record: distance(record.key, key))[:count]


def distance(a: Digest, b: Digest) -> int:
    return int.from_bytes(a, "big") ^ int.from_bytes(b, "big")
