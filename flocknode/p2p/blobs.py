"""Content-addressed pulls: a holder serves bytes by their root, the puller checks them.

Request: root (32 bytes), offset and expected length (8 bytes each, big-endian). Answer: one byte of
``Answer``, and after FOUND the bytes from offset to length in chunks, each of which the puller
acknowledges with one byte. No more than ``CREDITS`` chunks are under way, so the window that the
multiplexer closes for good after five seconds never closes.
"""

import logging
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Protocol

import trio

from flocknode.p2p.counters import Counters
from flocknode.p2p.faults import BlobUnavailableError, NetworkError, OversizedError, StreamLostError
from flocknode.p2p.host import Host
from flocknode.p2p.identity import peer_text
from flocknode.p2p.streams import Stream
from flocknode.primitives import Digest, PeerId

PROTOCOL = "/flock/blob/1"
CHUNK_BYTES = 256 * 1024
CREDITS = 4
BLOB_BYTES_MAX = 1 << 30
PULLS_MAX = 4
"""Pulls of ours at a time; more than four were slower, not faster."""
SERVED_MAX = 16
SERVED_PER_PEER_MAX = 4
REQUEST_SECONDS = 5.0
CHUNK_SECONDS = 10.0
"""A chunk or its acknowledgement that takes longer is a stall."""
ROUNDS = 3
BUSY_SECONDS = 0.5

_REQUEST = struct.Struct(">32sQQ")
_ACKNOWLEDGED = b"\x01"
log = logging.getLogger(__name__)

Verify = Callable[[memoryview], bool]


class BlobSource(Protocol):
    """What a node may give away."""

    def get(self, root: Digest) -> bytes | bytearray | memoryview | None:
        """Return the bytes of ``root`` if they may be served now."""


class Answer(IntEnum):
    FOUND = 0
    UNKNOWN = 1
    BUSY = 2
    OTHER_LENGTH = 3


