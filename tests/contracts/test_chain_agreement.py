"""A node takes part in a final draw only if its endpoints report the same one."""

import logging
from dataclasses import replace

import pytest
import trio
from eth_abi import encode

from flocknode.chain import follower, witnesses
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
from flocknode.chain.witnesses import WitnessedProgress, Witnesses
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

SET = {
    "task": TASK,
    "round": DRAWN.round,
    "attempt": 0,
    "view_": 1,
    "inclusionRoot": sha256(b"set"),
    "trainers": 0b111,
    "weight": 3,
    "seats": 0b101,
    "commitments": (sha256(b"first"), sha256(b"third")),
    "acceptedAt": 1_010,
}


def call_data(drawn: CommitteeDrawn) -> bytes:
    """What makes the contract log this draw as RoundManager does."""
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
    return log_of("CommitteeDrawn", values)


def log_of(name: str, values: dict[str, object]) -> bytes:
    """What makes the contract log this event of a task and a round as RoundManager does."""
    contract = load_artifact("RoundManager").contract
    (event,) = (one for one in contract.abi if one.get("name") == name)
    plain = [one for one in event["inputs"] if not one["indexed"]]
    data = encode([one["type"] for one in plain], [values[one["name"]] for one in plain])
    topic = contract.events[name]().topic
    indexed = values["task"].to_bytes(32, "big") + values["round"].to_bytes(32, "big")
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

    async def accept_set(self) -> int:
        """Log an accepted set; return its block."""
        request = Request(self.manager, log_of("SetAccepted", SET), 200_000)
        return (await self.sender.transact(request)).block

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
        followed = Follower(endpoints, heads, logs, self.block)
        witnessed = WitnessedProgress(followed, Witnesses(endpoints, self.bindings), self.block)
        progress = AgreedProgress(witnessed, Agreement(endpoints, self.bindings), TASK)
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
    (line,) = {one for one in caplog.messages if "other events" in one}
    assert f"{two[1].url} report other events than were followed; nothing is final" in line


async def test_the_next_draw_counts_once_the_endpoints_agree_again(site, two):
    two[1].alter = another_draw
    await site.draw()
    await site.follow(two, settled(site))
    two[1].recover()
    following = replace(DRAWN, attempt=1, ctx=sha256(b"next"))
    await site.draw(following)
    fold = await site.follow(two, lambda fold: fold.final.attempt.drawn == following)
    assert fold.final.attempt.drawn == following


async def test_an_endpoint_whose_final_block_is_older_confirms_nothing_yet(
    site, two, caplog, monkeypatch
):
    monkeypatch.setattr(witnesses, "PATIENCE_SECONDS", 0)
    frozen = await site.bench.client.call("eth_getBlockByNumber", hex(site.block), False)

    def stale(call, reply):
        is_final = call["params"][:1] == ["finalized"]
        return {**reply, "result": frozen} if is_final else reply

    two[1].alter = stale
    await site.draw()
    fold = await site.follow(two, settled(site))
    assert fold.final.attempt.drawn is None
    assert any(f"{two[1].url} do not have them as final" in one for one in caplog.messages)
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


async def test_no_part_is_taken_though_two_of_three_endpoints_agree(site, two, chain, caplog):
    with proxy(chain.url) as third:
        third.alter = another_draw
        await site.draw()
        fold = await site.follow([*two, third], settled(site))
    assert fold.tip.attempt.drawn == DRAWN
    assert fold.final.attempt.drawn is None
    (line,) = {one for one in caplog.messages if "another draw" in one}
    assert f"round 3, attempt 0: {third.url} report another draw" in line


async def test_other_tasks_draws_are_not_doubted(site, two):
    two[1].break_down()
    await site.draw(replace(DRAWN, task=TASK + 1))
    fold = await site.follow(two, lambda fold: fold.final.number > site.block + 3)
    assert fold._doubted is None


def without_sets(call, reply):
    """Hide that a set was accepted."""
    if call["method"] != "eth_getLogs":
        return reply
    topic = "0x" + log_of("SetAccepted", SET)[:32].hex()
    return {**reply, "result": [log for log in reply["result"] if log["topics"][0] != topic]}


def past(block: int):
    """Tell when the tip is some blocks above ``block``."""
    return lambda fold: fold.tip.number > block + 8


@pytest.mark.parametrize("liar", [0, 1])
async def test_nothing_is_final_from_a_set_on_that_one_endpoint_hides(site, two, liar, caplog):
    await site.draw()
    block = await site.accept_set()
    two[liar].alter = without_sets
    fold = await site.follow(two, past(block))
    assert fold.final.attempt.accepted is None
    assert fold.final.number < block
    (line,) = {one for one in caplog.messages if "other events" in one}
    assert f"{two[1].url} report other events" in line


async def test_the_hidden_set_counts_once_the_endpoint_shows_it(site, two):
    await site.draw()
    block = await site.accept_set()
    two[0].alter = without_sets

    def until(fold: ChainFold) -> bool:
        if past(block)(fold):
            two[0].recover()
        return fold.final.attempt.accepted is not None

    fold = await site.follow(two, until)
    assert fold.final.attempt.accepted.seats == SET["seats"]
    assert fold.tip.attempt.accepted == fold.final.attempt.accepted


async def test_an_endpoint_that_hides_a_set_is_outvoted_by_two(site, two, chain, caplog):
    await site.draw()
    await site.accept_set()
    two[0].alter = without_sets
    with proxy(chain.url) as third:
        fold = await site.follow([*two, third], lambda fold: fold.final.attempt.accepted)
    assert fold.final.attempt.drawn == DRAWN
    assert any("what most endpoints report counts" in one for one in caplog.messages)


async def test_a_final_block_that_only_the_followed_endpoint_knows_is_not_final(site, two):
    await site.draw()
    block = await site.accept_set()

    def behind(call, reply):
        is_final = call["params"][:1] == ["finalized"]
        return {**reply, "result": old} if is_final else reply

    old = await site.bench.client.call("eth_getBlockByNumber", hex(block - 1), False)
    two[1].alter = behind
    fold = await site.follow(two, past(block))
    assert fold.tip.attempt.accepted is not None
    assert fold.final.attempt.accepted is None


async def test_a_long_past_is_asked_about_in_parts_and_mended(site, two, chain, monkeypatch):
    monkeypatch.setattr(witnesses, "BLOCKS_MAX", 3)
    monkeypatch.setattr(follower, "STEP_BLOCKS_MAX", 1)  # from here on final blocks are a range
    await site.draw()
    block = await site.accept_set()
    async for _ in heads_above(site, block + 12):
        pass
    two[0].alter = without_sets
    with proxy(chain.url) as third:
        fold = await site.follow([*two, third], lambda fold: fold.final.attempt.accepted)
    assert fold.final.number >= block


async def heads_above(site: Site, number: int):
    heads = site.bench.heads
    while heads.final.number < number:
        yield await heads.beyond(heads.newest.digest)
