"""One development chain for all tests of this folder, and what a test needs to use it."""

import queue
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from flocknode.chain.client import ChainClient
from flocknode.chain.devchain import DevChain, development_chain
from flocknode.chain.heads import Heads, connected
from flocknode.chain.sender import Sender
from flocknode.crypto.signing import SigningKey, new_signing_key

POLL_SECONDS = 0.02
BLOCK_SECONDS = 0.1


@dataclass(frozen=True)
class Workbench:
    """A client of the chain, with its heads followed for as long as the test runs."""

    client: ChainClient
    heads: Heads
    chain: DevChain

    async def sender(self) -> Sender:
        """A sender whose key is new and funded."""
        key = new_signing_key()
        await self.fund(key)
        return Sender(self.client, self.heads, key, self.chain.chain_id)

    async def fund(self, key: SigningKey) -> None:
        await self.client.call("anvil_setBalance", "0x" + key.address.hex(), hex(10**21))


@contextmanager
def running(directory: Path, kind: str, finality_blocks: int) -> Iterator[DevChain]:
    """Run a chain beside the tests, on a thread with an event loop of its own."""
    started: queue.Queue = queue.Queue()

    async def serve() -> None:
        opening = development_chain(
            directory, BLOCK_SECONDS, finality_blocks=finality_blocks, kind=kind
        )
        async with opening as chain:
            stop = trio.Event()
            started.put((chain, stop, trio.lowlevel.current_trio_token()))
            await stop.wait()

    def run() -> None:
        try:
            trio.run(serve)
        except BaseException as error:
            started.put(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    answer = started.get(timeout=240)
    if isinstance(answer, BaseException):
        raise answer
    chain, stop, token = answer
    yield chain
    trio.from_thread.run_sync(stop.set, trio_token=token)
    thread.join(10)


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Iterator[DevChain]:
    with running(tmp_path_factory.mktemp("chain"), "anvil", finality_blocks=6) as chain:
        yield chain


@pytest.fixture
async def bench(chain) -> AsyncIterator[Workbench]:
    async with connected(chain.url, POLL_SECONDS) as (client, heads):
        yield Workbench(client, heads, chain)
