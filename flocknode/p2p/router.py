"""libp2p's GossipSub with those defects of 0.8.1 repaired that a peer could use against us."""

import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

import trio
from google.protobuf.message import DecodeError
from libp2p.abc import INetStream
from libp2p.exceptions import ParseError
from libp2p.io.exceptions import MessageTooLarge
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.score import ScoreParams, TopicScoreParams
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

from flocknode.crypto.peer_id import peer_text
from flocknode.p2p.control import curb
from flocknode.p2p.rate import Bucket, Buckets
from flocknode.p2p.streams import LIBRARY_FAULTS, READ_BYTES_MAX
from flocknode.primitives import PeerId

RPC_BYTES_MAX = 128 * 1024
MESSAGES_MAX = 256
"""Messages of one RPC, and subscriptions; a neighbour of ours sends one."""
RPC_QUEUE_MAX = 256
"""Outgoing RPCs per neighbour; the library's 32 lose messages in a burst."""
GUESTS_MAX = 12
NEIGHBOURS_MAX = 8
MESH_MAX = GUESTS_MAX + NEIGHBOURS_MAX
"""Every neighbour is a mesh edge, so nobody is pruned into a back-off of 60 s."""
BACK_OFF_SECONDS = 60
BYTES_PER_SECOND = 4.0 * 2**20
BYTES_BURST = 32.0 * 2**20
SEEN_MAX = 1 << 16
SEEN_SECONDS = 120.0

log = logging.getLogger(__name__)


class Seen:
    """Message ids of the last two minutes, bounded, without the library's thread per host."""

    def __init__(self) -> None:
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def has(self, key: bytes) -> bool:
        return self._until.get(key, 0.0) > time.monotonic()

    def add(self, key: bytes) -> bool:
        """Remember ``key`` and say whether it is new."""
        now = time.monotonic()
        is_new = self._until.get(key, 0.0) <= now
        self._until[key] = now + SEEN_SECONDS
        self._until.move_to_end(key)
        while self._until and (len(self._until) > SEEN_MAX or self._oldest() <= now):
            self._until.popitem(last=False)
        return is_new

    def _oldest(self) -> float:
        return next(iter(self._until.values()))


def _score_params() -> ScoreParams:
    """Ten points off for each rejected message: from the second on nothing is taken or sent."""
    return ScoreParams(
        p4_invalid_messages=TopicScoreParams(weight=10, cap=100, decay=0.9),
        publish_threshold=-50,
        gossip_threshold=-20,
        graylist_threshold=-80,
    )


class Router(GossipSub):  # type: ignore[misc]  # libp2p is untyped
    """GossipSub 1.1 whose mesh is all neighbours and whose memory is bounded."""

    def __init__(self) -> None:
        super().__init__(
            protocols=[PROTOCOL_ID_V11],
            degree=MESH_MAX,
            degree_low=MESH_MAX,
            degree_high=MESH_MAX,
            heartbeat_interval=1,
            do_px=False,
            prune_back_off=BACK_OFF_SECONDS,
            score_params=_score_params(),
            adaptive_gossip_enabled=False,
            spam_protection_enabled=False,
            eclipse_protection_enabled=False,
        )

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        await super().publish(msg_forwarder, pubsub_msg)
        # The library notes a time per message here for a feature that is off, and never forgets.
        self.recent_message_deliveries.clear()

    async def handle_rpc(self, rpc: rpc_pb2.RPC, sender_peer_id: ID) -> None:
        """Take what a neighbour asks of the mesh, within bounds."""
        curb(rpc.control, self.mesh)
        await super().handle_rpc(rpc, sender_peer_id)

    async def handle_prune(self, prune_msg: rpc_pb2.ControlPrune, sender_peer_id: ID) -> None:
        """Take a neighbour's prune with a back-off of at most a minute and no peers to dial."""
        prune_msg.backoff = min(prune_msg.backoff, BACK_OFF_SECONDS)
        del prune_msg.peers[:]
        await super().handle_prune(prune_msg, sender_peer_id)

    def _check_equivocation(self, _msg: rpc_pb2.Message) -> bool:
        """Keep no copies of whole messages: what is signed inside them tells equivocation."""
        return True


