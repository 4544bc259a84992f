"""Hold a session with every wanted peer, and again whenever it is lost."""

import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet

import trio

from flocknode.crypto.peer_id import peer_text
from flocknode.p2p.faults import NetworkError
from flocknode.primitives import PeerId

RETRY_SECONDS_MIN = 0.2
RETRY_SECONDS_MAX = 30.0
CALM_SECONDS = 0.25
"""Time for each peer that can wait: nodes that start together leave each other room."""
STEADY_SECONDS = 5.0
"""A session that lasted this long was a success: the next retry is quick again."""

log = logging.getLogger(__name__)


class Keeper:
    """Runs ``hold(peer)`` for each wanted peer; it returns or raises when the session is lost.

    Before it is tried again ``find(peer)`` may look for other addresses.
    """

    def __init__(
        self,
        hold: Callable[[PeerId], Awaitable[None]],
        find: Callable[[PeerId], Awaitable[None]],
    ) -> None:
        self._hold = hold
        self._find = find
        self._waiting: dict[PeerId, trio.Event] = {}
        self._lingering: dict[PeerId, trio.Event] = {}
        self._wanted: dict[PeerId, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None

    def want(
        self, peers: Iterable[PeerId], later: AbstractSet[PeerId] = frozenset()
    ) -> frozenset[PeerId]:
        """Make ``peers`` the wanted ones and return those that no longer are.

        Those of ``later`` are begun with in the next seconds, in random order, the others now.
        """
        wanted = set(peers)
        dropped = frozenset(self._wanted.keys() - wanted)
        for peer in dropped:
            self._wanted.pop(peer).cancel()
            self._waiting.pop(peer, None)
            self._lingering.pop(peer, None)
        for peer in self._lingering.keys() - later:
            self._lingering[peer].set()
        for peer in wanted - self._wanted.keys():
            if peer in later:
                self._lingering[peer] = trio.Event()
            self._wanted[peer] = trio.CancelScope()
            if self._nursery is not None:
                self._nursery.start_soon(self._keep, peer, self._wanted[peer])
        return dropped

    def hurry(self, peer: PeerId) -> None:
        """Try ``peer`` again now: it was heard of."""
        if peer in self._waiting:
            self._waiting[peer].set()

    def wants(self, peer: PeerId) -> bool:
        return peer in self._wanted

    async def run(self) -> None:
        """Keep the wanted peers until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for peer, scope in self._wanted.items():
                nursery.start_soon(self._keep, peer, scope)
            await trio.sleep_forever()

    async def _keep(self, peer: PeerId, scope: trio.CancelScope) -> None:
        delay = RETRY_SECONDS_MIN
        with scope:
            await self._linger(peer)
            while True:
                started = trio.current_time()
                try:
                    await self._hold(peer)
                except NetworkError as fault:
                    log.debug("session lost peer=%s cause=%s", peer_text(peer), fault)
                    await self._find(peer)
                if trio.current_time() - started > STEADY_SECONDS:
                    delay = RETRY_SECONDS_MIN
                # Two peers that dial each other must not meet at every attempt.
                self._waiting[peer] = trio.Event()
                with trio.move_on_after(delay * random.uniform(0.5, 1.5)):  # noqa: S311
                    await self._waiting[peer].wait()
                delay = min(2 * delay, RETRY_SECONDS_MAX)

    async def _linger(self, peer: PeerId) -> None:
        """Let a peer that can wait do so."""
        if (urgent := self._lingering.get(peer)) is not None:
            pause = CALM_SECONDS * len(self._wanted) * random.random()  # noqa: S311
            with trio.move_on_after(pause):
                await urgent.wait()
            self._lingering.pop(peer, None)
