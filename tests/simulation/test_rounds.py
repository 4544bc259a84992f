"""Whole rounds on a hostile network: real machines and vaults against the reference ledger."""

import random
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from flocknode.aggregation.step import error_bound
from flocknode.crypto.hashing import capsules_hash, seeds_hash
from flocknode.messages.codec import decode, encode
from flocknode.messages.statements import MaskRoot, statement_digest
from flocknode.messages.wire import Contribution
from flocknode.model.terms import MODEL_SCALE_BITS
from flocknode.node.signer import slot_of
from flocknode.privacy.clipping import clip_l2
from flocknode.protocol.ledger import (
    CommitteeDrawn,
    ProposalAccepted,
    RoundSettled,
    SetAccepted,
)
from flocknode.sim.state import Phase
from flocknode.sim.world import TASK, Faults, World
from tests.builders import integer_terms, patient_windows, task_terms

SEEDS = range(60)
LIMIT_SECONDS = 400.0
"""Three attempts with every deadline let pass."""
BEYOND_SECONDS = 3.0
"""Time for everyone to hear of the last settlement and to fetch its model."""
SHAPES = ((3, 3, 10), (2, 3, 8), (2, 3, 7), (3, 1, 5))
"""(columns, seats per column, validators)."""


def terms_of(columns, seats_per_column, **changes):
    # tau = Q: no word is clamped, so the error bound holds.
    values = {
        "integers": integer_terms(tau=2047),
        "windows": patient_windows(),
        "rounds": 1,
        "columns": columns,
        "seats_per_column": seats_per_column,
    }
    return task_terms(**{**values, **changes})


def faulty_world(seed):
    """Draw a committee's shape and the network's faults from the seed."""
    chance = random.Random(f"faults {seed}")
    columns, seats_per_column, validators = chance.choice(SHAPES)
    faults = Faults(
        loss=chance.uniform(0, 0.3),
        delay_seconds=(0.005, chance.uniform(0.05, 0.8)),
        duplicate=chance.uniform(0, 0.3),
        crashed_trainers=chance.randrange(3),
    )
    rounds = 2 if seed % 10 == 0 else 1
    terms = terms_of(columns, seats_per_column, rounds=rounds)
    return World(seed=seed, terms=terms, validators=validators, faults=faults)


def calm_world(seed=0, columns=3, seats_per_column=3, validators=10, **changes):
    faults = changes.pop("faults", None)
    identities = changes.pop("identities", None)
    terms = terms_of(columns, seats_per_column, **changes)
    return World(
        seed=seed, terms=terms, validators=validators, faults=faults, identities=identities
    )


def until_phase(world, phase):
    """Run until the chain's attempt is in ``phase``."""
    for _ in range(2_000):
        if world.ledger.round_of(TASK).phase is phase:
            return
        world.run(seconds=0.05)
    pytest.fail(f"never reached {phase}")


def settle(world):
    world.run(seconds=LIMIT_SECONDS, beyond=BEYOND_SECONDS)
    assert_all_rounds_settled(world)


def all_of(world, kind):
    return [event for event in world.events if isinstance(event, kind)]


def settled_rounds(world):
    """Return (accepted set, proposal) of every settled round."""
    sets = {(e.round, e.attempt): e for e in all_of(world, SetAccepted)}
    proposals = {(e.round, e.attempt): e for e in all_of(world, ProposalAccepted)}
    names = [(e.round, e.attempt) for e in all_of(world, RoundSettled)]
    return [(sets[name], proposals[name]) for name in names]


def blob(world, root):
    return next(data for node in world.nodes if (data := node.blobs.get(root)))


def model(world, root):
    return np.frombuffer(blob(world, root), "<i4") * 2.0**-MODEL_SCALE_BITS


def step_errors(world):
    """Return, by round, the settled step minus float FedAvg of the same clipped deltas."""
    before, errors = world.initial_root, []
    norm = 2.0**world.terms.integers.clip_norm_log2
    for accepted, proposal in settled_rounds(world):
        members = [e for e in world.roster.entries if accepted.trainers >> e.index & 1]
        clipped = [clip_l2(world.deltas[accepted.round, e.index], norm).values for e in members]
        mean = np.average(clipped, axis=0, weights=[e.weight for e in members])
        errors.append(model(world, proposal.model_root) - model(world, before) - mean)
        before = proposal.model_root
    return errors


# Claims about every world.


def assert_all_rounds_settled(world):
    settled = [event.round for event in all_of(world, RoundSettled)]
    assert settled == list(range(world.terms.rounds))


def assert_models_are_fedavg(world):
    for (accepted, _), error in zip(settled_rounds(world), step_errors(world), strict=True):
        count = accepted.trainers.bit_count()
        assert np.abs(error).max() <= error_bound(world.terms.integers, count, accepted.weight).max


def assert_no_slot_is_signed_twice(world):
    for node in world.nodes:
        slots = defaultdict(set)
        for statement in node.statements:
            slots[slot_of(statement)].add(statement_digest(world.domain, statement))
        slots.pop(None, None)
        assert all(len(digests) == 1 for digests in slots.values())


def assert_nobody_is_penalised(world):
    assert [(n.name, reason) for n in world.nodes for _, reason in n.penalties] == []


def assert_one_set_per_attempt(world):
    sets = defaultdict(set)
    for event in all_of(world, SetAccepted):
        sets[event.round, event.attempt].add(event.inclusion_root)
    assert all(len(roots) == 1 for roots in sets.values())
    accepted = {event.inclusion_root for event in all_of(world, SetAccepted)}
    opened = [s for node in world.nodes for s in node.statements if isinstance(s, MaskRoot)]
    assert {statement.inclusion_root for statement in opened} <= accepted


def assert_columns_agree(world):
    roots = defaultdict(set)
    for node in world.nodes:
        for statement in node.statements:
            if isinstance(statement, MaskRoot):
                roots[statement.ctx, statement.column].add(statement.root)
    assert all(len(found) == 1 for found in roots.values())


def assert_models_agree(world):
    last = all_of(world, RoundSettled)[-1].model_root
    for node in world.nodes:
        if not node.crashed:
            assert node.fold.final.model_root == last
            assert node.blobs.get(last), f"node {node.name} lacks the model"


CLAIMS = (
    assert_all_rounds_settled,
    assert_models_are_fedavg,
    assert_no_slot_is_signed_twice,
    assert_nobody_is_penalised,
    assert_one_set_per_attempt,
    assert_columns_agree,
    assert_models_agree,
)


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


def test_trainer_that_signs_two_headers_stops_nobody():
    world = calm_world(seed=7, columns=2, seats_per_column=3, validators=7)
    until_phase(world, Phase.COLLECTING)
    liar = world.trainers[0]
    while not liar.machine.attempt or not liar.machine.attempt.contributor._contribution:
        world.run(seconds=0.05)
    first = liar.machine.attempt.contributor._contribution
    header = decode(first.header)
    # Seat 0 gets no capsule in the second one.
    second = replace(header, capsules=(b"", *header.capsules[1:]))
    statement = second.statement(seeds_hash(second.commitments), capsules_hash(second.capsules))
    signature = liar.key.sign_digest(statement_digest(world.domain, statement))
    world.inject(liar, Contribution(encode(replace(second, signature=signature)), first.vector))
    settle(world)
    ((accepted, _),) = settled_rounds(world)
    assert accepted.attempt == 0
    assert accepted.trainers & 0b11110 == 0b11110
