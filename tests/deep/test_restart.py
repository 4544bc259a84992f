"""Nodes that end in the middle of a round and are opened again from their directories."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from flocknode.cli.assembly import Node
from flocknode.cli.demo import plan
from flocknode.cli.demo.run import watch
from flocknode.cli.demo.stage import Stage, open_grounds, set_stage, start_nodes
from flocknode.errors import ConfigurationError
from flocknode.learning.pool import TrainerPool
from tests.e2e.test_stage import OPTIONS, settle


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WINDOWS", replace(plan.WINDOWS, collect=4, settle=1))


async def restart(stage: Stage, place: int, nursery: trio.Nursery) -> Node:
    """End a node as a killed process would, and open its directory again."""
    old = stage.nodes[place]
    with pytest.raises(ConfigurationError, match="in use by process"):
        Node.open(old.directory, stage.pool, durable=True)
    old.close()
    with trio.fail_after(10):
        while True:
            try:
                new = Node.open(old.directory, stage.pool, durable=True)
                break
            except ConfigurationError:
                await trio.sleep(0.05)
    stage.nodes[place] = new
    await nursery.start(new.run)
    return new


async def test_seat_and_trainer_restarted_in_a_round_take_part_in_it_or_the_next(
    tmp_path: Path,
) -> None:
    async with (
        TrainerPool.open() as pool,
        open_grounds(tmp_path, pool, OPTIONS.chain) as grounds,
        trio.open_nursery() as nursery,
    ):
        stage = await set_stage(grounds, replace(OPTIONS, keep=tmp_path))
        await start_nodes(stage, nursery)
        watcher = await watch(stage)
        await settle(watcher)
        trainer, seat = 1, OPTIONS.trainers + 2
        with trio.fail_after(20):
            while not stage.nodes[seat].vault._attempts:  # noqa: ASYNC110
                await trio.sleep(0.02)
        for place in (trainer, seat):
            await restart(stage, place, nursery)
        await settle(watcher)
        assert (await settle(watcher)).accepted.trainers == 0b1111
        nursery.cancel_scope.cancel()
