"""Content-addressed pulls: what goes over the wire, and the side that asks.

Request: root (32 bytes), kind of tree (1), leaf bytes (2), length (8) and the first chunk wanted
(4), big-endian. Answer: one byte of ``Answer``; after FOUND the nodes of the tree above all chunks,
which must fold to the root, then the chunks from the first one wanted, each of which must fold to
its node and is acknowledged with one byte. So a wrong byte is known for its sender's at once, and
what was kept is right whoever sends the rest. No more than ``CREDITS`` chunks are under way, for
which the puller opens the multiplexer's window: so it never closes, and the pipe never drains.
"""

import logging
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf
from typing import Self

import trio

from flocknode.crypto.merkle import LEAF_BYTES, TreeKind, root_of_subtrees, subtrees
from flocknode.crypto.peer_id import peer_text
from flocknode.p2p.faults import BlobUnavailableError, NetworkError, OversizedError, StreamLostError
from flocknode.p2p.host import Host
from flocknode.p2p.streams import Stream
from flocknode.p2p.trees import ChunkTree, ChunkTrees, chunk_sum
from flocknode.p2p.turns import Turns
from flocknode.ports import Draft
from flocknode.primitives import Digest, PeerId

PROTOCOL = "/flock/blob/2"
CHUNK_LEAVES = 256
"""Leaves of a chunk: 256 KiB of a vector."""
CREDITS = 16
BATCH = 8
"""Chunks that are kept and acknowledged together while more are waiting."""
BLOB_BYTES_MAX = 1 << 30
PULLS_MAX = 4
"""Pulls of ours at a time; more than four were slower, not faster."""
PULL_SECONDS = 10.0
"""A pull that takes longer no longer keeps the next one waiting: its only holder may be a liar."""
REQUEST_SECONDS = 5.0
CHUNK_SECONDS = 10.0
"""A chunk or its acknowledgement that takes longer is a stall."""
ROUNDS = 3
TURN_SECONDS = 5.0
"""What each holder has at first; whoever was fastest then has all the time that it needs."""
BYTES_PER_SECOND_MIN = 1 << 20
"""Whoever sends as much keeps its turn: a change of holders costs what is under way."""
BUSY_SECONDS = 0.5
THREAD_BYTES_MIN = 1 << 20
"""Longer blobs are hashed and written in a thread."""

ACKNOWLEDGED = b"\x01"
_KINDS = frozenset(map(int, TreeKind))
_REQUEST = struct.Struct(">32sBHQI")
log = logging.getLogger(__name__)

Penalise = Callable[[PeerId, str], None]


class Answer(IntEnum):
    FOUND = 0
    UNKNOWN = 1
    BUSY = 2
    OTHER_LENGTH = 3


