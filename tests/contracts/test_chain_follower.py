"""The follower against a real chain that reorganises."""

import random
from pathlib import Path

import pytest
import trio

from flocknode.chain import follower as follower_module
from flocknode.chain.client import ChainClient
from flocknode.chain.devchain import development_chain
from flocknode.chain.errors import FinalityBroken
from flocknode.chain.follower import STEP_BLOCKS_MAX, Follower
from flocknode.chain.heads import Heads, connected
from flocknode.chain.logs import LogReader
from flocknode.chain.sender import Request, Sender
from flocknode.chain.transaction import created_address
from flocknode.primitives import Address
from flocknode.protocol.ledger import RollCalled
from tests.reorganisation import reorganise

# Runtime: LOG1 with the first calldata word as topic, then STOP.
RUNTIME = bytes.fromhex("60003560006000a100")
# Creation: copy the runtime that follows 11 bytes of creation code and return it.
CREATION = bytes([0x60, len(RUNTIME), 0x80, 0x60, 0x0B, 0x60, 0, 0x39, 0x60, 0, 0xF3]) + RUNTIME


async def logger(sender: Sender):
    """Deploy the contract that logs what it is called with."""
    pending = await sender.send(Request(None, CREATION, 200_000))
    receipt = await sender.confirm(pending)
    return created_address(sender.address, pending.transaction.nonce), receipt.block


def decode(log) -> RollCalled:
    return RollCalled(0, 0, 0, int(log["topics"][0], 16))


def emit(to, number: int) -> Request:
    return Request(to, number.to_bytes(32, "big"), 50_000)


def follower_of(client: ChainClient, heads: Heads, address: Address, start: int) -> Follower:
    return Follower(client, heads, LogReader(client, [address], decode), start)


class Mirror:
    """Applies progress as a node does and remembers what it holds."""

    def __init__(self) -> None:
        self.blocks = []
        self.final = 0
        self.undone = []

    def apply(self, progress) -> None:
        if progress.undone_to is not None:
            assert progress.undone_to >= self.final
            self.undone.append(progress.undone_to)
            self.blocks = [b for b in self.blocks if b.number <= progress.undone_to]
        self.blocks.extend(progress.blocks)
        assert progress.final >= self.final
        self.final = progress.final

    @property
    def numbers(self) -> list[int]:
        return [event.seat for block in self.blocks for event in block.events]


async def follow(follower, mirror, until) -> None:
    with trio.fail_after(20):
        async for progress in follower:
            mirror.apply(progress)
            if until(mirror):
                return


async def test_every_event_is_told_once_and_in_order(bench):
    sender = await bench.sender()
    address, block = await logger(sender)
    follower = follower_of(bench.client, bench.heads, address, block)
    mirror = Mirror()

    async def emit_all() -> None:
        for start in range(0, 12, 4):
            underway = [await sender.send(emit(address, start + i)) for i in range(4)]
            for pending in underway:
                await sender.confirm(pending)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(emit_all)
        await follow(follower, mirror, lambda m: len(m.numbers) >= 12)
    assert mirror.numbers == list(range(12))
    numbers = [b.number for b in mirror.blocks]
    assert numbers == list(range(block, numbers[-1] + 1))
    for parent, child in zip(mirror.blocks, mirror.blocks[1:], strict=False):
        assert child.parent == parent.digest


