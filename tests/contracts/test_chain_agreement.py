"""A node takes part in a final draw only if its endpoints report the same one."""

import logging
from dataclasses import replace

import pytest
import trio
from eth_abi import encode

from flocknode.chain.abi import load_artifact
from flocknode.chain.agreement import AgreedProgress, Agreement
from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient
from flocknode.chain.deployment import CONTRACTS, Deployment
from flocknode.chain.endpoints import Endpoints
from flocknode.chain.follower import Follower
from flocknode.chain.logs import LogReader
from flocknode.chain.sender import Request
from flocknode.chain.transaction import created_address
from flocknode.crypto.hashing import sha256
from flocknode.primitives import Address
from flocknode.protocol.chain_view import ChainFold
from flocknode.protocol.ledger import CommitteeDrawn
from tests.contracts.rpc_proxy import Proxy, proxy

# Runtime: the first three words of the call are a log's topics, the rest is its data.
RUNTIME = bytes.fromhex("604035602035600035606036038060606000376000a300")
CREATION = bytes([0x60, len(RUNTIME), 0x80, 0x60, 0x0B, 0x60, 0, 0x39, 0x60, 0, 0xF3]) + RUNTIME
TASK = 7
DRAWN = CommitteeDrawn(
    TASK,
    round=3,
    attempt=0,
    model_root=sha256(b"model"),
    seed=sha256(b"seed"),
    ctx=sha256(b"ctx"),
    committee=(1, 2, 3),
    signers=tuple(Address(bytes([i]) * 20) for i in (1, 2, 3)),
    drawn_at=1_000,
    frozen_trainers=0,
)


def call_data(drawn: CommitteeDrawn) -> bytes:
    """What makes the contract log this draw as RoundManager does."""
    (event,) = (
        one
        for one in load_artifact("RoundManager").contract.abi
        if one.get("name") == "CommitteeDrawn"
    )
    values = {
        "task": drawn.task,
        "round": drawn.round,
        "attempt": drawn.attempt,
        "modelRoot": drawn.model_root,
        "seed": drawn.seed,
        "ctx": drawn.ctx,
        "committee": drawn.committee,
        "signers": ["0x" + one.hex() for one in drawn.signers],
        "drawnAt": drawn.drawn_at,
        "frozenTrainers": drawn.frozen_trainers,
    }
    plain = [one for one in event["inputs"] if not one["indexed"]]
    data = encode([one["type"] for one in plain], [values[one["name"]] for one in plain])
    topic = load_artifact("RoundManager").contract.events.CommitteeDrawn().topic
    indexed = drawn.task.to_bytes(32, "big") + drawn.round.to_bytes(32, "big")
    return bytes.fromhex(topic.removeprefix("0x")) + indexed + data


class Site:
    """A contract that logs draws, and a node that follows it through several endpoints."""

    def __init__(self, bench, sender, manager: Address, block: int) -> None:
        self.bench, self.sender, self.manager, self.block = bench, sender, manager, block
        addresses = {name: Address(bytes([i]) * 20) for i, name in enumerate(CONTRACTS, 1)}
        addresses["RoundManager"] = manager
        codes = dict.fromkeys(CONTRACTS, sha256(b"code"))
        self.bindings = Bindings(Deployment(bench.chain.chain_id, block, addresses, codes))

    async def draw(self, drawn: CommitteeDrawn = DRAWN) -> None:
        await self.sender.transact(Request(self.manager, call_data(drawn), 200_000))

    async def follow(self, proxies: list[Proxy], until) -> ChainFold:
        """Follow until ``until(fold)``."""
        clients = [ChainClient(it.url, attempts=1, call_seconds=2) for it in proxies]

        async def admit(_client: ChainClient) -> None:
            pass

        endpoints = Endpoints(clients, admit)
        await endpoints.open()
        manager = [self.manager]
        heads = self.bench.heads
        logs = LogReader(endpoints, manager, self.bindings.decode)
        follower = Follower(endpoints, heads, logs, self.block)
        progress = AgreedProgress(follower, Agreement(endpoints, self.bindings), TASK)
        fold = ChainFold(TASK)
        with trio.fail_after(20):
            async for one in progress:
                fold.advance(one)
                if until(fold):
                    break
        for client in clients:
            client.close()
        return fold


