"""Whole rounds on a faulty network: real machines and vaults against the reference ledger."""

import random

import numpy as np
import pytest

from flocknode.aggregation.step import error_bound
from flocknode.protocol.ledger import CommitteeDrawn, RoundSettled, SetAccepted
from flocknode.sim.state import Phase
from flocknode.sim.world import TASK, Faults, World
from tests.builders import integer_terms, patient_windows
from tests.simulation.round_world import (
    BEYOND_SECONDS,
    CLAIMS,
    LIMIT_SECONDS,
    all_of,
    assert_models_are_fedavg,
    calm_world,
    settle,
    settled_rounds,
    step_errors,
    terms_of,
    until_phase,
)

SEEDS = range(60)
SHAPES = ((3, 3, 10), (2, 3, 7), (2, 3, 7), (3, 1, 4), (3, 1, 4))
"""(columns, seats per column, validators)."""


def faulty_world(seed):
    """Draw a committee's shape and the network's faults from the seed."""
    chance = random.Random(f"faults {seed}")
    columns, seats_per_column, validators = chance.choice(SHAPES)
    trainers = chance.choice((4, 5))
    faults = Faults(
        loss=chance.uniform(0, 0.3),
        delay_seconds=(0.005, chance.uniform(0.05, 0.8)),
        duplicate=chance.uniform(0, 0.3),
        # Three stay: n_min.
        crashed_trainers=chance.randrange(trainers - 2),
    )
    rounds = 2 if seed % 20 == 0 else 1
    terms = terms_of(columns, seats_per_column, rounds=rounds, trainers=trainers)
    return World(seed=seed, terms=terms, validators=validators, faults=faults)


@pytest.mark.parametrize("seed", SEEDS)
def test_round_survives_loss_reordering_duplicates_and_crashes(seed):
    world = faulty_world(seed)
    world.run(seconds=LIMIT_SECONDS, beyond=BEYOND_SECONDS)
    for claim in CLAIMS:
        claim(world)


@pytest.mark.parametrize("seed", [0, 3, 7])
def test_same_seed_gives_the_same_trace(seed):
    worlds = [faulty_world(seed) for _ in range(2)]
    for world in worlds:
        world.run(seconds=30)
    assert worlds[0].trace_digest == worlds[1].trace_digest


def test_another_seed_gives_another_trace():
    worlds = [calm_world(seed, 2, 1, 3) for seed in (1, 2)]
    for world in worlds:
        world.run(seconds=3)
    assert worlds[0].trace_digest != worlds[1].trace_digest


@pytest.mark.parametrize("columns", [2, 3])
def test_calm_rounds_include_everybody_within_four_seconds(columns):
    world = calm_world(columns=columns, rounds=3)
    settle(world)
    assert [s.trainers for s, _ in settled_rounds(world)] == [0b11111] * 3
    drawn = [e.drawn_at for e in all_of(world, CommitteeDrawn)]
    took = [e.settled_at - at for e, at in zip(all_of(world, RoundSettled), drawn, strict=True)]
    assert max(took) <= 4


def test_order_of_arrival_does_not_change_the_model():
    def models(seed):
        faults = Faults(delay_seconds=(0.005, 0.3), duplicate=0.2)
        world = calm_world(seed, 2, 3, 7, faults=faults, identities=5, rounds=2)
        settle(world)
        return [event.model_root for event in all_of(world, RoundSettled)], world.trace_digest

    (first, trace), (second, other_trace) = models(1), models(2)
    assert first == second
    assert trace != other_trace


def test_rounding_error_stays_within_its_rms_bound():
    # 4000 words: the sample's rms is within 1.2 % of its expectation.
    world = calm_world(
        columns=2,
        seats_per_column=1,
        validators=3,
        integers=integer_terms(words=4_000, tau=2047, clip_norm_log2=3),
    )
    settle(world)
    (accepted, _), (error,) = settled_rounds(world)[0], step_errors(world)
    bound = error_bound(world.terms.integers, accepted.trainers.bit_count(), accepted.weight)
    rms = float(np.sqrt(np.mean(error**2)))
    assert bound.rms / 4 < rms <= bound.rms


LONG = integer_terms(words=32_001, tau=2047, clip_norm_log2=3)
"""Two bytes each: two more than what travels inline."""


def uploads_of(world):
    """Return how often each trainer gave each of its vectors away."""
    return {
        trainer.name: [times for root, times in trainer.uploads.items() if root in trainer.offers]
        for trainer in world.trainers
    }


