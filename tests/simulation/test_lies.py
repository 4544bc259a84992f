"""Every lie is proven by honest seats, costs its liars alone, and the right model settles."""

from dataclasses import replace
from functools import cache

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.messages.statements import Include, MaskRoot
from flocknode.protocol.effects import Submit
from flocknode.protocol.ledger import AttemptAborted, OpenRound, RoundSettled
from flocknode.protocol.proofs import CloseDemand
from flocknode.protocol.verdicts import DutyMissed, SeedAnswered, SeedDemanded, TreeAnswered
from flocknode.sim.liars import Plot
from flocknode.sim.state import Phase
from flocknode.sim.world import TASK
from tests.simulation.lie_world import (
    assert_one_set_was_struck_and_settled,
    assert_the_settled_models_are_right,
    liars,
    offences,
    plotted_world,
    settle_all,
    slashed,
    stakes,
    telling,
    world_of,
)
from tests.simulation.round_world import all_of, until_phase


@cache
def honest_models():
    world = world_of()
    settle_all(world)
    assert slashed(world) == {}
    return [event.model_root for event in all_of(world, RoundSettled)]


def told(lie, colluding="minority", **changes):
    world = plotted_world(lie, colluding, **changes)
    before = stakes(world)
    settle_all(world)
    taken = slashed(world)
    assert stakes(world) == {v: stake - taken.get(v, 0) for v, stake in before.items()}
    return world


@pytest.mark.parametrize(
    ("lie", "offence"),
    [
        ("equivocate", "EQUIVOCATION"),
        ("aggregate", "WRONG_AGGREGATE"),
        ("step", "WRONG_STEP"),
    ],
)
def test_lone_liar_is_convicted_and_the_round_goes_on(lie, offence):
    world = told(lie)
    assert offences(world) == [offence]
    assert set(slashed(world)) == liars(world)
    assert_the_settled_models_are_right(world, honest_models())


@pytest.mark.parametrize(
    ("lie", "colluding", "offence"),
    [
        ("mask", "minority", "WRONG_MASK_SUM"),
        ("mask", "majority", "WRONG_MASK_SUM"),
        ("aggregate", "majority", "WRONG_AGGREGATE"),
        ("step", "majority", "WRONG_STEP"),
    ],
)
def test_wrong_proposal_is_struck_and_the_right_model_settles_over_the_same_set(
    lie, colluding, offence
):
    world = told(lie, colluding)
    assert offences(world) == [offence]
    assert set(slashed(world)) == liars(world)
    assert_one_set_was_struck_and_settled(world)
    assert_the_settled_models_are_right(world, honest_models())


def test_proposal_whose_bytes_nobody_gives_is_struck():
    world = told("tree", "majority")
    assert slashed(world) == {}
    assert_one_set_was_struck_and_settled(world)
    assert_the_settled_models_are_right(world, honest_models())


def test_question_about_bytes_that_are_here_is_answered():
    world = told("tree")
    assert len(all_of(world, TreeAnswered)) == 1
    assert slashed(world) == {}
    assert_the_settled_models_are_right(world, honest_models())


def test_forged_record_aborts_the_attempt_before_any_sum_is_known():
    world = told("inclusion", "majority")
    assert offences(world) == ["BAD_INCLUSION"]
    assert set(slashed(world)) == liars(world)
    assert [event.spent for event in all_of(world, AttemptAborted)] == [False]


def test_wrong_weight_of_a_set_convicts_its_signers_and_aborts_the_attempt():
    """Two thirds of the seats sign the right records under another D, which would move the step."""

    class Heavier(Plot):
        def wrap(self, machine, key, blobs):
            lying = super().wrap(machine, key, blobs)
            lying._forge = lambda call, seating: heavier(self, call, seating)
            return lying

    def heavier(plot, call, seating):
        seats = plot.liars(seating)
        members = (seating.ctx, call.view, call.inclusion_root, call.trainers, call.weight + 1)
        return replace(
            call,
            weight=call.weight + 1,
            seats=sum(1 << seat for seat in seats),
            commitments=(sha256(b"mask"),) * len(seats),
            signatures=plot.signatures(seating, Include(*members, sha256(b"mask"))),
        )

    world = told("inclusion", "majority", plot=Heavier)
    assert offences(world) == ["BAD_INCLUSION"]
    assert set(slashed(world)) == liars(world)
    assert [event.spent for event in all_of(world, AttemptAborted)] == [False]
    assert_the_settled_models_are_right(world, honest_models())


def test_second_missed_duty_costs_stake_and_the_first_does_not():
    world = told("silent", rounds=2, challenge=14)
    missed = [(event.round, event.second) for event in all_of(world, DutyMissed)]
    assert missed == [(0, False), (1, True)]
    assert offences(world) == ["MISSED_DUTY"]
    assert set(slashed(world)) == liars(world)


def test_seed_that_mates_withhold_is_given_on_chain():
    world = told("withhold")
    assert len(all_of(world, SeedAnswered)) == 1
    assert slashed(world) == {}
    assert_the_settled_models_are_right(world, honest_models())


def test_no_seed_is_demanded_where_nobody_has_time_to_answer():
    world = told("withhold", demand=3)
    assert all_of(world, SeedDemanded) == []
    assert all_of(world, AttemptAborted) == []
    assert_the_settled_models_are_right(world, honest_models())


def test_seed_that_nobody_gives_aborts_the_attempt():
    world = told("withhold", "majority")
    assert {event.validator for event in all_of(world, DutyMissed)} == liars(world)
    assert [event.spent for event in all_of(world, AttemptAborted)] == [False]
    assert slashed(world) == {}


@pytest.mark.parametrize(
    ("lie", "offence"), [("aggregate", "WRONG_AGGREGATE"), ("step", "WRONG_STEP")]
)
def test_lie_whose_bytes_only_the_chain_gets_is_proven_from_the_answers(lie, offence):
    world = plotted_world(lie, "majority", challenge=12)
    until_phase(world, Phase.COLLECTING)
    world.run(seconds=world.block_seconds)
    for validator in liars(world):
        world.validators[validator].serves = False
    settle_all(world)
    assert offences(world) == [offence]
    assert set(slashed(world)) == liars(world)
    assert len(all_of(world, TreeAnswered)) == 1
    assert_the_settled_models_are_right(world, honest_models())


def test_no_sum_opens_while_a_demanded_seed_is_missing():
    """The attempt may yet abort, and the next one may include others."""

    def drop_closings(effect):
        is_closing = isinstance(effect, Submit) and isinstance(effect.call, CloseDemand)
        return Submit(OpenRound(TASK)) if is_closing else effect

    world = plotted_world("withhold", "majority", plot=telling(drop_closings))
    until_phase(world, Phase.DEMANDED)
    world.run(seconds=10.0)
    assert world.ledger.round_of(TASK).phase is Phase.DEMANDED
    opened = [s for node in world.nodes for s in node.statements if isinstance(s, MaskRoot)]
    assert opened == []


@pytest.mark.parametrize("seed", [1, 3])
def test_wrong_vote_is_proven_at_once_by_the_only_seat_that_heard_it(seed):
    world = told("step", seed=seed, challenge=3)
    assert offences(world) == ["WRONG_STEP"]
