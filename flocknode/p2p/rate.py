"""A bound on how fast a peer may make this node work."""

from collections import OrderedDict
from dataclasses import dataclass, field

from flocknode.primitives import PeerId

PEERS_MAX = 1_024


@dataclass(slots=True)
class Bucket:
    """A token bucket: ``rate`` tokens a second, at most ``burst`` saved up."""

    rate: float
    burst: float
    _level: float = field(init=False)
    _filled_at: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self._level = self.burst

    def take(self, amount: float, now: float) -> float:
        """Take ``amount`` and return how many seconds to wait until it was affordable."""
        self._fill(now)
        self._level -= amount
        return max(0.0, -self._level / self.rate)

    def try_take(self, amount: float, now: float) -> bool:
        """Take ``amount`` if it is there."""
        self._fill(now)
        if self._level < amount:
            return False
        self._level -= amount
        return True

    def _fill(self, now: float) -> None:
        if now > self._filled_at:
            gained = (now - self._filled_at) * self.rate
            self._level = min(self.burst, self._level + gained)
            self._filled_at = now


class Buckets:
    """A bucket for each peer, kept when it leaves: coming back is no way to a full one."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._buckets: OrderedDict[PeerId, Bucket] = OrderedDict()

    def of(self, peer: PeerId) -> Bucket:
        """Return the peer's bucket; that of whoever was longest away makes room for a new one."""
        bucket = self._buckets.setdefault(peer, Bucket(self._rate, self._burst))
        self._buckets.move_to_end(peer)
        while len(self._buckets) > PEERS_MAX:
            self._buckets.popitem(last=False)
        return bucket
