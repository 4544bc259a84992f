"""One stream of a yamux connection."""

from abc import abstractmethod
from collections import deque
from types import TracebackType
from typing import Self

import trio
from libp2p.abc import IMuxedConn, IMuxedStream
from libp2p.stream_muxer.exceptions import (
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamError,
    MuxedStreamReset,
)

from flocknode.p2p.frames import Flag, Frame, data_header, window_update
from flocknode.p2p.noise import Buffer

WINDOW_BYTES = 1 << 18
"""What a stream may send before it is given credit: yamux, "Flow Control"."""
BODY_BYTES_MAX = 1 << 18
PIECE_BYTES_MIN = 1 << 10
"""Shorter parts are joined: kept as they came, each would take a hundred times its own memory."""
CREDIT_SECONDS = 20.0
"""A peer that gives no credit for so long has stopped reading."""


class Connection(IMuxedConn):  # type: ignore[misc]  # libp2p is untyped
    """What a stream needs of its connection."""

    @abstractmethod
    async def send(self, *pieces: Buffer) -> None:
        """Queue a frame behind the others, once there is room."""

    @abstractmethod
    def send_now(self, *pieces: Buffer) -> None:
        """Queue a frame that may not wait."""

    @abstractmethod
    def forget(self, number: int) -> None:
        """Drop a stream that is over; what still comes for it is passed over."""

    @abstractmethod
    def get_remote_address(self) -> tuple[str, int] | None:
        """Return host and port of the other end."""


class MuxedStream(IMuxedStream):  # type: ignore[misc]  # libp2p is untyped
    """Both halves of a stream: what came and was not read, and what may still be sent."""

    muxed_conn: Connection

    def __init__(self, connection: Connection, number: int) -> None:
        self.muxed_conn = connection
        self.number = number
        self._pieces: deque[memoryview | bytearray] = deque()
        self._offset = 0
        self._held = 0
        self._capacity = WINDOW_BYTES
        self._window = WINDOW_BYTES
        self._credit = WINDOW_BYTES
        self._has_ended = False
        self._has_finished = False
        self._is_reset = False
        self._news = trio.lowlevel.ParkingLot()
        self._credited = trio.lowlevel.ParkingLot()
        self._writing = trio.Lock()

    def widen(self, capacity: int) -> None:
        """Let the peer have ``capacity`` bytes under way."""
        if capacity > self._capacity:
            self._capacity = capacity
            self._give_credit()

    async def read(self, n: int | None = None) -> bytes:
        """Return 1..``n`` bytes; raises ``MuxedStreamEOF`` after the last one."""
        return b"".join(await self.read_parts(-1 if n is None else n))

    async def read_parts(self, limit: int) -> list[Buffer]:
        """Return 1..``limit`` bytes as they lie; less than nothing is no limit."""
        while not self._held:
            if self._is_reset:
                raise MuxedStreamReset("reset")
            if self._has_ended:
                raise MuxedStreamEOF("ended by the peer")
            await self._news.park()
        parts = self._take(self._held if limit < 0 else min(limit, self._held))
        if not self._has_ended and self._capacity - self._held - self._window >= (
            self._capacity // 2
        ):
            self._give_credit()
        return parts

    @property
    def held(self) -> int:
        """Return how many bytes came and were not read."""
        return self._held

    async def write(self, data: Buffer) -> None:
        """Send all of ``data``, as the peer gives credit; no other write comes in between."""
        view = memoryview(data)
        async with self._writing:
            while view:
                size = min(len(view), await self._allowance())
                await self.muxed_conn.send(data_header(self.number, size), view[:size])
                self._credit -= size
                view = view[size:]

    async def close_write(self) -> None:
        """Say that nothing more will be written; reading goes on."""
        if self._is_reset or self._has_finished:
            return
        self._has_finished = True
        self._credited.unpark_all()
        self.muxed_conn.send_now(window_update(self.number, 0, Flag.FIN))
        if self._has_ended:
            self.muxed_conn.forget(self.number)

    async def close(self) -> None:
        """Write no more and read no more; who reads now is told of an end."""
        await self.close_write()
        self._has_ended = True
        self._news.unpark_all()
        self.muxed_conn.forget(self.number)

    async def reset(self) -> None:
        """Drop the stream in both directions, unread bytes included."""
        if not self._is_reset:
            self.muxed_conn.send_now(window_update(self.number, 0, Flag.RST))
            self.abandon()

    def abandon(self) -> None:
        """Mark the stream as gone, and wake who waits for it."""
        self._is_reset = True
        self._pieces.clear()
        self._held = 0
        self._news.unpark_all()
        self._credited.unpark_all()
        self.muxed_conn.forget(self.number)

    def has_room_for(self, size: int) -> bool:
        """Tell whether the peer may send ``size`` bytes more."""
        return size <= self._window

    def deliver(self, part: memoryview) -> None:
        """Keep bytes of a data frame until they are read."""
        self._window -= len(part)
        self._held += len(part)
        last = self._pieces[-1] if self._pieces else None
        if len(part) >= PIECE_BYTES_MIN and 2 * len(part) >= memoryview(part.obj).nbytes:
            self._pieces.append(part)
        elif isinstance(last, bytearray) and len(last) < WINDOW_BYTES:
            last += part
        else:
            # A small part of a message would keep all of it in memory.
            self._pieces.append(bytearray(part))
        self._news.unpark_all()

    def note(self, frame: Frame) -> None:
        """Take the flags of a frame, after its bytes, and the credit of a window update."""
        if frame.flags & Flag.RST:
            self.abandon()
            return
        self._credit += frame.credit
        self._credited.unpark_all()
        if frame.flags & Flag.FIN:
            self._has_ended = True
            self._news.unpark_all()
            if self._has_finished:
                self.muxed_conn.forget(self.number)

    def set_deadline(self, ttl: int) -> None:
        """Refuse: who calls has deadlines of its own."""
        raise NotImplementedError

    def get_remote_address(self) -> tuple[str, int] | None:
        return self.muxed_conn.get_remote_address()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    async def _allowance(self) -> int:
        """Wait for credit and return how long the next frame may be."""
        if not self._has_credit():
            with trio.move_on_after(CREDIT_SECONDS):
                while not self._has_credit():
                    await self._credited.park()
        if self._is_reset:
            raise MuxedStreamReset("reset")
        if self._has_finished:
            raise MuxedStreamClosed("closed for writing")
        if self._credit <= 0:
            raise MuxedStreamError(f"the peer reads nothing for {CREDIT_SECONDS:.0f} s")
        return min(self._credit, BODY_BYTES_MAX)

    def _has_credit(self) -> bool:
        """Tell whether there is credit, or none to wait for."""
        return self._credit > 0 or self._is_reset or self._has_finished

    def _take(self, size: int) -> list[Buffer]:
        self._held -= size
        taken: list[Buffer] = []
        while size:
            piece = self._pieces[0]
            part = piece[self._offset : self._offset + size]
            taken.append(part)
            size -= len(part)
            self._offset += len(part)
            if self._offset == len(piece):
                self._pieces.popleft()
                self._offset = 0
        return taken

    def _give_credit(self) -> None:
        credit = self._capacity - self._held - self._window
        self._window += credit
        self.muxed_conn.send_now(window_update(self.number, credit))
