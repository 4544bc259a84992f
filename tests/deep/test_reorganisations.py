"""Real nodes on a chain that replaces its newest blocks, at every phase, down to the final one."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from flocknode.cli.demo import plan
from flocknode.cli.demo.pay import stakes_of
from flocknode.cli.demo.plan import FINALITY_BLOCKS
from flocknode.cli.demo.run import watch
from flocknode.cli.demo.stage import Stage, open_grounds, set_stage, start_nodes
from flocknode.learning.pool import TrainerPool
from tests.e2e.test_stage import OPTIONS
from tests.reorganisation import reorganise

FIELD = replace(OPTIONS, chain="anvil", trainers=4, columns=2, seats=3, validators=6, rounds=40)
SETTLE_SECONDS = 120
PHASES = ("drawn", "accepted", "proposal")


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WINDOWS", replace(plan.WINDOWS, collect=4, settle=1))


async def reached(stage: Stage, phase: str, round_: int) -> None:
    """Wait until a node sees the event of ``phase`` in ``round_`` or a later one."""
    machine = stage.nodes[-1].machine
    while True:
        event = getattr(machine._tip.attempt, phase)
        if event is not None and event.round >= round_:
            return
        await trio.sleep(0.01)


@pytest.mark.parametrize("depth", range(1, FINALITY_BLOCKS + 1))
async def test_replaced_blocks_leave_one_model_on_all_nodes(
    depth: int, tmp_path: Path, record_property
) -> None:
    async with (
        TrainerPool.open() as pool,
        open_grounds(tmp_path, pool, FIELD.chain) as grounds,
        trio.open_nursery() as nursery,
    ):
        stage = await set_stage(grounds, FIELD)
        await start_nodes(stage, nursery)
        stakes = await stakes_of(stage)
        watcher = await watch(stage)
        round_ = (await watcher.settled()).settled.round
        for phase in PHASES:
            with trio.fail_after(SETTLE_SECONDS):
                await reached(stage, phase, round_ + 1)
                await reorganise(stage.client, depth)
                while (settled := (await watcher.settled()).settled).round <= round_:
                    pass
                round_ = settled.round
        with trio.fail_after(SETTLE_SECONDS):
            for node in stage.nodes:
                while not node.blobs.get(settled.model_root):  # noqa: ASYNC110
                    await trio.sleep(0.05)
        assert await stakes_of(stage) == stakes
        nursery.cancel_scope.cancel()
    record_property("rounds", round_ + 1)
    record_property("attempts", watcher.attempts)
