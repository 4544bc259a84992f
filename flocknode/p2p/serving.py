"""The side of pulls that gives: what, to whom, how much and how fast."""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import trio

from flocknode.crypto.merkle import LEAF_BYTES
from flocknode.messages.statements import RECORD_BYTES
from flocknode.p2p.blobs import (
    CREDITS,
    PROTOCOL,
    REQUEST_SECONDS,
    THREAD_BYTES_MIN,
    Answer,
    Request,
)
from flocknode.p2p.counters import Counters
from flocknode.p2p.host import Host
from flocknode.p2p.rate import Buckets
from flocknode.p2p.streams import Stream
from flocknode.p2p.trees import ChunkTree, ChunkTrees
from flocknode.primitives import Digest, PeerId

SERVED_MAX = 16
SERVED_PER_PEER_MAX = 4
PATIENCE_SECONDS = 10.0
SLOW_BYTES_PER_SECOND = 1 << 16
"""Whoever had its time and takes less makes room for others, if all slots are taken."""
REQUESTS_PER_SECOND = 16.0
REQUESTS_BURST = 256.0
BYTES_PER_SECOND = 64.0 * 2**20
BYTES_BURST = 256.0 * 2**20
OFFERS_MAX = 64
OFFERED_TIMES = 1.25
"""How often a peer may have a blob that is offered to few: once, and what an interruption costs."""
LEAF_BYTES_KNOWN = (LEAF_BYTES, RECORD_BYTES)
"""Smaller leaves would make this node hash more than it sends."""

log = logging.getLogger(__name__)


class BlobSource(Protocol):
    """What a node may give away."""

    def get(self, root: Digest) -> bytes | memoryview | None:
        """Return the bytes of ``root`` if they may be served now; may block."""


@dataclass(eq=False, slots=True)
class _Slot:
    """One pull that is served."""

    peer: PeerId
    began: float
    taken: int = 0
    """Bytes that were acknowledged."""
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def slack(self, now: float) -> float:
        """Return for how many seconds it may go on before it is slow."""
        return self.began + PATIENCE_SECONDS + self.taken / SLOW_BYTES_PER_SECOND - now


