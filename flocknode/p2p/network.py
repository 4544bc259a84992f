"""Everything that one node does with its peers, behind one door."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import trio

from flocknode.crypto.merkle import LEAF_BYTES, TreeKind
from flocknode.crypto.peer_id import peer_text
from flocknode.p2p.blobs import CHUNK_SECONDS, Puller
from flocknode.p2p.counters import Counters
from flocknode.p2p.discovery import Discovery
from flocknode.p2p.gate import Gate
from flocknode.p2p.gossip import Gossip, Validate
from flocknode.p2p.host import Host
from flocknode.p2p.links import Links
from flocknode.p2p.multicast import multicast
from flocknode.p2p.neighbourhood import Neighbourhood
from flocknode.p2p.serving import BlobSource, Server
from flocknode.p2p.trees import ChunkTrees
from flocknode.ports import BanRecord, Draft
from flocknode.primitives import Digest, PeerId

INCOMING_MAX = 1_024
"""Frames waiting to be taken; a full queue slows links down and loses gossip."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes from ``peer``: who linked to us, or who signed what was gossiped on ``topic``."""

    peer: PeerId
    payload: bytes
    gossiped: bool
    topic: str = ""
    """Empty for a frame from a link."""


class Network:
    """One node's gossip, links and blobs over one host.

    ``validate(author, topic, payload)`` judges gossip before it is delivered and forwarded;
    ``may_link(peer)`` says who may open a link without being kept. Both are called on the loop and
    must be quick.
    """

    def __init__(
        self,
        seed: bytes,
        listen: str | None,
        *,
        validate: Validate,
        may_link: Callable[[PeerId], bool],
        blobs: BlobSource,
        topics: Iterable[str],
        bans: BanRecord,
        guests: frozenset[PeerId] = frozenset(),
        is_open: bool = False,
        announce: Iterable[str] = (),
        multicast_on: Sequence[str] | None = (),
    ) -> None:
        """Let in ``guests`` whoever the members are, and everyone if it ``is_open``.

        ``announce`` are addresses at which others reach this node, if not where it listens. On the
        interfaces ``multicast_on`` it looks for peers by multicast; None stands for all of them.
        """
        self.counters = Counters()
        self._send, self.incoming = trio.open_memory_channel[Frame](INCOMING_MAX)
        self._gate = Gate(bans, guests, is_open=is_open)
        self._host = Host(seed, listen, self._gate)
        self._announce = tuple(announce)
        self._multicast_on = multicast_on
        self._discovery = Discovery(self._host, self._gate, seed, self.penalise, self._found)
        self._gossip = Gossip(
            self._host,
            frozenset(topics),
            validate,
            self._take_gossip,
            self.counters,
            self.penalise,
            self._discovery.find,
        )
        self._neighbourhood = Neighbourhood(self._gossip, self._discovery.table, topics)
        self._links = Links(
            self._host,
            may_link,
            self._take_frame,
            self.counters,
            self.penalise,
            self._discovery.find,
        )
        trees = ChunkTrees()
        self._server = Server(self._host, blobs, trees, self.counters, CHUNK_SECONDS)
        self._puller = Puller(self._host, trees, self.penalise, CHUNK_SECONDS)
        self.peer = self._host.peer

    @property
    def address(self) -> str:
        """The multiaddr to dial, ending in ``/p2p/<peer>``; known once ``run`` has started."""
        return self._host.address

    async def run(
        self,
        # libp2p installs outdated stubs that hide this name of trio's from mypy.
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,  # type: ignore[name-defined]
    ) -> None:
        """Listen, keep the wanted sessions and serve until cancelled.

        Raises ``UnavailableError`` if the listen address is taken.
        """
        async with self._host.running(), self._gossip.running(), trio.open_nursery() as nursery:
            reached_at = self._announce or tuple(filter(None, [_without_peer(self.address)]))
            self._discovery.announce(reached_at)
            nursery.start_soon(self._links.run)
            if self._multicast_on is None or self._multicast_on:
                nursery.start_soon(self._multicast, reached_at)
            nursery.start_soon(self._discovery.run)
            task_status.started()
            await trio.sleep_forever()

    def admit(self, members: frozenset[PeerId]) -> None:
        """Let nobody else connect from now on; until the first call everyone may."""
        self._host.admit_only(members)

    def penalise(self, peer: PeerId, reason: str) -> None:
        """Count a fault of ``peer``; too many end its connections and ban it for a time."""
        if peer != self.peer:
            self._gate.penalise(peer, reason)

    async def publish(self, topic: str, payload: bytes) -> None:
        """Gossip ``payload`` of at most 60 kB to the neighbours, who forward it."""
        await self._gossip.publish(topic, payload)

    def send(self, peer: PeerId, payload: bytes) -> bool:
        """Queue a frame of at most 96 KiB; False without a link or with a full queue.

        What finds no link is sent all the same if one is made within seconds.
        """
        return self._links.send(peer, payload)

    def keep(self, peers: Iterable[PeerId], later: AbstractSet[PeerId] = frozenset()) -> None:
        """Hold links with exactly ``peers``, dialled where they are known to listen.

        Those of ``later`` are dialled in the next seconds, in random order.

        A node that is one of them leaves it to those of a lower id to dial it: all of them keep
        one another, and two that dial each other would end with two connections.
        """
        wanted = frozenset(peers)
        floor = self.peer if self.peer in wanted else PeerId(b"")
        self._links.keep((peer for peer in wanted if peer > floor), later)

    def neighbours(self, peers: Iterable[PeerId]) -> None:
        """Exchange gossip with ``peers`` and with whoever chose us."""
        self._gossip.choose(peer for peer in peers if peer != self.peer)

    async def find_neighbours(self) -> None:
        """Exchange gossip with a few of those that are found, until cancelled."""
        await self._neighbourhood.run()

    def begin_with(self, peers: Mapping[PeerId, str]) -> None:
        """Ask ``peers`` at these addresses for the addresses of others."""
        self.know(peers)
        self._discovery.begin_with(peers)

    def know(self, peers: Mapping[PeerId, str]) -> None:
        """Remember where ``peers`` listen."""
        for peer, address in self._others(peers).items():
            self._host.know(peer, address)

    def linked(self) -> frozenset[PeerId]:
        """Return the peers that a frame can be sent to now."""
        return self._links.linked()

    def mesh(self, topic: str) -> frozenset[PeerId]:
        """Return the peers that ``topic`` is exchanged with now."""
        return self._gossip.mesh(topic)

    def score(self, peer: PeerId, topic: str) -> float:
        """Return a neighbour's standing on ``topic``: 0 is clean, less is worse."""
        return self._gossip.score(peer, topic)

    async def fetch(
        self,
        root: Digest,
        kind: TreeKind,
        length: int,
        holders: Sequence[PeerId],
        draft: Draft,
        leaf_bytes: int = LEAF_BYTES,
    ) -> None:
        """Pull what ``draft`` lacks of the ``length`` bytes of ``root`` from one holder or more.

        Raises ``BlobUnavailableError`` when every holder failed; what came stays in the draft.
        """
        await self._puller.fetch(root, kind, length, holders, draft, leaf_bytes)

    def offer(self, root: Digest, peers: Iterable[PeerId]) -> None:
        """Serve ``root`` to ``peers`` only, once each, besides those that it was offered to."""
        self._server.offer(root, peers)

    async def _multicast(self, addresses: Iterable[str]) -> None:
        named = [f"{address}/p2p/{peer_text(self.peer)}" for address in addresses]
        interfaces = None if self._multicast_on is None else list(self._multicast_on)
        await multicast(named, self._discovery.hear, interfaces)

    def _found(self, peer: PeerId) -> None:
        self._links.hurry(peer)
        self._gossip.hurry(peer)

    def _others(self, peers: Mapping[PeerId, str]) -> dict[PeerId, str]:
        return {peer: address for peer, address in peers.items() if peer != self.peer}

    def _take_gossip(self, author: PeerId, topic: str, payload: bytes) -> None:
        try:
            self._send.send_nowait(Frame(author, payload, gossiped=True, topic=topic))
        except trio.WouldBlock:
            self.counters.frames_dropped += 1

    async def _take_frame(self, peer: PeerId, payload: bytes) -> None:
        await self._send.send(Frame(peer, payload, gossiped=False))


def _without_peer(address: str) -> str:
    return address.rsplit("/p2p/", 1)[0]