class _Buffered:
    """The part of a stream that Pubsub reads, which asks for every length byte by byte.

    All of a peer's gossip, control messages included, comes at most at the rate of ``volume``.
    """

    def __init__(self, raw: INetStream, volume: Bucket) -> None:
        self._raw = raw
        self._volume = volume
        self._ahead = bytearray()
        self.muxed_conn = raw.muxed_conn

    async def read(self, n: int) -> bytes:
        if not self._ahead:
            self._ahead += await self._raw.read(READ_BYTES_MAX)
            await trio.sleep(self._volume.take(len(self._ahead), trio.current_time()))
        piece = bytes(self._ahead[:n])
        del self._ahead[:n]
        return piece

    async def reset(self) -> None:
        await self._raw.reset()


class SafePubsub(Pubsub):  # type: ignore[misc]  # libp2p is untyped
    """Pubsub between admitted peers only, in sessions that both ends lose together.

    A session is one stream in each direction. A host opens its half to the neighbours it chose and
    to guests, peers that opened theirs first; nobody else's stream is read, so no connection made
    for another purpose becomes a mesh edge. ``judge`` decides synchronously, so a message is seen
    before any copy of it can be looked at.
    """

    def __init__(
        self,
        host: object,
        router: Router,
        topics: frozenset[str],
        judge: Callable[[ID, rpc_pb2.Message], bool],
        on_sent: Callable[[int], None],
        penalise: Callable[[PeerId, str], None],
    ) -> None:
        super().__init__(host, router, max_inbound_rpc_size=RPC_BYTES_MAX, allowed_topics=topics)
        vars(self)["seen_messages"].stop()
        self.seen_messages = Seen()
        # A restarted node must not reuse the numbers that its peers have seen.
        self.counter = time.time_ns()
        self.chosen: set[ID] = set()
        self._judge = judge
        self._on_sent = on_sent
        self._penalise = penalise
        self._volumes = Buckets(BYTES_PER_SECOND, BYTES_BURST)
        self._guests: dict[ID, INetStream] = {}
        self._opening: set[ID] = set()
        self._parted: dict[ID, trio.Event] = {}

    async def begin(self, peer_id: ID) -> None:
        """Open our half of a session with a chosen peer unless it is open."""
        await self._handle_new_peer(peer_id)

    async def parted(self, peer_id: ID) -> None:
        """Wait until no session with ``peer_id`` is left."""
        while peer_id in self.peers:
            await self._parted.setdefault(peer_id, trio.Event()).wait()

    def part(self, peer_id: ID) -> None:
        """End the session with ``peer_id``, both halves."""
        self._handle_dead_peer(peer_id)

    async def stream_handler(self, stream: INetStream) -> None:
        """Read a peer's half of a session; whatever it sends ends at most this session."""
        peer_id = stream.muxed_conn.peer_id
        if not self._admits(peer_id):
            await stream.reset()
            return
        older = self._guests.get(peer_id)
        if older is not None:
            await self._begin_anew(peer_id, older, stream)
        self._guests[peer_id] = stream
        self.manager.run_task(self._handle_new_peer_with_retry, peer_id)
        try:
            volume = self._volumes.of(PeerId(peer_id.to_bytes()))
            await self.continuously_read_stream(_Buffered(stream, volume))
        except (DecodeError, MessageTooLarge, ParseError) as fault:
            self._penalise(PeerId(peer_id.to_bytes()), f"gossip that is none: {fault}")
        except LIBRARY_FAULTS as fault:
            log.debug("pubsub stream ended peer=%s cause=%r", _name(peer_id), fault)
        except Exception as fault:  # a library task's root: it kills the host
            log.info("pubsub stream failed peer=%s cause=%r", _name(peer_id), fault)
        if self._guests.get(peer_id) is stream:
            self._handle_dead_peer(peer_id)

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Take one RPC after the other, and its messages in turn: the library starts a task each.

        Raises what the stream does, and ``DecodeError`` or ``ParseError`` at what is no RPC.
        """
        peer_id = stream.muxed_conn.peer_id
        while True:
            rpc = rpc_pb2.RPC()
            rpc.ParseFromString(await read_varint_prefixed_bytes_limited(stream, RPC_BYTES_MAX))
            if len(rpc.publish) > MESSAGES_MAX or len(rpc.subscriptions) > MESSAGES_MAX:
                raise ParseError(f"an RPC of more than {MESSAGES_MAX} messages")
            for message in filter(self._is_subscribed_to_msg, rpc.publish):
                await self.push_msg(peer_id, message)
                await trio.lowlevel.checkpoint()
            for subscription in rpc.subscriptions:
                self.handle_subscription(peer_id, subscription)
            if rpc.HasField("control"):
                await self.router.handle_rpc(rpc, peer_id)

    def handle_subscription(self, origin_id: ID, sub_message: rpc_pb2.RPC.SubOpts) -> None:
        """Take subscriptions for the life of a session: each brings a replay of what is recent."""
        if sub_message.subscribe:
            super().handle_subscription(origin_id, sub_message)

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message) -> None:
        """Judge a message and forward what was accepted."""
        try:
            if msg_forwarder == self.my_id:
                self.seen_messages.add(self.get_message_id(msg))
            elif not self._judge(msg_forwarder, msg):
                return
            await self.router.publish(msg_forwarder, msg)
        except Exception as fault:  # a library task's root: it kills the host
            log.warning("message dropped peer=%s cause=%r", _name(msg_forwarder), fault)

    async def write_msg(self, stream: INetStream, rpc_msg: rpc_pb2.RPC) -> bool:
        """Write one RPC and count what it carries."""
        written: bool = await super().write_msg(stream, rpc_msg)
        if written:
            self._on_sent(sum(len(message.data) for message in rpc_msg.publish))
        return written

    async def _begin_anew(self, peer_id: ID, older: INetStream, newer: INetStream) -> None:
        """Let go of a session that the peer has lost, perhaps in a crash that was not noticed."""
        self._handle_dead_peer(peer_id)
        if older.muxed_conn is not newer.muxed_conn:
            # Our half must not be opened on the connection of the peer's former life.
            with contextlib.suppress(*LIBRARY_FAULTS):
                await older.swarm_conn.close()

    def _admits(self, peer_id: ID) -> bool:
        if self._is_neighbour(peer_id):
            return True
        return len(self._guests.keys() - self.chosen) < GUESTS_MAX

    def _is_neighbour(self, peer_id: ID) -> bool:
        return peer_id in self.chosen or peer_id in self._guests

    async def _handle_new_peer(self, peer_id: ID) -> None:
        if not self._is_neighbour(peer_id) or peer_id in self._opening or peer_id in self.peers:
            return
        self._opening.add(peer_id)
        try:
            await super()._handle_new_peer(peer_id)
        finally:
            self._opening.discard(peer_id)
        if not self._is_neighbour(peer_id):
            # It left while its half was opened, which would stand in the way of its next session.
            self._handle_dead_peer(peer_id)
        queue = self.peer_queues.get(peer_id)
        if queue is not None:
            queue.max_message_size = RPC_BYTES_MAX
            queue._queue.max_size = RPC_QUEUE_MAX  # noqa: SLF001

    def _handle_dead_peer(self, peer_id: ID) -> None:
        """Drop both halves: the library keeps one, and forgets the subscriptions it brought."""
        halves = (self._guests.pop(peer_id, None), self.peers.get(peer_id))
        super()._handle_dead_peer(peer_id)
        for stream in filter(None, halves):
            if self.manager.is_running:
                self.manager.run_task(_reset, stream)
        event = self._parted.pop(peer_id, None)
        if event is not None:
            event.set()

    def _schedule_peer_stream_retry(self, peer_id: ID) -> None:
        """Leave it to whoever chose the peer to begin anew."""


def _name(peer_id: ID) -> str:
    return peer_text(PeerId(peer_id.to_bytes()))


async def _reset(stream: INetStream) -> None:
    with contextlib.suppress(*LIBRARY_FAULTS):
        await stream.reset()
