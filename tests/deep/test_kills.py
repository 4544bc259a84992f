"""kill -9 of a trainer, a seat, a proposer and the chain, at every phase of a round."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from flocknode.chain.deploy import NetworkTerms
from flocknode.cli.demo import plan, stage
from flocknode.cli.demo.pay import stakes_of
from tests.deep.processes import Field, Process, opened_field
from tests.e2e.test_stage import OPTIONS

FIELD = replace(OPTIONS, trainers=4, columns=2, seats=3, validators=6, rounds=60)
"""Every validator has a seat in every round."""
TRAINER, SEAT = 0, FIELD.trainers
SETTLE_SECONDS = 150
"""Two attempts with all their deadlines; a healthy round takes four."""
REVEAL_SECONDS = 90
STOP_SECONDS = 5
TAKES_PART = "signs (Header|Propose)"
SIGNATURES = ["SeatKey", "Attestation", "Include", "MaskRoot", "Propose"]
TURNS = ["Draw", "IncludeSet", "ProposeModel", "Settle"]
SEAT_PHASES = [*(f"signs {kind}" for kind in SIGNATURES), *(f"sends {call}" for call in TURNS)]
TRAINER_PHASES = ["signs SeatKey", "signs Header", "signs Include", "signs Propose"]
"""Before, during and after its one message, by what others say."""


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "WINDOWS", replace(plan.WINDOWS, collect=4, settle=1))
    monkeypatch.setattr(plan, "EPOCH_ROUNDS", 1)  # a draw, and a turn to send it, in every round
    # Who misses a reveal is out of the beacon for good: a chain's replay takes less than this.
    terms = partial(NetworkTerms, reveal_seconds=REVEAL_SECONDS)
    monkeypatch.setattr(stage, "NetworkTerms", terms)


async def says_one(processes: list[Process], markers: list[str]) -> str:
    """Wait until one of ``processes`` says one of ``markers``, and return which."""
    said: list[str] = []

    async def listen(process: Process) -> None:
        place = await process.says("|".join(markers), len(process.lines))
        said.append(process.lines[place - 1])
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for process in processes:
            nursery.start_soon(listen, process)
    return next(marker for marker in markers if marker in said[0])


def assert_nothing_is_signed_twice(field: Field) -> None:
    for victim in field.victims:
        statements = victim.statements()
        assert statements
        assert [slot for slot, digests in statements.items() if len(digests) > 1] == []


@pytest.mark.parametrize(
    ("place", "phases"),
    [(TRAINER, TRAINER_PHASES), (SEAT, SEAT_PHASES)],
    ids=["trainer", "seat and proposer"],
)
async def test_killed_node_comes_back_and_rounds_settle(
    place: int, phases: list[str], tmp_path: Path, record_property
) -> None:
    async with opened_field(tmp_path, replace(FIELD, keep=tmp_path), place) as field:
        (victim,), stakes = field.victims, await stakes_of(field.stage)
        with trio.fail_after(SETTLE_SECONDS):
            await field.settled(1)
        watched = [victim, field.others] if place == TRAINER else [victim]
        left, seconds = list(phases), []
        while left:
            with trio.fail_after(SETTLE_SECONDS):
                left.remove(await says_one(watched, left))
                killed, lives = trio.current_time(), len(victim.lives)
                victim.kill()
                await field.settled(1)
                seconds.append(trio.current_time() - killed)
                await victim.says(TAKES_PART, await victim.restarted(lives))
        record_property("kills", len(seconds))
        record_property("seconds_to_settle_max", round(max(seconds), 1))
        assert_nothing_is_signed_twice(field)
        assert await stakes_of(field.stage) == stakes


@pytest.mark.parametrize("kind", ["pyevm", "anvil"])
async def test_killed_chain_comes_back_and_rounds_settle(
    kind: str, tmp_path: Path, record_property
) -> None:
    options = replace(FIELD, keep=tmp_path, chain=kind)
    async with opened_field(tmp_path, options, SEAT) as field:
        (victim,), stakes = field.victims, await stakes_of(field.stage)
        with trio.fail_after(SETTLE_SECONDS):
            await field.settled(1)
        left, seconds = list(SEAT_PHASES), []
        while left:
            with trio.fail_after(SETTLE_SECONDS):
                left.remove(await says_one([victim, field.others], left))
                killed = trio.current_time()
                field.chain.kill()
                await field.chain.start()
                await field.settled(1)
                seconds.append(trio.current_time() - killed)
        record_property("kills", len(seconds))
        record_property("seconds_to_settle_max", round(max(seconds), 1))
        record_property("nodes_started_again", len(victim.lives) + len(field.others.lives) - 2)
        assert_nothing_is_signed_twice(field)
        assert await stakes_of(field.stage) == stakes


async def test_node_ends_cleanly_at_sigterm_and_starts_again(
    tmp_path: Path, record_property
) -> None:
    async with opened_field(tmp_path, replace(FIELD, keep=tmp_path), TRAINER, SEAT) as field:
        with trio.fail_after(SETTLE_SECONDS):
            await field.settled(1)
        seconds = []
        for victim in field.victims:
            lives, asked = len(victim.lives), trio.current_time()
            victim.process.terminate()
            with trio.fail_after(STOP_SECONDS):
                assert await victim.process.wait() == 0
            seconds.append(trio.current_time() - asked)
            with trio.fail_after(SETTLE_SECONDS):
                await victim.says(TAKES_PART, await victim.restarted(lives))
            assert "Traceback" not in "\n".join(victim.lines)
        record_property("seconds_max", round(max(seconds), 1))
        assert_nothing_is_signed_twice(field)
