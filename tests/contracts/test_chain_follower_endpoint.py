"""The follower behind an endpoint that is slow, limited, or answers what was not asked."""

import pytest
import trio

from flocknode.chain import follower as follower_module
from flocknode.chain.client import ChainClient
from flocknode.chain.errors import HeadBehind
from flocknode.chain.follower import STEP_BLOCKS_MAX
from flocknode.chain.heads import Heads
from tests.contracts.rpc_proxy import proxy
from tests.contracts.test_chain_follower import Mirror, emit, follow, follower_of, logger


@pytest.fixture
async def site(bench):
    """A contract that has logged once, an endpoint to alter, and who asks there."""
    sender = await bench.sender()
    address, block = await logger(sender)
    await sender.transact(emit(address, 1))
    with proxy(bench.chain.url) as endpoint:
        client = ChainClient(endpoint.url, attempts=1)
        heads = Heads(client, 0.02)
        await heads.poll()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heads.run)
            follower = follower_of(client, heads, address, block)
            yield sender, address, endpoint, follower
            nursery.cancel_scope.cancel()
        client.close()


def lagging(older: dict, is_slow):
    """Answer as an endpoint whose newest block is ``older``, whenever ``is_slow`` says so."""
    slow = False

    def alter(call, reply):
        nonlocal slow
        if call["method"] != "eth_getBlockByNumber":
            return reply
        asked = call["params"][0]
        if asked == "latest":
            slow = is_slow()
        if not slow:
            return reply
        if asked == "latest":
            return {**reply, "result": older}
        is_above = asked.startswith("0x") and int(asked, 16) > int(older["number"], 16)
        return {**reply, "result": None} if is_above else reply

    return alter


async def test_an_older_head_of_a_slower_endpoint_undoes_nothing(site):
    sender, address, endpoint, follower = site
    mirror = Mirror()
    await follow(follower, mirror, lambda m: m.numbers == [1] and len(m.blocks) > 3)
    number = hex(mirror.blocks[-2].number)
    older = await sender._client.call("eth_getBlockByNumber", number, False)
    turns = iter(range(10**6))
    endpoint.alter = lagging(older, lambda: next(turns) % 8 < 4)
    tip = mirror.blocks[-1].number
    await sender.transact(emit(address, 2))
    await follow(follower, mirror, lambda m: m.blocks[-1].number > tip + 3)
    assert mirror.numbers == [1, 2]
    assert mirror.undone == []


async def test_a_head_below_the_final_block_is_waited_out(site, monkeypatch):
    monkeypatch.setattr(follower_module, "RETRY_SECONDS", 0.05)
    sender, address, endpoint, follower = site
    mirror = Mirror()
    await follow(follower, mirror, lambda m: m.final > m.blocks[0].number + 2)
    number = hex(mirror.blocks[0].number)
    first = await sender._client.call("eth_getBlockByNumber", number, False)
    endpoint.alter = lagging(first, lambda: True)
    with trio.move_on_after(1) as waited:
        await follow(follower, mirror, lambda _: False)
    assert waited.cancelled_caught
    endpoint.recover()
    await sender.transact(emit(address, 2))
    await follow(follower, mirror, lambda m: m.numbers == [1, 2])
    assert mirror.undone == []


async def test_a_final_block_that_an_endpoint_lacks_is_waited_for(site, monkeypatch):
    monkeypatch.setattr(follower_module, "RETRY_SECONDS", 0.05)
    sender, address, endpoint, follower = site
    mirror = Mirror()
    await follow(follower, mirror, lambda m: m.final > m.blocks[0].number + 2)
    asked = []

    def lack(call, reply):
        """Know the newest blocks by name, and none by its number."""
        if call["method"] != "eth_getBlockByNumber" or not call["params"][0].startswith("0x"):
            return reply
        asked.append(call)
        return {**reply, "result": None}

    endpoint.alter = lack
    await sender._client.call("anvil_mine", hex(2))
    with trio.move_on_after(1):
        await follow(follower, mirror, lambda _: False)
    endpoint.recover()
    assert asked
    await sender.transact(emit(address, 2))
    await follow(follower, mirror, lambda m: m.numbers == [1, 2])
    assert mirror.undone == []


async def test_a_head_that_stays_below_the_final_block_is_an_error(site, monkeypatch):
    monkeypatch.setattr(follower_module, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(follower_module, "OUTAGE_SECONDS_MAX", 0.3)
    sender, _, endpoint, follower = site
    mirror = Mirror()
    await follow(follower, mirror, lambda m: m.final > m.blocks[0].number + 2)
    first = await sender._client.call("eth_getBlockByNumber", hex(mirror.blocks[0].number), False)
    endpoint.alter = lambda call, reply: (
        {**reply, "result": first} if call["params"][:1] == ["latest"] else reply
    )
    with pytest.raises(HeadBehind):
        await follow(follower, mirror, lambda _: False)


async def test_logs_that_an_endpoint_does_not_have_yet_are_asked_for_again(site):
    _, _, endpoint, follower = site
    withheld = []

    def withhold(call, reply):
        if call["method"] != "eth_getLogs" or not reply["result"] or withheld:
            return reply
        withheld.append(call)
        return {**reply, "result": []}

    endpoint.alter = withhold
    mirror = Mirror()
    await follow(follower, mirror, lambda m: m.numbers == [1])
    assert withheld


async def test_logs_of_another_block_are_no_answer(site, monkeypatch):
    monkeypatch.setattr(follower_module, "RETRY_SECONDS", 0.05)
    _, _, endpoint, follower = site
    lies = []

    def relabel(call, reply):
        if call["method"] != "eth_getLogs" or not reply["result"] or len(lies) > 2:
            return reply
        lies.append(call)
        return {
            **reply,
            "result": [{**log, "blockHash": "0x" + "ab" * 32} for log in reply["result"]],
        }

    endpoint.alter = relabel
    mirror = Mirror()
    await follow(follower, mirror, lambda m: m.numbers == [1])
    assert len(lies) == 3


@pytest.mark.parametrize("refusal", [{"code": -32005, "message": "too many results"}, None])
async def test_a_range_that_is_too_much_is_halved_until_it_is_not(site, monkeypatch, refusal):
    monkeypatch.setattr(follower_module, "RETRY_SECONDS", 0.02)
    sender, address, endpoint, follower = site
    await sender._client.call("anvil_mine", hex(3 * STEP_BLOCKS_MAX))
    await sender.transact(emit(address, 2))
    spans = []

    def limit(call, reply):
        bounds = call["params"][0] if call["method"] == "eth_getLogs" else {}
        if "toBlock" not in bounds:
            return reply
        spans.append(int(bounds["toBlock"], 16) - int(bounds["fromBlock"], 16) + 1)
        if spans[-1] <= 50:
            return reply
        return refusal and {"id": reply["id"], "error": refusal}

    endpoint.alter = limit
    mirror = Mirror()
    await follow(follower, mirror, lambda m: m.numbers == [1, 2])
    assert spans[0] > 50
    assert min(spans) <= 50
