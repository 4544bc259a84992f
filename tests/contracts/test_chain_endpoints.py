"""Several endpoints of one chain: who is asked, who rests, and who comes back."""

import logging

import pytest
import trio

from flocknode.chain import endpoints as endpoints_module
from flocknode.chain.client import ChainClient
from flocknode.chain.endpoints import Endpoints
from flocknode.chain.errors import CallReverted, EndpointUnreachable, RpcFailed
from flocknode.errors import ConfigurationError
from tests.contracts.rpc_proxy import proxy

UNKNOWN = "0x" + "ab" * 32


@pytest.fixture
def two(chain):
    """Two endpoints of the chain, and who stands in for whom."""
    with proxy(chain.url) as first, proxy(chain.url) as second:
        clients = [ChainClient(it.url, attempts=1, call_seconds=2) for it in (first, second)]
        yield first, second, clients
        for client in clients:
            client.close()


async def check(client: ChainClient) -> None:
    if await client.call("eth_chainId") != "0x7a69":
        raise ConfigurationError("another chain", "correct it")


async def opened(clients) -> Endpoints:
    endpoints = Endpoints(clients, check)
    await endpoints.open()
    return endpoints


async def test_the_first_endpoint_is_asked_and_kept_to(two):
    first, second, clients = two
    endpoints = await opened(clients)
    second.asked.clear()
    for _ in range(3):
        await endpoints.call("eth_gasPrice")
    assert first.asked.count("eth_gasPrice") == 3
    assert second.asked == []


async def test_another_endpoint_stands_in_within_the_call_and_the_broken_one_rests(two, caplog):
    first, second, clients = two
    endpoints = await opened(clients)
    first.break_down()
    with caplog.at_level(logging.WARNING):
        await endpoints.call("eth_gasPrice")
    assert f"endpoint {first.url} rests: " in caplog.text
    first.asked.clear()
    await endpoints.batch([("eth_gasPrice", ()), ("eth_chainId", ())])
    assert first.asked == []
    assert second.asked.count("eth_gasPrice") == 2


async def test_one_that_fails_in_its_own_way_is_left_out_of_what_all_say(two):
    _, _, clients = two
    endpoints = await opened(clients)

    async def ask(client: ChainClient) -> str:
        if client is clients[0]:
            raise CallReverted("Lie")
        return "truth"

    assert await endpoints.ask_each(ask) == {clients[1].name: "truth"}


async def test_an_endpoint_that_recovers_is_checked_and_serves_again(two, monkeypatch):
    monkeypatch.setattr(endpoints_module, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(endpoints_module, "REST_SECONDS_MAX", 0.05)
    first, _, clients = two
    endpoints = await opened(clients)
    first.break_down()
    await endpoints.call("eth_gasPrice")
    first.recover()
    first.asked.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(endpoints.run)
        with trio.fail_after(5):
            while "eth_gasPrice" not in first.asked:
                await endpoints.call("eth_gasPrice")
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    assert first.asked.index("eth_chainId") < first.asked.index("eth_gasPrice")


async def test_when_all_are_down_the_first_that_is_back_serves_at_once(two):
    first, second, clients = two
    endpoints = await opened(clients)
    first.break_down()
    second.break_down()
    with pytest.raises(EndpointUnreachable):
        await endpoints.call("eth_gasPrice")
    second.recover()
    assert await endpoints.call("eth_gasPrice")


@pytest.mark.parametrize("code", [-32005, -32603, 429])
async def test_an_error_of_the_endpoint_is_answered_by_another_one(two, code):
    first, _, clients = two
    endpoints = await opened(clients)
    first.alter = lambda _, reply: {
        "id": reply["id"],
        "error": {"code": code, "message": "limit exceeded"},
    }
    assert await endpoints.call("eth_gasPrice")


async def test_a_revert_is_an_answer_and_nobody_else_is_asked(two):
    first, second, clients = two
    endpoints = await opened(clients)
    first.alter = lambda _, reply: {
        "id": reply["id"],
        "error": {"code": -32603, "message": "execution reverted", "data": "0x"},
    }
    second.asked.clear()
    with pytest.raises(RpcFailed, match="reverted"):
        await endpoints.call("eth_call", {"to": "0x" + "01" * 20}, "latest")
    assert second.asked == []


async def test_an_endpoint_of_another_chain_stops_the_start(two):
    _, second, clients = two
    second.alter = lambda _, reply: {**reply, "result": "0x1"}
    with pytest.raises(ExceptionGroup) as caught:
        await opened(clients)
    assert caught.group_contains(ConfigurationError)


async def test_an_endpoint_that_is_down_at_the_start_does_not_stop_it(two):
    first, _, clients = two
    first.break_down()
    endpoints = await opened(clients)
    assert await endpoints.call("eth_gasPrice")


async def test_without_any_endpoint_there_is_no_start(two):
    first, second, clients = two
    first.break_down()
    second.break_down()
    with pytest.raises(EndpointUnreachable):
        await opened(clients)


async def test_an_endpoint_that_comes_back_on_another_chain_does_not_serve(two):
    first, _, clients = two
    endpoints = await opened(clients)
    first.break_down()
    await endpoints.call("eth_gasPrice")
    first.alter = lambda _, reply: {**reply, "result": "0x1"}
    for standing in endpoints._standings:
        standing.due = 0.0
        await endpoints._look_at(standing)
    assert [standing.serves for standing in endpoints._standings] == [False, True]


async def test_an_endpoint_that_stands_still_while_another_goes_on_rests(two, monkeypatch):
    monkeypatch.setattr(endpoints_module, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(endpoints_module, "STALLED_SECONDS", 0.5)
    first, _, clients = two
    endpoints = await opened(clients)
    height = endpoints._standings[0].height

    def freeze(call, reply):
        is_height = call["method"] == "eth_blockNumber"
        return {**reply, "result": hex(height)} if is_height else reply

    first.alter = freeze
    async with trio.open_nursery() as nursery:
        nursery.start_soon(endpoints.run)
        with trio.fail_after(10):
            while endpoints._standings[0].serves:  # noqa: ASYNC110
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    assert endpoints._standings[1].serves
