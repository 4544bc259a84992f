"""Faults of peers, and the bans that follow from too many. No clock, no files."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from flocknode.ports import Ban
from flocknode.primitives import PeerId, Seconds

FAULTS_MAX = 4.5
"""Five within minutes. A bug or a damaged disk shows once or twice; who goes on is kept out."""
HALF_LIFE_SECONDS = 600.0
BAN_SECONDS_MIN = 600.0
BAN_SECONDS_MAX = 86_400.0
PEERS_MAX = 1_024


@dataclass(slots=True)
class _Record:
    faults: float = 0.0
    noted_at: float = 0.0
    until: float = 0.0
    bans: int = 0


class Conduct:
    """Counts faults by peer; they halve every ten minutes, and each ban is twice the last one."""

    def __init__(self, bans: Iterable[Ban] = ()) -> None:
        self._records = {
            ban.peer: _Record(noted_at=ban.until, until=ban.until, bans=ban.count) for ban in bans
        }

    def fault(self, peer: PeerId, now: float) -> bool:
        """Count a fault of ``peer`` and say whether it is banned for it."""
        record = self._records.setdefault(peer, _Record(noted_at=now))
        record.faults = _decayed(record, now) + 1.0
        record.noted_at = max(now, record.noted_at)
        is_new = record.faults >= FAULTS_MAX and record.until <= now
        if is_new:
            record.faults = 0.0
            record.until = now + min(BAN_SECONDS_MIN * 2**record.bans, BAN_SECONDS_MAX)
            record.bans = min(record.bans + 1, 16)
        self._forget(now)
        return is_new

    def is_banned(self, peer: PeerId, now: float) -> bool:
        record = self._records.get(peer)
        return record is not None and record.until > now

    def bans(self, now: float) -> tuple[Ban, ...]:
        """Return the bans to remember: those in force, and those that make the next one longer."""
        return tuple(
            Ban(peer, Seconds(record.until), record.bans)
            for peer, record in self._records.items()
            if record.until + BAN_SECONDS_MAX > now
        )

    def _forget(self, now: float) -> None:
        """Keep the number of peers bounded: whoever matters least goes first."""
        while len(self._records) > PEERS_MAX:
            least = min(
                self._records,
                key=lambda peer: (self._records[peer].until, _decayed(self._records[peer], now)),
            )
            del self._records[least]


def _decayed(record: _Record, now: float) -> float:
    age = max(0.0, now - record.noted_at)
    return record.faults * math.exp2(-age / HALF_LIFE_SECONDS)
