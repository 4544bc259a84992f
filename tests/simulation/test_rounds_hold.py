"""Seats that fall silent, columns that die, blocks that are replaced: rules where they matter."""

from dataclasses import replace

import pytest

from flocknode.crypto.hashing import mask_commitment, sha256
from flocknode.messages.codec import encode
from flocknode.messages.statements import Header, MaskRoot, statement_digest
from flocknode.messages.wire import AttestationBundle, IncludeVote, MaskRootMessage, ProposeVote
from flocknode.protocol.effects import Send, ServeMaskSum, Sign
from flocknode.protocol.ledger import AttemptAborted, CommitteeDrawn, SetAccepted, TaskPaused
from flocknode.sim.state import Phase
from flocknode.sim.world import TASK
from tests.simulation.round_world import (
    CLAIMS,
    all_of,
    assert_columns_agree,
    assert_models_are_fedavg,
    assert_no_slot_is_signed_twice,
    calm_world,
    settle,
    settled_rounds,
    until_phase,
)

PHASES = (Phase.DRAWING, Phase.COLLECTING, Phase.INCLUDED, Phase.PROPOSED)
DEPTH = 4
"""Blocks until finality in the worlds whose blocks are replaced."""


def small_world(seed, **changes):
    shape = {"columns": 2, "seats_per_column": 3, "validators": 7, "trainers": 3, **changes}
    return calm_world(seed, **shape)


def until(world, condition):
    for _ in range(4_000):
        if condition():
            return
        world.run(seconds=0.05)
    pytest.fail("never came to it")


def column(world, number):
    return world.committee[number :: world.terms.columns]


def signed(node, kind):
    return [statement for statement in node.statements if isinstance(statement, kind)]


# Seats that fall silent.


@pytest.mark.parametrize("phase", PHASES[1:])
@pytest.mark.parametrize("seed", range(2))
def test_fewer_than_a_third_of_the_seats_fall_silent_in_any_phase(phase, seed):
    """The first proposer and another of the same column: two of nine."""
    world = calm_world(20 + seed, trainers=3)
    until_phase(world, phase)
    first = int.from_bytes(world.ledger.round_of(TASK).seed, "big") % 9
    for seat in (first, (first + 4) % 9):
        world.crash(world.committee[seat])
    settle(world)
    assert [accepted.attempt for accepted, _ in settled_rounds(world)] == [0]


def test_column_dead_after_its_roots_is_not_needed_any_more():
    world = calm_world(23, trainers=3)
    until_phase(world, Phase.INCLUDED)
    until(world, lambda: all(signed(node, MaskRoot) for node in column(world, 1)))
    world.run(seconds=0.1)
    for node in column(world, 1):
        world.crash(node)
    settle(world)
    ((accepted, proposal),) = settled_rounds(world)
    assert (accepted.attempt, proposal.attempt) == (0, 0)


def test_column_dead_before_its_roots_spends_the_attempt_and_the_next_sums_the_same():
    world = small_world(24, validators=10)
    until_phase(world, Phase.INCLUDED)
    dead = column(world, 1)
    for node in dead:
        world.crash(node)
    settle(world)
    spent = [event.spent for event in all_of(world, AttemptAborted)]
    assert spent[0]
    sets = all_of(world, SetAccepted)
    assert len({accepted.trainers for accepted in sets}) == 1
    assert_models_are_fedavg(world)


def test_after_an_abort_those_who_were_there_sit_in_other_columns():
    world = small_world(5, validators=10)
    until_phase(world, Phase.COLLECTING)
    before = world.ledger.round_of(TASK).committee
    for seat in (0, 2):
        world.crash(world.committee[seat])
    settle(world)
    after = all_of(world, CommitteeDrawn)[1].committee
    present = set(before) - {before[0], before[2]}
    assert present < set(after)
    assert [after.index(v) % 2 for v in before if v in present] != [
        place % 2 for place, v in enumerate(before) if v in present
    ]


def test_forwarding_costs_a_calm_round_nothing_and_a_slow_one_a_bundle_for_each_seat_and_growth():
    def bundles(world):
        sent = []

        def watch(_, effect):
            if isinstance(effect, Send) and isinstance(effect.message, AttestationBundle):
                sent.append(len(encode(effect.message)))
            return False

        world.after_effect = watch
        settle(world)
        return sent

    assert bundles(calm_world(31, trainers=4)) == []
    waiting = calm_world(31, trainers=4)
    waiting.crash(waiting.trainers[0])
    sent = bundles(waiting)
    # Three trainers come at most one by one, and nine seats tell of each growth once.
    assert 9 <= len(sent) <= 9 * 3
    assert max(sent) < 8 * (4 * 40 + 150)


# Two seats of one column.