class Blobs:
    """Serves a ``BlobSource`` and pulls from the holders of what is missing."""

    def __init__(
        self,
        host: Host,
        source: BlobSource,
        counters: Counters,
        chunk_seconds: float = CHUNK_SECONDS,
    ) -> None:
        self._host = host
        self._source = source
        self._counters = counters
        self._chunk_seconds = chunk_seconds
        self._serving: Counter[PeerId] = Counter()
        self._pulls = trio.CapacityLimiter(PULLS_MAX)
        host.serve(PROTOCOL, self._serve)

    async def fetch(
        self, root: Digest, length: int, holders: Sequence[PeerId], verify: Verify
    ) -> bytes:
        """Return ``length`` bytes that ``verify`` accepts, from the first holder that has them.

        What one holder sent is continued from the next; bytes that fail are thrown away whole.
        Raises ``BlobUnavailableError`` when every holder failed.
        """
        if length > BLOB_BYTES_MAX:
            raise OversizedError(length, BLOB_BYTES_MAX)
        pull = _Pull(root, length, bytearray(), [])
        async with self._pulls:
            for attempt in range(ROUNDS):
                for holder in holders:
                    if await self._pull_from(holder, pull, verify):
                        return bytes(pull.data)
                if not pull.is_busy:
                    break
                await trio.sleep(BUSY_SECONDS * 2**attempt)
        raise BlobUnavailableError(root, tuple(pull.faults))

    async def _pull_from(self, holder: PeerId, pull: "_Pull", verify: Verify) -> bool:
        """Continue ``pull`` with ``holder`` and say whether it is complete and right."""
        is_mixed = bool(pull.data)
        if not await self._transfer(holder, pull):
            return False
        if _holds(verify, pull.data):
            return True
        pull.reject(holder)
        # The bytes of two holders were joined: only from the start can this one show that it is
        # honest.
        if not is_mixed or not await self._transfer(holder, pull):
            return False
        if _holds(verify, pull.data):
            return True
        pull.reject(holder)
        return False

    async def _transfer(self, holder: PeerId, pull: "_Pull") -> bool:
        """Pull what is missing from ``holder``; a fault is noted and what came is kept."""
        try:
            stream = await self._host.open_stream(holder, PROTOCOL)
        except NetworkError as fault:
            pull.note(holder, str(fault))
            return False
        try:
            with trio.fail_after(REQUEST_SECONDS):
                await stream.write(_REQUEST.pack(pull.root, len(pull.data), pull.length))
                answer = _answer(stream.peer, (await stream.read_exact(1))[0])
            if answer is not Answer.FOUND:
                pull.note(holder, answer.name.lower())
                pull.is_busy = pull.is_busy or answer is Answer.BUSY
                return False
            await self._read_chunks(stream, pull)
        except (NetworkError, trio.TooSlowError) as fault:
            pull.note(holder, str(fault) or "stalled")
            return False
        else:
            return True
        finally:
            await stream.reset()

    async def _read_chunks(self, stream: Stream, pull: "_Pull") -> None:
        while len(pull.data) < pull.length:
            size = min(CHUNK_BYTES, pull.length - len(pull.data))
            with trio.fail_after(self._chunk_seconds):
                pull.data += await stream.read_exact(size)
                await stream.write(_ACKNOWLEDGED)

    async def _serve(self, stream: Stream) -> None:
        with trio.fail_after(REQUEST_SECONDS):
            root, offset, length = _REQUEST.unpack(await stream.read_exact(_REQUEST.size))
        with self._slot(stream.peer) as is_free:
            answer, blob = self._look_up(Digest(root), offset, length, is_free=is_free)
            with trio.fail_after(REQUEST_SECONDS):
                await stream.write(bytes([answer]))
            await self._write_chunks(stream, blob[offset:])
            await stream.close()

    @contextmanager
    def _slot(self, peer: PeerId) -> Iterator[bool]:
        """Count one served pull while the block runs and say whether it is within the limits."""
        is_free = self._serving.total() < SERVED_MAX and self._serving[peer] < SERVED_PER_PEER_MAX
        self._serving[peer] += is_free
        try:
            yield is_free
        finally:
            self._serving[peer] -= is_free
            self._serving += Counter()  # forgets the peers with none

    def _look_up(
        self, root: Digest, offset: int, length: int, *, is_free: bool
    ) -> tuple[Answer, memoryview]:
        if not is_free:
            return Answer.BUSY, memoryview(b"")
        blob = self._source.get(root)
        if blob is None:
            return Answer.UNKNOWN, memoryview(b"")
        if len(blob) != length or offset > length:
            return Answer.OTHER_LENGTH, memoryview(b"")
        return Answer.FOUND, memoryview(blob)

    async def _write_chunks(self, stream: Stream, rest: memoryview) -> None:
        """Send ``rest`` and wait until every chunk is acknowledged."""
        waiting = 0
        for start in range(0, len(rest), CHUNK_BYTES):
            chunk = rest[start : start + CHUNK_BYTES]
            with trio.fail_after(self._chunk_seconds):
                if waiting == CREDITS:
                    await stream.read_exact(1)
                    waiting -= 1
                await stream.write(bytes(chunk))
            waiting += 1
            self._counters.bytes_blobs += len(chunk)
        with trio.fail_after(self._chunk_seconds):
            await stream.read_exact(waiting)


class _Pull:
    """One blob on its way, with what went wrong so far."""

    def __init__(self, root: Digest, length: int, data: bytearray, faults: list[str]) -> None:
        self.root = root
        self.length = length
        self.data = data
        self.faults = faults
        self.is_busy = False

    def note(self, holder: PeerId, reason: str) -> None:
        log.debug("pull failed holder=%s cause=%s", peer_text(holder), reason)
        self.faults.append(f"{peer_text(holder)}: {reason}")

    def reject(self, holder: PeerId) -> None:
        """Throw the bytes away: they are not what the root names."""
        self.data = bytearray()
        self.note(holder, "wrong bytes")


def _holds(verify: Verify, data: bytearray) -> bool:
    with memoryview(data) as view:
        return verify(view)


def _answer(peer: PeerId, code: int) -> Answer:
    try:
        return Answer(code)
    except ValueError as fault:
        raise StreamLostError(peer, f"unknown answer {code}") from fault
