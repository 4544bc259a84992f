"""Nodes one of whose chain endpoints lies in the middle of a task."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from flocknode.cli.demo import plan
from flocknode.cli.demo import stage as stage_module
from flocknode.cli.demo.members import configure
from flocknode.cli.demo.run import watch
from flocknode.cli.demo.stage import open_grounds, set_stage, start_nodes
from flocknode.learning.pool import TrainerPool
from tests.contracts.rpc_proxy import proxy
from tests.e2e.test_stage import OPTIONS, settle

SILENCE_SECONDS = 8
"""Several times what a round takes."""


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WINDOWS", replace(plan.WINDOWS, collect=4, settle=1))


def altered_seed(call: dict, reply: dict) -> dict:
    """Change every draw: its seed is the second of the words that are not indexed."""
    if call["method"] != "eth_getLogs":
        return reply
    logs = [
        {**log, "data": log["data"][:130] + "ab" * 32 + log["data"][194:]}
        if len(log["data"]) > 700
        else log
        for log in reply["result"]
    ]
    return {**reply, "result": logs}


async def test_no_round_settles_while_an_endpoint_of_all_nodes_lies_and_the_next_does_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        TrainerPool.open() as pool,
        open_grounds(tmp_path, pool, OPTIONS.chain) as grounds,
        trio.open_nursery() as nursery,
    ):
        with proxy(grounds.chain.url) as other:
            urls = (grounds.chain.url, other.url)
            monkeypatch.setattr(
                stage_module,
                "configure",
                lambda member, common, *rest: configure(member, replace(common, rpc=urls), *rest),
            )
            stage = await set_stage(grounds, OPTIONS)
            await start_nodes(stage, nursery)
            watcher = await watch(stage)
            await settle(watcher)
            other.alter = altered_seed
            # The attempt under way may have been agreed on before.
            with trio.move_on_after(SILENCE_SECONDS) as waited:
                await watcher.settled()
                await watcher.settled()
            assert waited.cancelled_caught
            other.recover()
            await settle(watcher)
            nursery.cancel_scope.cancel()
