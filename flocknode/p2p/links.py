"""Persistent streams to chosen peers: one per pair, whoever opened it."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet

import trio

from flocknode.crypto.peer_id import peer_text
from flocknode.p2p.counters import Counters
from flocknode.p2p.faults import NetworkError, OversizedError, StreamLostError
from flocknode.p2p.framing import Unframer, framed
from flocknode.p2p.held import HeldFrames
from flocknode.p2p.host import Host
from flocknode.p2p.keeper import Keeper
from flocknode.p2p.link import Link
from flocknode.p2p.rate import Buckets
from flocknode.p2p.streams import Stream
from flocknode.primitives import PeerId

PROTOCOL = "/flock/link/1"
WRITE_SECONDS = 20.0
SETTLED_SECONDS = 5.0
"""A link of this age was no simultaneous dial: a peer that opens another one has lost it."""
FRAMES_PER_SECOND = 500.0
FRAMES_BURST = 4_000.0
BYTES_PER_SECOND = 16.0 * 2**20
BYTES_BURST = 64.0 * 2**20

Find = Callable[[PeerId], Awaitable[None]]
MayLink = Callable[[PeerId], bool]
Receive = Callable[[PeerId, bytes], Awaitable[None]]
log = logging.getLogger(__name__)


def gives_way(*, newer_is_ours: bool, older_is_ours: bool, we_are_lower: bool, age: float) -> bool:
    """Say whether an older link, ``age`` seconds old, gives way to a newer one of the same pair.

    Both ends come to the same answer: of two that were opened at once, the one opened by the peer
    with the lower id stays. A peer that opens a second link has lost its first.
    """
    if newer_is_ours == older_is_ours:
        return True
    opened_by_lower = newer_is_ours == we_are_lower
    return opened_by_lower or (not newer_is_ours and age > SETTLED_SECONDS)


class Links:
    """The links of one node; frames go out in order and whole, or ``send`` says no."""

    def __init__(
        self,
        host: Host,
        may_link: MayLink,
        receive: Receive,
        counters: Counters,
        penalise: Callable[[PeerId, str], None],
        find: Find,
    ) -> None:
        self._host = host
        self._may_link = may_link
        self._receive = receive
        self._counters = counters
        self._penalise = penalise
        self._keeper = Keeper(self._hold, find)
        self._links: dict[PeerId, Link] = {}
        self._held = HeldFrames()
        self._frames = Buckets(FRAMES_PER_SECOND, FRAMES_BURST)
        self._volumes = Buckets(BYTES_PER_SECOND, BYTES_BURST)
        host.serve(PROTOCOL, self._accept)

    async def run(self) -> None:
        """Keep the wanted links until cancelled."""
        await self._keeper.run()

    def keep(self, peers: Iterable[PeerId], later: AbstractSet[PeerId] = frozenset()) -> None:
        """Make ``peers`` the wanted ones; those of ``later`` can wait, others are let go."""
        for peer in self._keeper.want(peers, later):
            if peer in self._links and not self._may_link(peer):
                self._links[peer].retire()

    def hurry(self, peer: PeerId) -> None:
        """Try a wanted peer again now."""
        self._keeper.hurry(peer)

    def linked(self) -> frozenset[PeerId]:
        return frozenset(self._links)

    def send(self, peer: PeerId, payload: bytes) -> bool:
        """Queue ``payload``; False without a link or with a full queue, and nothing is dropped.

        Without a link it is sent all the same if one is made within seconds.
        """
        frame = framed(payload)
        link = self._links.get(peer)
        if link is None and (self._keeper.wants(peer) or self._may_link(peer)):
            self._held.put(peer, frame, trio.current_time())
        return link is not None and link.push(frame)

    async def _hold(self, peer: PeerId) -> None:
        """Keep a link with ``peer``, its own or one that ``peer`` opened, until none is left."""
        if peer not in self._links:
            stream = await self._host.open_stream(peer, PROTOCOL)
            await self._converse(Link(stream, is_ours=True, opened_at=trio.current_time()))
        while peer in self._links:
            await self._links[peer].ended.wait()

    async def _accept(self, stream: Stream) -> None:
        if not self._keeper.wants(stream.peer) and not self._may_link(stream.peer):
            await stream.reset()
            return
        await self._converse(Link(stream, is_ours=False, opened_at=trio.current_time()))

    async def _converse(self, link: Link) -> None:
        """Write and read ``link`` until it ends; a link that gave way is only read to its end."""
        if not self._establish(link):
            link.retire()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, link)
                await self._read(link)
                nursery.cancel_scope.cancel()
        finally:
            if self._links.get(link.peer) is link:
                del self._links[link.peer]
            link.ended.set()
            await link.stream.reset()

    def _establish(self, link: Link) -> bool:
        """Make ``link`` the current one of its pair, unless the older one stays."""
        older = self._links.get(link.peer)
        if older is not None and not gives_way(
            newer_is_ours=link.is_ours,
            older_is_ours=older.is_ours,
            we_are_lower=self._host.peer < link.peer,
            age=link.opened_at - older.opened_at,
        ):
            return False
        self._links[link.peer] = link
        unsent = older.hand_over() if older is not None else []
        for frame in (*unsent, *self._held.take(link.peer, link.opened_at)):
            link.push(frame)
        return True

    async def _write(self, link: Link) -> None:
        """Write the queue until the link is retired, then say that this half is done."""
        try:
            while (batch := await link.next_batch()) is not None:
                with trio.fail_after(WRITE_SECONDS):
                    await link.stream.write(batch)
                self._counters.bytes_links += len(batch)
            await link.stream.finish()
        except (NetworkError, trio.TooSlowError) as fault:
            log.debug("link not writable peer=%s cause=%s", peer_text(link.peer), fault)
            link.reading.cancel()

    async def _read(self, link: Link) -> None:
        """Hand on the frames of ``link`` until it ends."""
        unframer = Unframer()
        frames, volume = self._frames.of(link.peer), self._volumes.of(link.peer)
        with link.reading:
            try:
                while True:
                    data = await link.stream.read_some()
                    # Too fast is no offence: the peer's own queue fills up instead of ours.
                    await trio.sleep(volume.take(len(data), trio.current_time()))
                    for payload in unframer.feed(data):
                        delay = frames.take(1, trio.current_time())
                        if delay > 0:
                            await trio.sleep(delay)
                        await self._receive(link.peer, payload)
            except StreamLostError as fault:
                log.debug("link ended peer=%s cause=%s", peer_text(link.peer), fault)
            except OversizedError as fault:
                self._penalise(link.peer, f"a frame of {fault}")