def lying_roots(world, liars, junk):
    """Let ``liars`` commit to and sign a root that nobody can get, and sign no proposal."""

    def twist_of(node):
        def twist(_, message):
            seat = world.committee.index(node)
            if isinstance(message, ProposeVote):
                return []
            if isinstance(message, IncludeVote):
                commitment = mask_commitment(message.ctx, seat, junk(seat))
                return [signed_by(world, node, replace(message, commitment=commitment))]
            if isinstance(message, MaskRootMessage):
                lie = replace(message, root=junk(seat), vector=b"")
                return [signed_by(world, node, lie, seat % world.terms.columns)]
            return [message]

        return twist

    for node in liars:
        node.twist = twist_of(node)


def signed_by(world, node, message, *arguments):
    digest = statement_digest(world.domain, message.statement(*arguments))
    return replace(message, signature=node.key.sign_digest(digest))


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("place", range(3))
def test_two_seats_of_one_column_cannot_veto(together, place):
    """Both sign the same junk root, or each its own: the one honest sum of the column counts."""
    world = calm_world(30, trainers=3)
    until_phase(world, Phase.COLLECTING)
    liars = [world.committee[seat] for seat in (1, 4, 7) if seat != 1 + 3 * place]
    lying_roots(world, liars, lambda seat: sha256(b"junk" if together else b"junk %d" % seat))
    settle(world)
    ((accepted, proposal),) = settled_rounds(world)
    assert (accepted.attempt, proposal.attempt) == (0, 0)
    assert_models_are_fedavg(world)


# The chain takes back what it said.


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("depth", [1, DEPTH])
def test_replaced_blocks_in_any_phase_change_no_model(phase, depth):
    world = small_world(40 + depth, finality_depth=DEPTH)
    # Whoever opened the round does not look after it: the opening is final.
    until(world, lambda: world.trainers[0].fold.final.attempt.opened)
    until_phase(world, phase)
    world.run(seconds=0.3)
    world.replace_blocks(min(depth, world.ledger.head.number - world.ledger.final))
    settle(world)
    for claim in CLAIMS:
        claim(world)


def test_nothing_is_opened_over_a_set_that_may_still_be_replaced():
    """Blocks are replaced until the set has been accepted three times; only the last one stays."""
    world = small_world(45, finality_depth=8)
    early = []

    def watch(node, effect):
        opens = isinstance(effect, ServeMaskSum) or (
            isinstance(effect, Sign) and isinstance(effect.statement, MaskRoot)
        )
        accepted = node.fold.final.attempt.accepted
        end = accepted.accepted_at + world.terms.windows.demand if accepted else None
        if opens and (end is None or node.fold.final.timestamp < end):
            early.append((node.name, type(effect).__name__))
        return False

    world.after_effect = watch
    for _ in range(2):
        until_phase(world, Phase.INCLUDED)
        world.run(seconds=1.3)
        world.replace_blocks(world.ledger.head.number - world.ledger.final)
    settle(world)
    assert early == []
    assert_columns_agree(world)


@pytest.mark.parametrize("phase", PHASES)
def test_stalled_finality_costs_time_only(phase):
    world = small_world(50)
    stakes = [world.ledger.validator(v).stake for v in range(len(world.validators))]
    until_phase(world, phase)
    depth, world.ledger.finality_depth = world.ledger.finality_depth, 10**6
    world.run(seconds=20)
    world.ledger.finality_depth = depth
    settle(world)
    assert stakes == [world.ledger.validator(v).stake for v in range(len(world.validators))]
    assert_no_slot_is_signed_twice(world)


# A pause with a frozen set.


def paused_world():
    """Spend the only attempt: a column dies before its roots, and comes back."""
    world = small_world(60, attempts_max=1)
    until_phase(world, Phase.INCLUDED)
    dead = column(world, 0)
    for node in dead:
        world.crash(node)
    until(world, lambda: all_of(world, TaskPaused))
    for node in dead:
        world.join(node, after=0)
    world.resume()
    return world


def test_paused_task_waits_for_the_consent_of_each_operator():
    world = paused_world()
    said = [len(signed(trainer, Header)) for trainer in world.trainers]
    world.run(seconds=4)
    assert [len(signed(trainer, Header)) for trainer in world.trainers] == said
    world.trainers[0].consent.give(0, 1)
    world.run(seconds=4)
    assert [len(signed(trainer, Header)) for trainer in world.trainers] == [2, 1, 1]
    for trainer in world.trainers:
        trainer.consent.give(0, 1)
    settle(world)
    assert [accepted.attempt for accepted, _ in settled_rounds(world)] == [1]
    assert_models_are_fedavg(world)


def test_consent_to_another_pause_or_round_does_not_count():
    world = paused_world()
    for trainer in world.trainers:
        trainer.consent.give(0, 2)
        trainer.consent.give(1, 1)
    world.run(seconds=10)
    assert all(len(signed(trainer, Header)) == 1 for trainer in world.trainers)
