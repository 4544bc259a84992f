"""How many streams a peer may have open here, and how fast it may open them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from flocknode.p2p.rate import Buckets
from flocknode.primitives import PeerId

STREAMS_MAX = 1_024
STREAMS_PER_PEER_MAX = 64
STREAMS_PER_SECOND = 32.0
STREAMS_BURST = 256.0


class StreamQuota:
    """Each inbound stream is a task of this node, so it is counted before it is negotiated."""

    def __init__(self) -> None:
        self._open: Counter[PeerId] = Counter()
        self._rates = Buckets(STREAMS_PER_SECOND, STREAMS_BURST)

    @contextmanager
    def stream(self, peer: PeerId, now: float) -> Iterator[bool]:
        """Count one stream while the block runs and say whether it is within the limits."""
        is_free = (
            self._open.total() < STREAMS_MAX
            and self._open[peer] < STREAMS_PER_PEER_MAX
            and self._rates.of(peer).try_take(1, now)
        )
        self._open[peer] += is_free
        try:
            yield is_free
        finally:
            self._open[peer] -= is_free
            if not self._open[peer]:
                del self._open[peer]

    def count(self, peer: PeerId) -> int:
        """Return how many streams of ``peer`` are open."""
        return self._open[peer]
