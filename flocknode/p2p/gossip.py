"""Gossip between chosen neighbours: what to take, what to forward, whom to hold to account."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.validators import signature_validator
from libp2p.tools.anyio_service import background_trio_service

from flocknode.crypto.peer_id import peer_text
from flocknode.messages.verdict import Verdict
from flocknode.p2p.counters import Counters
from flocknode.p2p.faults import OversizedError, PeerUnreachableError
from flocknode.p2p.host import Host
from flocknode.p2p.keeper import Keeper
from flocknode.p2p.rate import Buckets
from flocknode.p2p.router import NEIGHBOURS_MAX, Router, SafePubsub
from flocknode.p2p.streams import LIBRARY_FAULTS
from flocknode.primitives import PeerId

GOSSIP_BYTES_MAX = 60_000
"""One RPC must fit one yamux frame of 65,524 bytes."""
JOIN_SECONDS = 10.0
MESSAGES_PER_SECOND = 200.0
MESSAGES_BURST = 1_000.0

Validate = Callable[[PeerId, str, bytes], Verdict]
Deliver = Callable[[PeerId, str, bytes], None]
Penalise = Callable[[PeerId, str], None]
Find = Callable[[PeerId], Awaitable[None]]
_JOIN_FAULTS: tuple[type[Exception], ...] = (*LIBRARY_FAULTS, trio.TooSlowError)
log = logging.getLogger(__name__)


class Gossip:
    """Publishes to and delivers from the neighbours; ``validate`` is asked once per message."""

    def __init__(
        self,
        host: Host,
        topics: frozenset[str],
        validate: Validate,
        deliver: Deliver,
        counters: Counters,
        penalise: Penalise,
        find: Find,
    ) -> None:
        self._host = host
        self._penalise = penalise
        self._topics = topics
        self._validate = validate
        self._deliver = deliver
        self._counters = counters
        self._router = Router()
        self._pubsub = SafePubsub(
            host.raw, self._router, topics, self._judge, self._count_sent, penalise
        )
        self._keeper = Keeper(self._hold, find)
        self._budgets = Buckets(MESSAGES_PER_SECOND, MESSAGES_BURST)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Subscribe and keep the neighbours until the block is left."""
        async with (
            background_trio_service(self._pubsub),
            background_trio_service(self._router),
            trio.open_nursery() as nursery,
        ):
            await self._pubsub.wait_until_ready()
            for topic in self._topics:
                await self._pubsub.subscribe(topic)
            nursery.start_soon(self._keeper.run)
            yield
            nursery.cancel_scope.cancel()

    def choose(self, wanted: Iterable[PeerId]) -> None:
        """Make these the neighbours to dial; those who dial us come on top, as guests."""
        peers = frozenset(wanted)
        if len(peers) > NEIGHBOURS_MAX:
            raise OversizedError(len(peers), NEIGHBOURS_MAX)
        self._pubsub.chosen = {ID(peer) for peer in peers}
        for peer in self._keeper.want(peers):
            self._pubsub.part(ID(peer))

    def hurry(self, peer: PeerId) -> None:
        """Try a chosen peer again now."""
        self._keeper.hurry(peer)

    def mesh(self, topic: str) -> frozenset[PeerId]:
        """Return the peers that ``topic`` is exchanged with now."""
        return frozenset(PeerId(name.to_bytes()) for name in self._router.mesh.get(topic, ()))

    def score(self, peer: PeerId, topic: str) -> float:
        """Return the standing of ``peer``: 0 is clean, rejected messages cost ten points each."""
        value: float = self._router.scorer.topic_score(ID(peer), topic)
        return value

    async def publish(self, topic: str, payload: bytes) -> None:
        """Send ``payload`` to all neighbours; raises ``OversizedError`` above 60 kB."""
        assert topic in self._topics, "a topic is subscribed before it is used"
        if len(payload) > GOSSIP_BYTES_MAX:
            raise OversizedError(len(payload), GOSSIP_BYTES_MAX)
        self._counters.gossip_messages += 1
        await self._pubsub.publish(topic, payload)

    async def _hold(self, peer: PeerId) -> None:
        """Keep a gossip session with ``peer`` until it is lost."""
        name = ID(peer)
        await self._host.connect(peer)
        try:
            with trio.fail_after(JOIN_SECONDS):
                await self._pubsub.begin(name)
                await self._pubsub.wait_for_peer(name, JOIN_SECONDS)
        except _JOIN_FAULTS as fault:
            raise PeerUnreachableError(peer, f"no gossip session: {fault!r}") from fault
        await self._pubsub.parted(name)

    def _judge(self, forwarder: ID, message: rpc_pb2.Message) -> bool:
        """Return whether to forward ``message``; it has been delivered then."""
        verdict = self._verdict(forwarder, message)
        match verdict:
            case Verdict.ACCEPT:
                author = PeerId(message.from_id)
                self._deliver(author, message.topicIDs[0], message.data)
                return True
            case Verdict.REJECT:
                for topic in self._topics.intersection(message.topicIDs) or self._topics:
                    self._router.scorer.on_invalid_message(forwarder, topic)
                self._penalise(PeerId(forwarder.to_bytes()), "gossip that is refused")
                return False
            case Verdict.IGNORE:
                return False

    def _verdict(self, forwarder: ID, message: rpc_pb2.Message) -> Verdict:
        # [REJECT] The message has one topic, and it is one of ours.
        if len(message.topicIDs) != 1 or message.topicIDs[0] not in self._topics:
            return Verdict.REJECT
        # [REJECT] The payload is at most 60 kB.
        if len(message.data) > GOSSIP_BYTES_MAX:
            return Verdict.REJECT
        # [IGNORE] It is new, and not our own come back.
        if self._pubsub.seen_messages.has(self._pubsub.get_message_id(message)):
            return Verdict.IGNORE
        if message.from_id == self._host.peer:
            return Verdict.IGNORE
        # [IGNORE] The forwarder is in good standing and within its rate.
        if not self._affords(forwarder, message.topicIDs[0]):
            return Verdict.IGNORE
        # [REJECT] Its author has signed it; else anybody could spend the author's message ids.
        if not _is_signed(message):
            return Verdict.REJECT
        self._pubsub.seen_messages.add(self._pubsub.get_message_id(message))
        return self._ask(PeerId(message.from_id), message.topicIDs[0], message.data)

    def _affords(self, forwarder: ID, topic: str) -> bool:
        if not self._router.scorer.allow_publish(forwarder, [topic]):
            return False
        budget = self._budgets.of(PeerId(forwarder.to_bytes()))
        return budget.try_take(1, trio.current_time())

    def _ask(self, author: PeerId, topic: str, payload: bytes) -> Verdict:
        try:
            return self._validate(author, topic, payload)
        except Exception:  # a defect of ours must not be paid by the sender
            log.exception("validation failed author=%s topic=%s", peer_text(author), topic)
            return Verdict.IGNORE

    def _count_sent(self, size: int) -> None:
        self._counters.bytes_gossiped += size


def _is_signed(message: rpc_pb2.Message) -> bool:
    """Check the author's signature; an undecodable key is a bad one."""
    try:
        return bool(signature_validator(message))
    except Exception:  # the library decodes a peer's bytes with whatever it likes
        return False