@dataclass(frozen=True, slots=True)
class Request:
    """Which blob, and from which chunk on."""

    root: Digest
    kind: TreeKind
    leaf_bytes: int
    length: int
    first: int

    SIZE = _REQUEST.size

    @classmethod
    def from_bytes(cls, data: bytes | bytearray) -> Self | None:
        """Return the request, or None if it is none that this project makes."""
        root, kind, leaf_bytes, length, first = _REQUEST.unpack(data)
        if kind not in _KINDS or not 0 < length <= BLOB_BYTES_MAX:
            return None
        return cls(Digest(root), TreeKind(kind), leaf_bytes, length, first)

    def to_bytes(self) -> bytes:
        return _REQUEST.pack(self.root, self.kind, self.leaf_bytes, self.length, self.first)

    @property
    def chunk_bytes(self) -> int:
        return CHUNK_LEAVES * self.leaf_bytes

    @property
    def chunks(self) -> int:
        return -(-self.length // self.chunk_bytes)

    def chunk_of(self, blob: memoryview, number: int) -> memoryview:
        return blob[number * self.chunk_bytes : (number + 1) * self.chunk_bytes]

    def nodes_of(self, data: bytes | bytearray | memoryview) -> tuple[Digest, ...]:
        """Return the nodes above the chunks of ``data``."""
        return subtrees(memoryview(data), CHUNK_LEAVES, self.leaf_bytes)

    def tree_of(self, blob: memoryview) -> ChunkTree:
        """Hash all of ``blob``."""
        chunks = (self.chunk_of(blob, number) for number in range(self.chunks))
        return ChunkTree(self.nodes_of(blob), tuple(map(chunk_sum, chunks)))

    def is_named_by(self, nodes: Sequence[Digest]) -> bool:
        """Tell whether the root is that of ``nodes``."""
        return root_of_subtrees(self.kind, self.length, nodes) == self.root


@dataclass(slots=True)
class _Pull:
    """One blob on its way, with what went wrong so far."""

    root: Digest
    kind: TreeKind
    leaf_bytes: int
    length: int
    draft: Draft
    is_checked: bool = False
    """What the draft held before was compared with the tree."""
    is_busy: bool = False
    turn: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Ends when the holder that is asked is too slow."""
    sums: dict[int, bytes] = field(default_factory=dict)
    """Sums of the chunks that came, by number, whoever sent them."""
    speeds: dict[PeerId, float] = field(default_factory=dict)
    """Bytes per second of holders whose turn ended before the blob did."""
    faults: list[str] = field(default_factory=list)

    def request(self) -> Request:
        first = self.draft.held // (CHUNK_LEAVES * self.leaf_bytes) if self.is_checked else 0
        return Request(self.root, self.kind, self.leaf_bytes, self.length, first)

    def note(self, holder: PeerId, reason: str) -> None:
        log.debug("pull failed holder=%s cause=%s", peer_text(holder), reason)
        self.faults.append(f"{peer_text(holder)}: {reason}")


class _WrongBytes(NetworkError):
    """A holder sent what the root does not name."""


class Puller:
    """Pulls what is missing from its holders."""

    def __init__(
        self, host: Host, trees: ChunkTrees, penalise: Penalise, chunk_seconds: float
    ) -> None:
        self._host = host
        self._trees = trees
        self._penalise = penalise
        self.chunk_seconds = chunk_seconds
        self._pulls = Turns(PULLS_MAX, PULL_SECONDS)

    async def fetch(
        self,
        root: Digest,
        kind: TreeKind,
        length: int,
        holders: Sequence[PeerId],
        draft: Draft,
        leaf_bytes: int = LEAF_BYTES,
    ) -> None:
        """Fill ``draft`` with the ``length`` bytes of ``root``; what it holds is not pulled again.

        Several holders take turns, so that a slow one costs little. What one sent is continued
        from the next, and stays in the draft when all have failed, which raises
        ``BlobUnavailableError``.
        """
        if length > BLOB_BYTES_MAX:
            raise OversizedError(length, BLOB_BYTES_MAX)
        pull = _Pull(root, kind, leaf_bytes, length, draft, is_checked=not draft.held)
        seconds = TURN_SECONDS if len(holders) > 1 else inf
        async with self._pulls.turn():
            for attempt in range(ROUNDS):
                for holder in holders:
                    if await self._take_turn(holder, pull, seconds):
                        return
                if pull.is_busy:
                    await trio.sleep(BUSY_SECONDS * 2**attempt)
                elif not pull.speeds:
                    break
                holders = sorted(holders, key=lambda it: pull.speeds.get(it, 0), reverse=True)
                seconds = inf
        raise BlobUnavailableError(root, tuple(pull.faults))

    async def _take_turn(self, holder: PeerId, pull: _Pull, seconds: float) -> bool:
        """Continue ``pull`` with ``holder`` until it is slow; tell whether it is complete.

        A turn lasts ``seconds``, and longer by what comes at ``BYTES_PER_SECOND_MIN``.
        """
        is_whole, held, began = False, pull.draft.held, trio.current_time()
        with trio.move_on_after(seconds) as pull.turn:
            is_whole = await self._pull_from(holder, pull)
        if pull.turn.cancelled_caught:
            speed = (pull.draft.held - held) / (trio.current_time() - began)
            pull.speeds[holder] = speed
            pull.note(holder, f"slow, {speed / 1024:.0f} KiB/s")
        return is_whole

    async def _pull_from(self, holder: PeerId, pull: _Pull) -> bool:
        """Continue ``pull`` with ``holder``; a fault is noted and what came is kept."""
        try:
            stream = await self._host.open_stream(holder, PROTOCOL)
        except NetworkError as fault:
            pull.note(holder, str(fault))
            return False
        is_whole = False
        try:
            is_whole = await self._transfer(stream, pull)
        except _WrongBytes as fault:
            pull.note(holder, str(fault))
            self._penalise(holder, f"{fault} of blob {pull.root.hex()[:16]}")
        except (NetworkError, trio.TooSlowError) as fault:
            pull.note(holder, str(fault) or "stalled")
        finally:
            # The last acknowledgement must not be thrown away with the stream.
            await (stream.close() if is_whole else stream.reset())
        return is_whole

    async def _transfer(self, stream: Stream, pull: _Pull) -> bool:
        """Pull what is missing; False if the holder has nothing to give."""
        request = pull.request()
        with trio.fail_after(REQUEST_SECONDS):
            await stream.write(request.to_bytes())
            answer = _answer(stream.peer, (await stream.read_exact(1))[0])
        if answer is not Answer.FOUND:
            pull.note(stream.peer, answer.name.lower())
            pull.is_busy = pull.is_busy or answer is Answer.BUSY
            return False
        with trio.fail_after(self.chunk_seconds):
            packed = await stream.read_exact(32 * request.chunks)
        nodes = [Digest(bytes(packed[i : i + 32])) for i in range(0, len(packed), 32)]
        if not request.is_named_by(nodes):
            raise _WrongBytes("wrong nodes")
        if not pull.is_checked:
            # Only the nodes tell which bytes of an earlier attempt are good: ask again from there.
            await _run(request, _keep_what_is_right, request, nodes, pull.draft)
            pull.is_checked = True
            if pull.draft.held:
                await stream.reset()
                return await self._pull_from(stream.peer, pull)
        await self._read_chunks(stream, request, nodes, pull)
        return True

    async def _read_chunks(
        self, stream: Stream, request: Request, nodes: Sequence[Digest], pull: _Pull
    ) -> None:
        """Check, keep and acknowledge chunk after chunk, while the next ones come in.

        There is room for all that the holder may send unacknowledged, however long the disk takes.
        """
        stream.widen(CREDITS * request.chunk_bytes)
        chunks: list[bytes] = []
        for number in range(request.first, request.chunks):
            size = min(request.chunk_bytes, request.length - number * request.chunk_bytes)
            with trio.fail_after(self.chunk_seconds):
                chunks.append(await stream.read_exact(size))
            if request.nodes_of(chunks[-1]) != (nodes[number],):
                await _run(request, _append, chunks[:-1], pull.draft)
                raise _WrongBytes("wrong bytes")
            pull.sums[number] = chunk_sum(chunks[-1])
            pull.turn.deadline += size / BYTES_PER_SECOND_MIN
            if len(chunks) == BATCH or stream.held < size or number == request.chunks - 1:
                await _run(request, _append, chunks, pull.draft)
                with trio.fail_after(self.chunk_seconds):
                    await stream.write(ACKNOWLEDGED * len(chunks))
                chunks = []
        if len(pull.sums) == request.chunks:
            sums = [pull.sums[number] for number in range(request.chunks)]
            self._trees.keep(request.root, ChunkTree(nodes, sums))


def _append(chunks: Sequence[bytes], draft: Draft) -> None:
    for chunk in chunks:
        draft.append(chunk)


def _keep_what_is_right(request: Request, nodes: Sequence[Digest], draft: Draft) -> None:
    """Cut the draft to the chunks that are under ``nodes``."""
    right = 0
    for node in nodes:
        chunk = draft.read(right, min(request.chunk_bytes, request.length - right))
        if not chunk or request.nodes_of(chunk) != (node,):
            break
        right += len(chunk)
    draft.cut(right)


async def _run(request: Request, function: Callable[..., None], *arguments: object) -> None:
    """Call in a thread what hashes all of a long blob, or writes a part of one."""
    if request.length >= THREAD_BYTES_MIN:
        await trio.to_thread.run_sync(function, *arguments)
    else:
        function(*arguments)


def _answer(peer: PeerId, code: int) -> Answer:
    try:
        return Answer(code)
    except ValueError as fault:
        raise StreamLostError(peer, f"unknown answer {code}") from fault
