"""Streams over one noise session: yamux, as hashicorp/yamux's ``spec.md`` describes it.

The library's own reads and writes every frame by itself, with seven locks and as many passes of the
loop, asks every 10 ms whether a closed window is open again, and leaves half a frame on the wire
when a writer is cancelled. Here one task writes all that waits at once, and one reads.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from libp2p.abc import ConnectionType, ISecureConn
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedConnUnavailable, MuxedStreamError
from multiaddr import Multiaddr

from flocknode.p2p.frames import (
    Flag,
    Frame,
    FrameFault,
    Kind,
    Unpacker,
    go_away,
    ping,
    window_update,
)
from flocknode.p2p.muxed import Connection, MuxedStream
from flocknode.p2p.noise import Buffer, NoiseSession
from flocknode.p2p.streams import LIBRARY_FAULTS

STREAMS_MAX = 256
"""Streams of one connection that are open at a time, of each end."""
QUEUED_BYTES_MAX = 1 << 19
"""More waits with its writer."""
ANSWERS_BYTES_MAX = 1 << 20
"""A peer that asks for more answers than this and reads none is cut off."""
PING_SECONDS = 30.0
PONG_SECONDS = 15.0
"""A peer that does not answer a ping for this long is gone."""
SEND_SECONDS = 60.0
"""A peer that takes no batch for so long holds all that waits for it, whatever it says."""
FLUSH_SECONDS = 1.0
BATCH_BYTES = 1 << 18
_NORMAL, _PROTOCOL_ERROR = 0, 1
_SEND_FAULTS: tuple[type[Exception], ...] = (*LIBRARY_FAULTS, trio.TooSlowError)

log = logging.getLogger(__name__)


class YamuxConnection(Connection):
    """What libp2p's swarm takes for a connection with streams."""

    on_close: Callable[[], Awaitable[None]] | None = None
    """Set by the swarm."""

    def __init__(self, secured: ISecureConn, peer_id: ID) -> None:
        assert isinstance(secured, NoiseSession)
        self.secured_conn = secured
        self.peer_id = peer_id
        self.event_started = trio.Event()
        self._ended = trio.Event()
        self._is_ending = False
        self._streams: dict[int, MuxedStream] = {}
        self._next = 1 if secured.is_initiator else 2
        self._slots = trio.Semaphore(STREAMS_MAX)
        self._arrive, self._arrived = trio.open_memory_channel[MuxedStream](STREAMS_MAX)
        self._queue: deque[Buffer] = deque()
        self._queued_bytes = 0
        self._waiting = trio.lowlevel.ParkingLot()
        self._sent = trio.lowlevel.ParkingLot()
        self._is_writing = False
        self._heard = trio.Event()
        self._scope = trio.CancelScope()

    @property
    def is_initiator(self) -> bool:
        return bool(self.secured_conn.is_initiator)

    @property
    def is_established(self) -> bool:
        return self.event_started.is_set() and not self._is_ending

    @property
    def is_closed(self) -> bool:
        return self._ended.is_set()

    def get_transport_addresses(self) -> list[Multiaddr]:
        addresses: list[Multiaddr] = self.secured_conn.get_transport_addresses()
        return addresses

    def get_connection_type(self) -> ConnectionType:
        return self.secured_conn.get_connection_type()

    def get_remote_address(self) -> tuple[str, int] | None:
        address: tuple[str, int] | None = self.secured_conn.get_remote_address()
        return address

    async def start(self) -> None:
        """Read and write until either end closes."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                nursery.start_soon(self._keep_pulse)
                self.event_started.set()
                await self._read()
                nursery.cancel_scope.cancel()
        await self._end()

    async def open_stream(self) -> MuxedStream:
        """Open a stream; waits while as many as may be are open."""
        await self._slots.acquire()
        if self._is_ending:
            self._slots.release()
            raise MuxedStreamError("the connection is closing")
        stream = MuxedStream(self, self._next)
        self._next += 2
        self._streams[stream.number] = stream
        self.send_now(window_update(stream.number, 0, Flag.SYN))
        return stream

    async def accept_stream(self) -> MuxedStream:
        """Wait for a stream that the peer opens."""
        try:
            return await self._arrived.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError) as end:
            raise MuxedConnUnavailable("closed") from end

    async def close(self) -> None:
        """Say goodbye, and close once what is queued has left or a second is over."""
        if not self._is_ending:
            await self._say_goodbye(_NORMAL)
        await self._end()

    async def send(self, *pieces: Buffer) -> None:
        while self._queued_bytes > QUEUED_BYTES_MAX and not self._is_ending:
            await self._sent.park()
        if self._is_ending:
            raise MuxedStreamError("the connection is closing")
        self._push(pieces)

    def send_now(self, *pieces: Buffer) -> None:
        if self._queued_bytes > QUEUED_BYTES_MAX + ANSWERS_BYTES_MAX:
            log.info("peer reads nothing, closing peer=%s", self.peer_id)
            self._scope.cancel()
        elif not self._is_ending:
            self._push(pieces)

    def forget(self, number: int) -> None:
        if self._streams.pop(number, None) and self._is_ours(number):
            self._slots.release()

    def _is_ours(self, number: int) -> bool:
        return number % 2 == self._next % 2

    def _push(self, pieces: tuple[Buffer, ...]) -> None:
        self._queue.extend(pieces)
        self._queued_bytes += sum(map(len, pieces))
        self._waiting.unpark_all()

    async def _write(self) -> None:
        """Send what waits, as much as fits at once; a writer that is cancelled cuts no frame."""
        self._is_writing = True
        try:
            while True:
                while not self._queue:
                    await self._waiting.park()
                pieces, size = self._next_batch()
                with trio.fail_after(SEND_SECONDS):
                    await self.secured_conn.send(pieces)
                self._queued_bytes -= size
                self._sent.unpark_all()
        except _SEND_FAULTS as fault:
            log.debug("connection lost peer=%s cause=%r", self.peer_id, fault)
            self._scope.cancel()
        finally:
            self._is_writing = False
            self._sent.unpark_all()

    def _next_batch(self) -> tuple[list[Buffer], int]:
        pieces, size = [], 0
        while self._queue and size < BATCH_BYTES:
            pieces.append(self._queue.popleft())
            size += len(pieces[-1])
        return pieces, size

    async def _keep_pulse(self) -> None:
        """Ping, and end the connection when nothing at all is heard."""
        for number in range(1 << 32):
            await trio.sleep(PING_SECONDS)
            self._heard = trio.Event()
            self.send_now(ping(number, Flag.SYN))
            with trio.move_on_after(PONG_SECONDS) as scope:
                await self._heard.wait()
            if scope.cancelled_caught:
                log.info("peer silent, closing peer=%s", self.peer_id)
                self._scope.cancel()

    async def _read(self) -> None:
        unpacker = Unpacker()
        try:
            while not self._is_ending:
                messages = await self.secured_conn.receive()
                self._heard.set()
                for data in messages:
                    for frame, part in unpacker.feed(data):
                        self._take(frame, part, is_whole=not unpacker.is_in_body)
        except FrameFault as fault:
            log.info("peer speaks no yamux, closing peer=%s cause=%s", self.peer_id, fault)
            await self._say_goodbye(_PROTOCOL_ERROR)
        except LIBRARY_FAULTS as fault:
            log.debug("connection lost peer=%s cause=%r", self.peer_id, fault)

    def _take(self, frame: Frame, part: memoryview | None, *, is_whole: bool) -> None:
        match frame.kind:
            case Kind.PING:
                self._take_ping(frame)
            case Kind.GO_AWAY:
                self._is_ending = True
            case Kind.DATA | Kind.WINDOW_UPDATE:
                self._take_for_stream(frame, part, is_whole=is_whole)

    def _take_ping(self, frame: Frame) -> None:
        if frame.flags & Flag.SYN:
            self.send_now(ping(frame.value, Flag.ACK))

    def _take_for_stream(self, frame: Frame, part: memoryview | None, *, is_whole: bool) -> None:
        if part is None and frame.flags & Flag.SYN:
            self._take_new(frame.stream)
        stream = self._streams.get(frame.stream)
        if stream is None:
            return  # Bytes on their way to a stream that is over.
        if part is not None:
            stream.deliver(part)
        elif frame.kind is Kind.DATA and not stream.has_room_for(frame.value):
            raise FrameFault("more than the window allows")
        if is_whole:
            stream.note(frame)

    def _take_new(self, number: int) -> None:
        """Accept a stream, or refuse it when too many are open."""
        if number in self._streams or number == 0 or self._is_ours(number):
            raise FrameFault(f"stream {number} opened again")
        stream = MuxedStream(self, number)
        if len(self._streams) >= 2 * STREAMS_MAX:
            self.send_now(window_update(number, 0, Flag.RST))
            return
        try:
            self._arrive.send_nowait(stream)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.send_now(window_update(number, 0, Flag.RST))
            return
        self._streams[number] = stream
        self.send_now(window_update(number, 0, Flag.ACK))

    async def _say_goodbye(self, code: int) -> None:
        """Take nothing more, and wait a moment for what is queued to leave."""
        self.send_now(go_away(code))
        self._is_ending = True
        with trio.move_on_after(FLUSH_SECONDS) as scope:
            scope.shield = True
            while self._queued_bytes and self._is_writing:
                await self._sent.park()

    async def _end(self) -> None:
        """Close for good, once, and tell the swarm."""
        if self._ended.is_set():
            return
        self._is_ending = True
        self._ended.set()
        self._scope.cancel()
        self._arrive.close()
        for stream in list(self._streams.values()):
            stream.abandon()
        self._sent.unpark_all()
        with trio.CancelScope(shield=True), suppress(*LIBRARY_FAULTS):
            await self.secured_conn.close()
        if self.on_close is not None:
            await self.on_close()
