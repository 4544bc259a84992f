"""Who may be connected to this node."""

import logging
import time
from collections.abc import Callable

import trio

from flocknode.crypto.peer_id import peer_text
from flocknode.p2p.conduct import Conduct
from flocknode.ports import BanRecord
from flocknode.primitives import PeerId

log = logging.getLogger(__name__)


class Gate:
    """Admits members, or everyone while nobody named any, except those that are banned.

    Time is the wall clock's: a ban outlives the process.
    """

    def __init__(
        self,
        record: BanRecord,
        guests: frozenset[PeerId] = frozenset(),
        *,
        is_open: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Admit ``guests`` whoever the members are, and everyone if it ``is_open``."""
        self._record = record
        self._guests = guests
        self._is_open = is_open
        self._clock = clock
        self._conduct = Conduct(record.load())
        self._members: frozenset[PeerId] | None = None
        self._unsaved = trio.Event()
        self.expel: Callable[[PeerId], None] = lambda _peer: None
        """Ends the connections of a peer; the host's, once there is one."""

    def admits(self, peer: PeerId) -> bool:
        is_known = self._members is None or peer in self._members or peer in self._guests
        return (is_known or self._is_open) and not self._conduct.is_banned(peer, self._clock())

    def admit_only(self, members: frozenset[PeerId]) -> None:
        """Make ``members`` all that may connect, besides guests."""
        self._members = members

    def penalise(self, peer: PeerId, reason: str) -> None:
        """Count a fault; one too many ends the peer's connections and bans it."""
        log.info("fault of peer=%s: %s", peer_text(peer), reason)
        if self._conduct.fault(peer, self._clock()):
            log.warning("banned peer=%s, at last for: %s", peer_text(peer), reason)
            self._unsaved.set()
            self.expel(peer)

    async def remember(self) -> None:
        """Write bans down as they come, until cancelled."""
        while True:
            await self._unsaved.wait()
            self._unsaved = trio.Event()
            bans = self._conduct.bans(self._clock())
            await trio.to_thread.run_sync(self._record.save, bans)
