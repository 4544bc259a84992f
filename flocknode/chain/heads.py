"""The chain's head, asked for once per poll and shared by whoever waits for blocks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import SystemRandom

import trio

from flocknode.chain.client import ChainClient, Json, Rpc
from flocknode.chain.errors import EndpointUnreachable, MalformedAnswer, RpcFailed, reading
from flocknode.primitives import Digest, Wei

POLL_SECONDS = 0.1
OUTAGE_SECONDS_MAX = 60.0
BACKOFF_SECONDS_MAX = 4.0

_dice = SystemRandom()


@dataclass(frozen=True, slots=True)
class Header:
    """What this node needs of a block; ``bloom`` tells which contracts may have logs in it."""

    number: int
    digest: Digest
    parent: Digest
    timestamp: int
    base_fee: Wei
    bloom: int


class Heads:
    """The newest and the newest final header; a change wakes every waiter."""

    def __init__(self, client: Rpc, poll_seconds: float = POLL_SECONDS) -> None:
        self._client = client
        self._poll_seconds = poll_seconds
        self._changed = trio.Event()
        self._newest: Header | None = None
        self._final: Header | None = None

    @property
    def newest(self) -> Header:
        assert self._newest is not None
        return self._newest

    @property
    def final(self) -> Header:
        assert self._final is not None
        return self._final

    async def run(self) -> None:
        """Poll for ever; raises what failed once nothing has worked for ``OUTAGE_SECONDS_MAX``.

        The pauses grow while nothing works, so that an endpoint that limits its callers recovers.
        """
        answered = trio.current_time()
        wait = self._poll_seconds
        while True:
            await trio.sleep(wait)
            try:
                is_new = await self.poll()
            except (EndpointUnreachable, RpcFailed, MalformedAnswer):
                if trio.current_time() - answered > OUTAGE_SECONDS_MAX:
                    raise
                wait = min(2 * wait, BACKOFF_SECONDS_MAX) * _dice.uniform(0.75, 1.0)
            else:
                answered = trio.current_time()
                # Blocks come at intervals: one that is due is asked for more often.
                wait = self._poll_seconds if is_new else self._poll_seconds / 4

    async def beyond(self, seen: Digest) -> Header:
        """Return the newest header as soon as it is another one than ``seen``."""
        while self.newest.digest == seen:
            await self._changed.wait()
        return self.newest

    async def poll(self) -> bool:
        """Ask once, and tell whether there is a new block; needed before anything else here."""
        newest, final = await self._client.batch(
            [
                ("eth_getBlockByNumber", ("latest", False)),
                ("eth_getBlockByNumber", ("finalized", False)),
            ]
        )
        seen = self._newest
        self._newest, self._final = read_header(newest), read_header(final)
        if seen is not None and seen.digest == self._newest.digest:
            return False
        self._changed.set()
        self._changed = trio.Event()
        return True


def read_header(block: Json) -> Header:
    """Read what ``eth_getBlockByNumber`` answers."""
    with reading("a block header"):
        return Header(
            number=int(block["number"], 16),
            digest=Digest(bytes.fromhex(block["hash"][2:])),
            parent=Digest(bytes.fromhex(block["parentHash"][2:])),
            timestamp=int(block["timestamp"], 16),
            base_fee=Wei(int(block["baseFeePerGas"], 16)),
            bloom=int(block["logsBloom"], 16),
        )


@asynccontextmanager
async def connected(
    url: str, poll_seconds: float = POLL_SECONDS
) -> AsyncIterator[tuple[ChainClient, Heads]]:
    """Connect and follow the head until the block ends; the nodes of one process may share it."""
    async with ChainClient(url) as client, followed(client, poll_seconds) as heads:
        yield client, heads


@asynccontextmanager
async def followed(client: Rpc, poll_seconds: float) -> AsyncIterator[Heads]:
    """Follow the head until the block ends."""
    async with trio.open_nursery() as nursery:
        heads = Heads(client, poll_seconds)
        await heads.poll()
        nursery.start_soon(heads.run)
        yield heads
        nursery.cancel_scope.cancel()
