"""Ten rounds between real nodes over a wire that is late, loses, stalls and breaks."""

from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
import trio

from flocknode.cli.assembly import Node
from flocknode.cli.demo.pay import stakes_of
from flocknode.cli.demo.run import watch
from flocknode.cli.demo.stage import configure_nodes, open_grounds, set_stage
from flocknode.learning.pool import TrainerPool
from tests.deep.chaos import Weather, lose_messages, stand_between
from tests.e2e.test_stage import OPTIONS

ROUNDS = 10
FIELD = replace(OPTIONS, trainers=4, columns=2, seats=3, validators=7, rounds=ROUNDS)
SECONDS_MAX = 420


@pytest.mark.parametrize("seed", range(2))
async def test_ten_rounds_settle_over_a_hostile_wire(seed, tmp_path: Path, record_property) -> None:
    weather = Weather(seed)
    async with (
        TrainerPool.open() as pool,
        open_grounds(tmp_path, pool, FIELD.chain) as grounds,
        trio.open_nursery() as nursery,
    ):
        stage = await set_stage(grounds, FIELD)
        members = configure_nodes(stage)
        await stand_between({m.directory: m.port for m in members}, weather, nursery)
        for member in members:
            node = Node.open(member.directory, pool, durable=False)
            lose_messages(node, weather)
            stage.nodes.append(node)
            await nursery.start(node.run)
        stakes = await stakes_of(stage)
        watcher = await watch(stage)
        with trio.fail_after(SECONDS_MAX):
            records = [await watcher.settled() for _ in range(ROUNDS)]
        assert await stakes_of(stage) == stakes
        nursery.cancel_scope.cancel()
    assert [record.settled.round for record in records] == list(range(ROUNDS))
    assert min(weather.done[kind] for kind in ("lost", "stalls", "cuts")) > 0
    for kind in ("sent", "lost", "stalls", "cuts"):
        record_property(kind, weather.done[kind])
    record_property("attempts", watcher.attempts)
    record_property(
        "trainers_included_least", min(r.accepted.trainers.bit_count() for r in records)
    )
    record_property("seconds_per_round_median", round(median(r.seconds for r in records), 1))
