"""Gossip neighbours for a node whose operator named none."""

import random
from collections.abc import Callable, Iterable

import trio

from flocknode.p2p.gossip import Gossip
from flocknode.p2p.table import RecordTable
from flocknode.primitives import PeerId

WANTED = 3
"""Three at random join any number of nodes to one mesh; each edge costs every message."""
CHECK_SECONDS = 5.0


class Neighbourhood:
    """Keeps a few sessions: who is not there any more, or full, is replaced by another."""

    def __init__(self, gossip: Gossip, table: RecordTable, topics: Iterable[str]) -> None:
        self._gossip = gossip
        self._table = table
        self._topics = tuple(topics)

    async def run(self) -> None:
        """Look after the sessions until cancelled."""
        mine: frozenset[PeerId] = frozenset()
        while True:
            meshed = frozenset(p for topic in self._topics for p in self._gossip.mesh(topic))
            mine = _replenished(mine & meshed, self._table.peers(), random.sample)
            self._gossip.choose(mine)
            await trio.sleep(CHECK_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311


def _replenished(
    held: frozenset[PeerId],
    known: Iterable[PeerId],
    sample: Callable[[list[PeerId], int], list[PeerId]],
) -> frozenset[PeerId]:
    others = sorted(set(known) - held)
    return held.union(sample(others, min(len(others), max(0, WANTED - len(held)))))