class Server:
    """Serves a ``BlobSource`` to whoever asks, within limits."""

    def __init__(
        self,
        host: Host,
        source: BlobSource,
        trees: ChunkTrees,
        counters: Counters,
        chunk_seconds: float,
    ) -> None:
        self._source = source
        self._counters = counters
        self.chunk_seconds = chunk_seconds
        self._slots: set[_Slot] = set()
        self._requests = Buckets(REQUESTS_PER_SECOND, REQUESTS_BURST)
        self._volumes = Buckets(BYTES_PER_SECOND, BYTES_BURST)
        self._trees = trees
        self._hashing: dict[Digest, trio.Event] = {}
        """Blobs that are hashed now: whoever asks for one meanwhile waits for its tree."""
        self._offers: OrderedDict[Digest, dict[PeerId, float]] = OrderedDict()
        host.serve(PROTOCOL, self._serve)

    def offer(self, root: Digest, peers: Iterable[PeerId]) -> None:
        """Give ``root`` to ``peers`` only, besides those that it was offered to before."""
        times = self._offers.setdefault(root, {})
        for peer in peers:
            times.setdefault(peer, OFFERED_TIMES)
        while len(self._offers) > OFFERS_MAX:
            self._offers.popitem(last=False)

    async def _serve(self, stream: Stream) -> None:
        with trio.fail_after(REQUEST_SECONDS):
            request = Request.from_bytes(await stream.read_exact(Request.SIZE))
        if request is None or request.leaf_bytes not in LEAF_BYTES_KNOWN:
            await self._refuse(stream, Answer.UNKNOWN)
            return
        with self._slot(stream.peer) as slot:
            if slot is None:
                await self._refuse(stream, Answer.BUSY)
                return
            with slot.scope:
                await self._give(stream, request, slot)
            if slot.scope.cancelled_caught:
                await stream.reset()

    async def _give(self, stream: Stream, request: Request, slot: _Slot) -> None:
        blob = await self._look_up(request, stream.peer)
        if isinstance(blob, Answer):
            await self._refuse(stream, blob)
            return
        tree = await self._tree(request, blob)
        if tree is None:
            await self._refuse(stream, Answer.UNKNOWN)
            return
        with trio.fail_after(self.chunk_seconds):
            await stream.write(bytes([Answer.FOUND]) + b"".join(tree.nodes))
        await self._write_chunks(stream, request, blob, tree, slot)
        await stream.close()

    @contextmanager
    def _slot(self, peer: PeerId) -> Iterator[_Slot | None]:
        """Hold a slot for a pull while the block runs, or None if that is beyond the limits."""
        now = trio.current_time()
        if not self._has_room_for(peer, now):
            yield None
            return
        slot = _Slot(peer, now)
        self._slots.add(slot)
        try:
            yield slot
        finally:
            self._slots.discard(slot)

    def _has_room_for(self, peer: PeerId, now: float) -> bool:
        """Tell whether one more pull is within the limits; the slowest makes room for it."""
        own = sum(slot.peer == peer for slot in self._slots)
        if own >= SERVED_PER_PEER_MAX or not self._requests.of(peer).try_take(1, now):
            return False
        if len(self._slots) < SERVED_MAX:
            return True
        slowest = min(self._slots, key=lambda slot: slot.slack(now))
        if slowest.slack(now) > 0:
            return False
        slowest.scope.cancel()
        self._slots.discard(slowest)
        return True

    async def _look_up(self, request: Request, peer: PeerId) -> memoryview | Answer:
        offered = self._offers.get(request.root)
        if offered is not None and offered.get(peer, 0.0) <= 0.0:
            return Answer.UNKNOWN
        blob = self._source.get(request.root)
        if blob is None:
            return Answer.UNKNOWN
        if len(blob) != request.length or request.first >= request.chunks:
            return Answer.OTHER_LENGTH
        return memoryview(blob)

    async def _tree(self, request: Request, blob: memoryview) -> ChunkTree | None:
        """Return what is known of the chunks, or None if the root is not theirs."""
        while (known := self._trees.get(request.root)) is None or (
            len(known.nodes) != request.chunks
        ):
            hashing = self._hashing.get(request.root)
            if hashing is None:
                known = await self._hashed(request, blob)
                break
            await hashing.wait()
        if not request.is_named_by(known.nodes):
            return None
        self._trees.keep(request.root, known)
        return known

    async def _hashed(self, request: Request, blob: memoryview) -> ChunkTree:
        if request.length < THREAD_BYTES_MIN:
            return request.tree_of(blob)
        done = self._hashing[request.root] = trio.Event()
        try:
            return await trio.to_thread.run_sync(request.tree_of, blob)
        finally:
            del self._hashing[request.root]
            done.set()

    async def _write_chunks(
        self, stream: Stream, request: Request, blob: memoryview, tree: ChunkTree, slot: _Slot
    ) -> None:
        """Send the chunks from the first one wanted and wait until each is acknowledged."""
        waiting = 0
        volume = self._volumes.of(stream.peer)
        for number in range(request.first, request.chunks):
            chunk = request.chunk_of(blob, number)
            # What a damaged disk made of it must not be taken for a lie of this node.
            if not tree.is_intact(number, chunk):
                self._trees.drop(request.root)
                log.warning("blob %s is damaged and not served", request.root.hex()[:16])
                await stream.reset()
                return
            if pause := volume.take(len(chunk), trio.current_time()):
                await trio.sleep(pause)
            if waiting == CREDITS:
                waiting -= await self._acknowledged(stream, request, slot, waiting)
            with trio.fail_after(self.chunk_seconds):
                await stream.write(chunk)
            waiting += 1
            self._count(stream.peer, request, len(chunk))
        while waiting:
            waiting -= await self._acknowledged(stream, request, slot, waiting)

    async def _acknowledged(
        self, stream: Stream, request: Request, slot: _Slot, waiting: int
    ) -> int:
        """Wait for acknowledgements and return how many of those ``waiting`` came."""
        with trio.fail_after(self.chunk_seconds):
            count = len(await stream.read_some(waiting))
        slot.taken += count * request.chunk_bytes
        return count

    def _count(self, peer: PeerId, request: Request, size: int) -> None:
        self._counters.bytes_blobs += size
        if request.root in self._offers:
            self._offers[request.root][peer] -= size / request.length

    async def _refuse(self, stream: Stream, answer: Answer) -> None:
        with trio.fail_after(REQUEST_SECONDS):
            await stream.write(bytes([answer]))
            await stream.close()
