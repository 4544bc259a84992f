"""Real nodes on loopback, and ways to speak to them badly."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as noise_key
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
from multiaddr import Multiaddr

from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.messages.verdict import Verdict
from flocknode.node.blobs import MemoryDraft
from flocknode.node.memory import MemoryBans
from flocknode.p2p import Frame, Network
from flocknode.primitives import Digest, PeerId

TOPIC = "round"
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


def root_of(data: bytes) -> Digest:
    return tree_root(TreeKind.MASKED_VECTOR, data)


class Shelf(dict[Digest, bytes]):
    """Blobs in memory."""

    def put(self, data: bytes) -> Digest:
        root = root_of(data)
        self[root] = data
        return root


async def fetched(each: Network, root: Digest, length: int, *holders: Network) -> bytes:
    """Have ``each`` pull a masked vector from scratch."""
    draft = MemoryDraft(length)
    peers = [holder.peer for holder in holders]
    await each.fetch(root, TreeKind.MASKED_VECTOR, length, peers, draft)
    return bytes(draft.take())


def node(number: int, listen: str | None = LOOPBACK, **options) -> Network:
    """Return the node of a fixed key that accepts everything, unless told otherwise."""
    defaults = {
        "validate": lambda _author, _topic, _payload: Verdict.ACCEPT,
        "may_link": lambda _peer: True,
        "blobs": Shelf(),
        "topics": [TOPIC],
        "bans": MemoryBans(),
    }
    return Network(bytes([number]) * 32, listen, **(defaults | options))


@asynccontextmanager
async def running(*nodes: Network) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        for each in nodes:
            await nursery.start(each.run)
        yield
        nursery.cancel_scope.cancel()


def at(*nodes: Network) -> dict[PeerId, str]:
    return {each.peer: each.address for each in nodes}


def link(each: Network, *others: Network) -> None:
    """Have ``each`` keep links with exactly the others."""
    each.know(at(*others))
    each.keep(other.peer for other in others)


def choose(each: Network, *others: Network) -> None:
    """Have ``each`` exchange gossip with the others."""
    each.know(at(*others))
    each.neighbours(other.peer for other in others)


async def eventually(holds: Callable[[], bool], seconds: float = 8) -> None:
    with trio.fail_after(seconds):
        while not holds():  # noqa: ASYNC110  # what is waited for has no event
            await trio.sleep(0.01)


async def meet(a: Network, b: Network) -> None:
    """Make two nodes gossip neighbours."""
    choose(a, b)
    await eventually(lambda: b.peer in a.mesh(TOPIC) and a.peer in b.mesh(TOPIC))


async def hear(each: Network, seconds: float = 5) -> Frame:
    with trio.fail_after(seconds):
        return await each.incoming.receive()


async def hears_nothing(each: Network, seconds: float = 0.5) -> bool:
    with trio.move_on_after(seconds):
        await each.incoming.receive()
        return False
    return True


def drain(nodes: Iterable[Network]) -> None:
    for each in nodes:
        while each.incoming.statistics().current_buffer_used:
            each.incoming.receive_nowait()


@asynccontextmanager
async def stranger(number: int, target: Network, **options) -> AsyncIterator:
    """Connect a bare libp2p host to ``target``; it yields ``open(protocol)``."""
    keys = create_new_key_pair(bytes([number]) * 32)
    sec = {PROTOCOL_ID: Transport(keys, noise_privkey=noise_key().private_key)}
    host = new_host(**({"key_pair": keys, "sec_opt": sec} | options))
    listen = Multiaddr(LOOPBACK)
    async with host.run([listen]):
        address = Multiaddr(target.address.rsplit("/p2p/", 1)[0])
        await host.connect(PeerInfo(ID(target.peer), [address]))

        async def open_stream(protocol: str):
            return await host.new_stream(ID(target.peer), [TProtocol(protocol)])

        yield open_stream
        await host.close()