@pytest.fixture
async def site(bench) -> Site:
    sender = await bench.sender()
    pending = await sender.send(Request(None, CREATION, 200_000))
    receipt = await sender.confirm(pending)
    manager = created_address(sender.address, pending.transaction.nonce)
    return Site(bench, sender, manager, receipt.block)


@pytest.fixture
def two(chain):
    with proxy(chain.url) as first, proxy(chain.url) as second:
        yield [first, second]


def another_draw(call, reply):
    """Put the attacker's keys into the committee."""
    if call["method"] != "eth_getLogs":
        return reply
    theirs = "0x" + call_data(replace(DRAWN, signers=(Address(b"\x66" * 20),) * 3)).hex()[192:]
    return {**reply, "result": [{**log, "data": theirs} for log in reply["result"]]}


def settled(site: Site):
    """Tell when the draw has been final for some blocks, whatever was made of it."""

    def until(fold: ChainFold) -> bool:
        return any(b.number > site.block + 9 for b in fold._pending) and bool(fold.tip.attempt)

    return until


async def test_a_draw_that_both_endpoints_report_is_final(site, two):
    await site.draw()
    fold = await site.follow(two, lambda fold: fold.final.attempt.drawn is not None)
    assert fold.final.attempt.drawn == DRAWN


@pytest.mark.parametrize("liar", [0, 1])
async def test_no_part_is_taken_in_a_draw_that_an_endpoint_alters(site, two, liar, caplog):
    two[liar].alter = another_draw
    await site.draw()
    with caplog.at_level(logging.WARNING):
        fold = await site.follow(two, settled(site))
    assert fold.tip.attempt.drawn is not None
    assert fold.final.attempt.drawn is None
    (line,) = {one for one in caplog.messages if "another draw" in one}
    assert f"{two[1].url} report another draw" in line
    assert "round 3, attempt 0" in line


async def test_the_next_draw_counts_once_the_endpoints_agree_again(site, two):
    two[1].alter = another_draw
    await site.draw()
    await site.follow(two, settled(site))
    two[1].recover()
    following = replace(DRAWN, attempt=1, ctx=sha256(b"next"))
    await site.draw(following)
    fold = await site.follow(two, lambda fold: fold.final.attempt.drawn == following)
    assert fold.final.attempt.drawn == following


async def test_an_endpoint_whose_final_block_is_older_confirms_nothing_yet(site, two, caplog):
    frozen = await site.bench.client.call("eth_getBlockByNumber", hex(site.block), False)

    def stale(call, reply):
        is_final = call["params"][:1] == ["finalized"]
        return {**reply, "result": frozen} if is_final else reply

    two[1].alter = stale
    await site.draw()
    fold = await site.follow(two, settled(site))
    assert fold.final.attempt.drawn is None
    assert any("1 of the 2 endpoints that must confirm" in one for one in caplog.messages)
    two[1].recover()
    fold = await site.follow(two, lambda fold: fold.final.attempt.drawn is not None)


async def test_with_one_of_two_endpoints_down_the_chain_is_followed_but_no_draw_counts(site, two):
    await site.draw()
    two[1].break_down()
    fold = await site.follow(two, settled(site))
    assert fold.tip.attempt.drawn == DRAWN
    assert fold.final.attempt.drawn is None


async def test_with_one_of_three_endpoints_down_draws_count(site, two, chain):
    with proxy(chain.url) as third:
        third.break_down()
        await site.draw()
        await site.follow([*two, third], lambda fold: fold.final.attempt.drawn == DRAWN)


async def test_no_part_is_taken_though_two_of_three_endpoints_agree(site, two, chain):
    with proxy(chain.url) as third:
        third.alter = another_draw
        await site.draw()
        fold = await site.follow([*two, third], settled(site))
    assert fold.tip.attempt.drawn == DRAWN
    assert fold.final.attempt.drawn is None


async def test_other_tasks_draws_are_not_asked_about(site, two):
    await site.draw(replace(DRAWN, task=TASK + 1))
    await site.follow(two, lambda fold: fold.final.number > site.block + 3)
    assert "eth_getLogs" not in two[1].asked
