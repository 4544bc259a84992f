"""Two ends of a connection in memory: hours of a slow peer pass in no time on a virtual clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing
from libp2p.abc import IRawConnection
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as noise_key
from libp2p.peer.id import ID

from flocknode.p2p.muxed import MuxedStream
from flocknode.p2p.noise import NoiseSession, NoiseTransport
from flocknode.p2p.yamux import YamuxConnection


class Pipe(IRawConnection):
    """What noise takes for a socket."""

    get_transport_addresses = get_connection_type = get_remote_address = lambda _: None

    def __init__(self, stream: trio.StapledStream, *, is_initiator: bool) -> None:
        self.stream = stream
        self.is_initiator = is_initiator

    async def read(self, n: int | None = None) -> bytes:
        return await self.stream.receive_some(n)

    async def write(self, data: bytes) -> None:
        await self.stream.send_all(bytes(data))

    async def close(self) -> None:
        await self.stream.aclose()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[YamuxConnection, YamuxConnection]]:
    """Connect two ends, of which the first has dialled."""
    sessions = await _handshake(*trio.testing.memory_stream_pair())
    ends = [YamuxConnection(session, session.get_remote_peer()) for session in sessions]
    async with trio.open_nursery() as nursery:
        for end in ends:
            nursery.start_soon(end.start)
        yield ends[0], ends[1]
        nursery.cancel_scope.cancel()


async def opened(ours: YamuxConnection, theirs: YamuxConnection) -> tuple[MuxedStream, MuxedStream]:
    """Return both ends of a new stream."""
    return await ours.open_stream(), await theirs.accept_stream()


async def _handshake(*ends: trio.StapledStream) -> list[NoiseSession]:
    keys = [create_new_key_pair(bytes([number]) * 32) for number in (1, 2)]
    ours, theirs = (NoiseTransport(key, noise_privkey=noise_key().private_key) for key in keys)
    sessions: list[NoiseSession] = []

    async def answer() -> None:
        sessions.append(await theirs.secure_inbound(Pipe(ends[1], is_initiator=False)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        dialled = Pipe(ends[0], is_initiator=True)
        mine = await ours.secure_outbound(dialled, ID.from_pubkey(keys[1].public_key))
    return [mine, *sessions]
