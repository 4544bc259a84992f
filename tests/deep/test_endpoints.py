"""Rounds of nodes that each follow an endpoint that hides what the contracts accept."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import trio

from flocknode.chain.abi import load_artifact
from flocknode.cli.assembly import Node
from flocknode.cli.demo.pay import stakes_of
from flocknode.cli.demo.run import watch
from flocknode.cli.demo.stage import configure_nodes, open_grounds, set_stage
from flocknode.cli.node_config import load_node_config
from flocknode.learning.pool import TrainerPool
from tests.contracts.rpc_proxy import proxy
from tests.e2e.test_stage import OPTIONS

ROUNDS = 3
SECONDS_MAX = 200
ACCEPTED = "0x" + load_artifact("RoundManager").contract.events.SetAccepted().topic.removeprefix(
    "0x"
)


def without_sets(call, reply):
    """Hide that a set was accepted."""
    if call["method"] != "eth_getLogs":
        return reply
    return {**reply, "result": [it for it in reply["result"] if it["topics"][0] != ACCEPTED]}


async def test_rounds_settle_though_the_first_of_three_endpoints_hides_sets(
    tmp_path: Path, caplog, record_property
) -> None:
    async with (
        TrainerPool.open() as pool,
        open_grounds(tmp_path, pool, OPTIONS.chain) as grounds,
        trio.open_nursery() as nursery,
    ):
        stage = await set_stage(grounds, OPTIONS)
        with ExitStack() as stack:
            endpoints = [stack.enter_context(proxy(stage.chain.url)) for _ in range(3)]
            endpoints[0].alter = without_sets
            for member in configure_nodes(stage):
                config = load_node_config(member.directory)
                urls = tuple(endpoint.url for endpoint in endpoints)
                replace(config, rpc=urls, poll_seconds=0.5).save(member.directory)
                stage.nodes.append(Node.open(member.directory, pool, durable=False))
                await nursery.start(stage.nodes[-1].run)
            stakes = await stakes_of(stage)
            watcher = await watch(stage)
            with trio.fail_after(SECONDS_MAX):
                records = [await watcher.settled() for _ in range(ROUNDS)]
            assert await stakes_of(stage) == stakes
            nursery.cancel_scope.cancel()
    assert any("what most endpoints report counts" in line for line in caplog.messages)
    record_property("rounds", len(records))
    record_property("attempts", watcher.attempts)
