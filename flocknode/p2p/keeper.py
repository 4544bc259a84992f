"""Hold a session with every wanted peer, and again whenever it is lost."""

import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import trio

from flocknode.crypto.peer_id import peer_text
from flocknode.p2p.faults import NetworkError
from flocknode.primitives import PeerId

RETRY_SECONDS_MIN = 0.2
RETRY_SECONDS_MAX = 30.0
CALM_SECONDS = 0.75
"""Time for each peer that can wait: nodes that start together leave each other room."""
STEADY_SECONDS = 5.0
"""A session that lasted this long was a success: the next retry is quick again."""

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Wanted:
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    heard: trio.Event = field(default_factory=trio.Event)
    """Set when there is a reason to try again at once."""
    urgent: trio.Event = field(default_factory=trio.Event)
    """Set once the first attempt cannot wait."""
    has_failed: bool = False
    """The last attempt came to nothing."""


class Keeper:
    """Runs ``hold(peer)`` for each wanted peer, which returns when a session is lost.

    It raises when there is none to be had, and ``find(peer)`` looks for other addresses.
    """

    def __init__(
        self,
        hold: Callable[[PeerId], Awaitable[None]],
        find: Callable[[PeerId], Awaitable[None]],
    ) -> None:
        self._hold = hold
        self._find = find
        self._wanted: dict[PeerId, _Wanted] = {}
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
            self._wanted.pop(peer).scope.cancel()
        for peer in wanted - self._wanted.keys():
            self._wanted[peer] = _Wanted()
            if self._nursery is not None:
                self._nursery.start_soon(self._keep, peer, self._wanted[peer])
        for peer in wanted - later:
            self._wanted[peer].urgent.set()
        return dropped

    def hurry(self, peer: PeerId) -> None:
        """Try ``peer`` again now: it was heard of."""
        if peer in self._wanted:
            self._wanted[peer].heard.set()

    def wants(self, peer: PeerId) -> bool:
        return peer in self._wanted

    async def run(self) -> None:
        """Keep the wanted peers until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for peer, wanted in self._wanted.items():
                nursery.start_soon(self._keep, peer, wanted)
            await trio.sleep_forever()

    async def _keep(self, peer: PeerId, wanted: _Wanted) -> None:
        delay = RETRY_SECONDS_MIN
        with wanted.scope:
            calm = CALM_SECONDS * len(self._wanted)
            with trio.move_on_after(calm * random.uniform(0.2, 1.0)):  # noqa: S311
                await wanted.urgent.wait()
            while True:
                if await self._attempt(peer, wanted) > STEADY_SECONDS:
                    delay = RETRY_SECONDS_MIN
                # Two peers that dial each other must not meet at every attempt.
                with trio.move_on_after(delay * random.uniform(0.5, 1.5)):  # noqa: S311
                    await wanted.heard.wait()
                delay = min(2 * delay, RETRY_SECONDS_MAX)

    async def _attempt(self, peer: PeerId, wanted: _Wanted) -> float:
        """Hold a session and return how many seconds it stood; 0 if there was none to be had.

        Whoever fails twice is looked for: at first it may only be starting. What is heard of
        ``peer`` counts from then on, so that an address that is found is dialled.
        """
        began = trio.current_time()
        try:
            await self._hold(peer)
        except NetworkError as fault:
            log.debug("no session peer=%s cause=%s", peer_text(peer), fault)
            wanted.heard = trio.Event()
            if wanted.has_failed:
                await self._find(peer)
            wanted.has_failed = True
            return 0.0
        wanted.heard = trio.Event()
        wanted.has_failed = False
        return trio.current_time() - began