def majority_of_every_column_holds(world, trainer):
    holds = [any(seat.blobs.get(root) for root in trainer.offers) for seat in world.committee]
    return bool(holds) and all(sum(holds[column::3]) >= 2 for column in range(3))


def test_long_vector_is_uploaded_twice_and_reaches_every_seat():
    world = calm_world(integers=LONG)
    settle(world)
    assert settled_rounds(world)[0][0].trainers == 0b11111
    assert uploads_of(world) == {trainer.name: [2] for trainer in world.trainers}
    assert_models_are_fedavg(world)


def test_trainer_may_leave_once_a_majority_of_every_column_holds_its_vector():
    world = calm_world(integers=LONG)
    leaving = world.trainers[2]
    while not majority_of_every_column_holds(world, leaving):
        world.run(seconds=0.02)
    world.crash(leaving)
    settle(world)
    assert settled_rounds(world)[0][0].trainers == 0b11111


def test_long_vector_whose_first_two_seats_are_dead_is_offered_to_two_more():
    world = calm_world(seed=1, integers=LONG, windows=patient_windows(collect=30))
    until_phase(world, Phase.COLLECTING)
    for seat in (0, 1):  # the turn of trainer 0 begins with them
        world.crash(world.committee[seat])
    settle(world)
    assert settled_rounds(world)[0][0].trainers == 0b11111


def test_dead_seat_delays_nobody_for_ever():
    world = calm_world(seed=1)
    until_phase(world, Phase.COLLECTING)
    world.crash(world.committee[4])
    settle(world)
    ((accepted, proposal),) = settled_rounds(world)
    assert accepted.seats == proposal.seats == 0b111101111


def test_silent_proposer_costs_one_view():
    world = calm_world(seed=2)
    until_phase(world, Phase.COLLECTING)
    seating = world.ledger.round_of(TASK)
    world.crash(world.committee[int.from_bytes(seating.seed, "big") % world.terms.seats])
    settle(world)
    ((accepted, proposal),) = settled_rounds(world)
    assert (accepted.view, proposal.view, accepted.attempt) == (1, 1, 0)


def test_seat_that_joins_late_takes_part():
    # Columns of one seat: nothing happens without it.
    world = calm_world(seed=3, seats_per_column=1, validators=5)
    until_phase(world, Phase.COLLECTING)
    late = world.committee[1]
    late.crashed = True
    world.join(late, after=6)
    joins_at = world.now + 6
    settle(world)
    ((accepted, proposal),) = settled_rounds(world)
    assert (accepted.attempt, accepted.trainers) == (0, 0b11111)
    assert accepted.accepted_at >= joins_at
    assert accepted.seats == proposal.seats == 0b111


def test_column_with_one_live_seat_is_heard_after_the_root_deadline():
    # Seat 1 sends its sum along; seats 4 and 7 of its column do not.
    world = calm_world(seed=4)
    until_phase(world, Phase.INCLUDED)
    for seat in (1, 4):
        world.crash(world.committee[seat])
    settle(world)
    ((accepted, proposal),) = settled_rounds(world)
    assert proposal.attempt == 0
    assert proposal.accepted_at >= accepted.accepted_at + 1 + 8


def test_too_many_dead_seats_cost_an_attempt_and_are_left_out_of_the_next():
    world = calm_world(seed=5, columns=2, seats_per_column=3, validators=10)
    until_phase(world, Phase.COLLECTING)
    dead = {world.committee[0], world.committee[2]}
    for node in dead:
        world.crash(node)
    settle(world)
    drawn = all_of(world, CommitteeDrawn)
    assert [event.attempt for event in drawn] == [0, 1]
    assert not dead & set(world.committee)


def test_retry_after_a_spent_attempt_sends_the_same_quantised_deltas():
    world = calm_world(seed=6, columns=2, seats_per_column=3, validators=10)
    until_phase(world, Phase.INCLUDED)
    quantised = [node.vault._quantised[1] for node in world.trainers]
    away = world.committee[:3]
    for node in away:
        world.crash(node)
        world.join(node, after=60)
    settle(world)
    first, second = all_of(world, SetAccepted)
    assert (first.attempt, second.attempt) == (0, 1)
    assert first.trainers == second.trainers
    assert first.inclusion_root != second.inclusion_root
    again = [node.vault._quantised[1] for node in world.trainers]
    assert all(a is b for a, b in zip(quantised, again, strict=True))
    assert_models_are_fedavg(world)
