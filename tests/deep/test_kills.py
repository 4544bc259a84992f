"""kill -9 of a trainer, a seat, a proposer and the chain, at every phase of a round."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from flocknode.cli.demo import plan
from flocknode.cli.demo.pay import stakes_of
from tests.deep.processes import Field, opened_field
from tests.e2e.test_stage import OPTIONS

FIELD = replace(OPTIONS, trainers=4, columns=2, seats=3, validators=6, rounds=60)
"""Every validator has a seat in every round."""
TRAINER, SEAT = 0, FIELD.trainers
SETTLE_SECONDS = 150
"""Two attempts with all their deadlines; a healthy round takes four."""
SEAT_MARKERS = ["SeatKey", "Attestation", "Include", "MaskRoot", "Propose"]
PHASES = {
    "trainer": ["signs Header"],
    "seat": [f"signs {kind}" for kind in SEAT_MARKERS],
    "proposer": ["sends Draw", "sends IncludeSet", "sends ProposeModel", "sends Settle"],
}
CASES = [(who, marker) for who, markers in PHASES.items() for marker in markers]


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WINDOWS", replace(plan.WINDOWS, collect=4, settle=1))


def assert_nothing_is_signed_twice(field: Field) -> None:
    statements = field.statements()
    assert statements
    assert [slot for slot, digests in statements.items() if len(digests) > 1] == []


@pytest.mark.parametrize(("who", "marker"), CASES)
async def test_killed_node_comes_back_and_rounds_settle(
    who: str, marker: str, tmp_path: Path, record_property
) -> None:
    place = TRAINER if who == "trainer" else SEAT
    async with opened_field(tmp_path, replace(FIELD, keep=tmp_path), place) as field:
        stakes = await stakes_of(field.stage)
        with trio.fail_after(SETTLE_SECONDS):
            await field.settled()
            seen = await field.victim.says(marker, len(field.victim.lines))
            field.victim.kill()
        with trio.fail_after(SETTLE_SECONDS):
            first = await field.settled()
            record_property("attempt", first.settled.attempt)
            record_property("seconds_to_settle", round(first.seconds, 1))
            back = "signs Header" if who == "trainer" else "signs Propose"
            while field.victim.starts < 2:
                await field.settled()
            await field.victim.says(back, seen)
            await field.settled()
        assert_nothing_is_signed_twice(field)
        assert await stakes_of(field.stage) == stakes


async def test_idle_node_ends_within_five_seconds_of_sigterm(
    tmp_path: Path, record_property
) -> None:
    async with opened_field(tmp_path, replace(FIELD, keep=tmp_path), SEAT) as field:
        with trio.fail_after(SETTLE_SECONDS):
            await field.settled()
        field.victim.hold()
        process, asked = field.victim.process, trio.current_time()
        process.terminate()
        with trio.fail_after(5):
            assert await process.wait() == 0
        record_property("seconds", round(trio.current_time() - asked, 1))


@pytest.mark.parametrize("kind", ["pyevm", "anvil"])
@pytest.mark.parametrize("marker", [*PHASES["seat"], "sends ProposeModel", "sends Settle"])
async def test_killed_chain_comes_back_and_rounds_settle(
    kind: str, marker: str, tmp_path: Path, record_property
) -> None:
    options = replace(FIELD, keep=tmp_path, chain=kind)
    async with opened_field(tmp_path, options, SEAT) as field:
        stakes = await stakes_of(field.stage)
        with trio.fail_after(SETTLE_SECONDS):
            await field.settled()
            await field.victim.says(marker, len(field.victim.lines))
        field.chain.kill()
        await field.chain.start()
        with trio.fail_after(SETTLE_SECONDS):
            first = await field.settled()
            await field.settled()
        record_property("attempt", first.settled.attempt)
        record_property("seconds_to_settle", round(first.seconds, 1))
        record_property("nodes_started_again", field.victim.starts + field.others.starts - 2)
        assert_nothing_is_signed_twice(field)
        assert await stakes_of(field.stage) == stakes