@pytest.mark.parametrize("depth", [1, 2, 3])
async def test_a_reorganisation_takes_back_what_it_undid(bench, depth):
    sender = await bench.sender()
    address, block = await logger(sender)
    follower = follower_of(bench.client, bench.heads, address, block)
    mirror = Mirror()
    await sender.transact(emit(address, 1))
    await follow(follower, mirror, lambda m: m.numbers == [1] and m.final > block + 1)
    receipt = await sender.transact(emit(address, 2))
    await follow(follower, mirror, lambda m: m.numbers == [1, 2])
    head = int(await bench.client.call("eth_blockNumber"), 16)
    deep_enough = max(depth, head - receipt.block + 1)
    await reorganise(bench.client, deep_enough)
    await follow(follower, mirror, lambda m: m.numbers == [1])
    assert mirror.undone
    canonical = await bench.client.call(
        "eth_getBlockByNumber", hex(mirror.blocks[-1].number), False
    )
    assert canonical["hash"] == "0x" + mirror.blocks[-1].digest.hex()
    await sender.transact(emit(address, 3))
    await follow(follower, mirror, lambda m: m.numbers == [1, 3])


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_is_held_is_what_the_chain_says_after_many_reorganisations(bench, seed):
    """Reorganisations hit between any two questions of the follower."""
    dice = random.Random(seed)
    sender = await bench.sender()
    address, block = await logger(sender)
    account = "0x" + sender.address.hex()
    await bench.client.call("anvil_impersonateAccount", account)
    follower, mirror = (
        follower_of(bench.client, bench.heads, address, block),
        Mirror(),
    )
    await follow(follower, mirror, lambda m: m.final > block)

    async def disturb() -> None:
        for number in range(25):
            await bench.client.call("anvil_setBalance", account, hex(10**21))
            data = "0x" + number.to_bytes(32, "big").hex()
            call = {"from": account, "to": "0x" + address.hex(), "data": data, "gas": hex(50_000)}
            await bench.client.call("eth_sendTransaction", call)
            await trio.sleep(dice.uniform(0, 0.1))
            if dice.random() < 0.5:
                await reorganise(bench.client, dice.randint(1, 4))
        stop.set()

    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(disturb)
        await follow(follower, mirror, lambda _: stop.is_set())
    settled = mirror.blocks[-1].number + 2
    await follow(follower, mirror, lambda m: m.final > settled)
    last = mirror.blocks[-1].number
    bounds = {"fromBlock": hex(block), "toBlock": hex(last), "address": "0x" + address.hex()}
    logs = await bench.client.call("eth_getLogs", bounds)
    assert mirror.undone
    assert mirror.numbers == [int(log["topics"][0], 16) for log in logs]


async def test_a_chain_that_comes_back_shorter_is_followed(tmp_path):
    async with (
        development_chain(tmp_path, block_seconds=1000) as chain,
        connected(chain.url, 0.02) as (client, heads),
    ):
        mirror = Mirror()
        follower = follower_of(client, heads, chain.faucet.address, 0)
        await client.call("anvil_mine", hex(8))
        await follow(follower, mirror, lambda m: m.blocks[-1].number == 8)
        await client.call("anvil_rollback", 2)
        await client.call("anvil_mine", hex(5))
        await follow(follower, mirror, lambda m: m.blocks[-1].number == 11)
        assert mirror.undone == [6]


async def test_an_undone_final_block_is_an_error(tmp_path):
    async with (
        development_chain(tmp_path, 0.1) as chain,
        connected(chain.url, 0.02) as (client, heads),
    ):
        mirror = Mirror()
        follower = follower_of(client, heads, chain.faucet.address, 0)
        await follow(follower, mirror, lambda m: m.final >= 8)
        await reorganise(client, 6)
        with pytest.raises(FinalityBroken):
            await follow(follower, mirror, lambda _: False)


async def test_a_late_starter_reads_ranges_and_misses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(follower_module, "RANGE_BLOCKS_MAX", STEP_BLOCKS_MAX + 20)
    async with (
        development_chain(tmp_path, 0.2) as chain,
        connected(chain.url, 0.02) as (client, heads),
    ):
        sender = Sender(client, heads, chain.faucet, chain.chain_id)
        address, block = await logger(sender)
        for number in (1, 2):
            await sender.transact(emit(address, number))
            await client.call("anvil_mine", hex(STEP_BLOCKS_MAX + 10))
        mirror = Mirror()
        follower = follower_of(client, heads, address, block)
        await sender.transact(emit(address, 3))
        await follow(follower, mirror, lambda m: len(m.numbers) == 3)
        assert mirror.numbers == [1, 2, 3]
        assert len(mirror.blocks) < STEP_BLOCKS_MAX * 2


async def test_a_stopped_chain_that_restarts_elsewhere_is_noticed(tmp_path: Path):
    """The endpoint keeps its address but serves another chain."""
    async with development_chain(tmp_path, 0.1) as chain:
        client = ChainClient(chain.url)
        heads = Heads(client, 0.02)
        with trio.move_on_after(1.5):
            await heads.poll()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(heads.run)
        follower = follower_of(client, heads, chain.faucet.address, 0)
        mirror = Mirror()
        await follow(follower, mirror, lambda m: m.final > 1)
    port = int(chain.url.rsplit(":", 1)[1])
    async with (
        development_chain(tmp_path, 0.1, port),
        client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(heads.run)
        with pytest.raises(FinalityBroken):
            await follow(follower, mirror, lambda _: False)
        nursery.cancel_scope.cancel()
