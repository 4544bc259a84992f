"""A stream to one peer whose faults are this project's own: libp2p's end here."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio
from libp2p.abc import INetStream
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.peerstore import PeerStoreError
from libp2p.rcmgr.exceptions import ResourceManagerException

from flocknode.p2p.faults import StreamLostError
from flocknode.p2p.muxed import MuxedStream
from flocknode.p2p.noise import Buffer
from flocknode.primitives import PeerId

READ_BYTES_MAX = 1 << 18
CLOSE_SECONDS = 2.0

LIBRARY_FAULTS: tuple[type[Exception], ...] = (
    BaseLibp2pError,
    PeerStoreError,
    ResourceManagerException,
    OSError,
    EOFError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)
"""Everything that libp2p and the sockets below it raise on purpose."""


@contextmanager
def translated(peer: PeerId) -> Iterator[None]:
    """Turn the library's faults on an open stream into ``StreamLostError``."""
    try:
        yield
    except LIBRARY_FAULTS as fault:
        raise StreamLostError(peer, f"{type(fault).__name__} {fault}".strip()) from fault


class Stream:
    """A byte stream to ``peer``; one task may read while one other writes."""

    def __init__(self, raw: INetStream) -> None:
        self._raw = raw
        # libp2p's own wrapper takes two locks for each read and write.
        self._muxed: MuxedStream = raw.muxed_stream
        self.peer = PeerId(raw.muxed_conn.peer_id.to_bytes())

    async def read_some(self, limit: int = READ_BYTES_MAX) -> bytes:
        """Return 1..``limit`` bytes; the end of the stream is a ``StreamLostError``."""
        with translated(self.peer):
            return await self._muxed.read(limit)

    async def read_exact(self, size: int) -> bytes:
        """Return exactly ``size`` bytes."""
        parts: list[Buffer] = []
        with translated(self.peer):
            while size:
                came = await self._muxed.read_parts(size)
                size -= sum(map(len, came))
                parts += came
        return b"".join(parts)

    @property
    def held(self) -> int:
        """Return how many bytes can be read without waiting."""
        return self._muxed.held

    def widen(self, capacity: int) -> None:
        """Let the peer have ``capacity`` bytes under way."""
        self._muxed.widen(capacity)

    async def write(self, data: Buffer) -> None:
        with translated(self.peer):
            await self._muxed.write(data)

    async def finish(self) -> None:
        """Say that nothing more will be written; reading goes on."""
        with translated(self.peer):
            await self._raw.close_write()

    async def close(self) -> None:
        await self._let_go(self._raw.close)

    async def reset(self) -> None:
        """Drop the stream in both directions, unread bytes included."""
        await self._let_go(self._raw.reset)

    async def _let_go(self, how: Callable[[], Awaitable[None]]) -> None:
        """Release the stream even while cancelled; that it is gone already is no fault."""
        with trio.move_on_after(CLOSE_SECONDS) as scope:
            scope.shield = True
            try:
                await how()
            except LIBRARY_FAULTS:
                return
