"""From the draw to the accepted set, or an abort: every edge, every refusal, every exit."""

from dataclasses import replace

import pytest
from ledger_world import (
    CREATOR,
    EPOCH,
    RELAYER,
    TASK,
    TERMS,
    WHOLE,
    World,
    aborted,
    after_the_views,
    digest,
    key,
    kinds,
    owner,
    refused,
)

from flocknode.primitives import ZERO_DIGEST
from flocknode.protocol.ledger import (
    AttemptAborted,
    BeaconRequested,
    Draw,
    OpenRound,
    Poke,
    RollCalled,
    RoundOpened,
    Settle,
    TaskPaused,
    TaskResumed,
)
from flocknode.sim import schedule
from flocknode.sim.state import Phase

# Drawing.


def test_open_round_freezes_weights_and_asks_the_beacon():
    world = World()
    events = world.apply(OpenRound(TASK))
    assert kinds(events) == [BeaconRequested, RoundOpened]
    assert world.attempt.phase is Phase.DRAWING
    world.ledger.mint(owner(0), 1)
    before = world.ledger.validator(0).weight
    world.ledger.request_unstake(0, 50 * 10**18, sender=owner(0))
    assert world.ledger.validator(0).weight == before
    with refused("StakeRegistryFrozen"):
        world.ledger.refresh_weight(0, sender=RELAYER)
    world.redrawn()
    world.ledger.refresh_weight(0, sender=RELAYER)
    assert world.ledger.validator(0).weight < before


def test_open_round_is_refused_twice():
    world = World()
    world.apply(OpenRound(TASK))
    with refused("RoundManagerWrongPhase"):
        world.apply(OpenRound(TASK))


def test_open_round_of_an_unfunded_task_is_refused():
    world = World(rewards=999)
    with refused("RoundManagerUnfunded"):
        world.apply(OpenRound(TASK))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (OpenRound(9), "TaskRegistryUnknownTask"),
        (Draw(9), "RoundManagerWrongPhase"),
        (Settle(9), "RoundManagerWrongPhase"),
        (Poke(9), "RoundManagerNothingDue"),
    ],
)
def test_unknown_task_is_refused(call, reason):
    with refused(reason):
        World().apply(call)


def test_open_round_needs_as_many_organisations_as_seats():
    world = World(validators=8)
    with refused("RoundManagerTooFewOrganisations"):
        world.apply(OpenRound(TASK))


def test_open_round_needs_a_beacon_with_members():
    world = World()
    for validator in range(10):
        world.ledger.leave(validator, sender=owner(validator))
    with refused("RoundManagerBeaconRefused"):
        world.apply(OpenRound(TASK))
    assert world.ledger.state.freezes == 0


def test_draw_waits_for_the_beacon():
    world = World()
    world.apply(OpenRound(TASK))
    with refused("RoundManagerBeaconNotReady"):
        world.apply(Draw(TASK))


def test_draw_names_nine_validators_and_their_signers():
    attempt = World().drawn().attempt
    assert len(set(attempt.committee)) == 9
    assert attempt.signers == tuple(key(f"signer {v}").address for v in attempt.committee)


@pytest.mark.parametrize("missing", [1, 5])
def test_a_draw_with_withheld_reveals_repeats_without_the_silent(missing):
    world = World()
    world.apply(OpenRound(TASK))
    silent = world.pending.members[:missing]
    world.reveal(*silent)
    with refused("RoundManagerNothingDue"):
        world.apply(Poke(TASK))
    world.at(world.pending.deadline)
    events = world.apply(Poke(TASK))
    assert kinds(events) == [BeaconRequested, RoundOpened]
    assert not set(world.pending.members) & set(silent)
    assert not set(world.ledger.state.members) & set(silent)
    assert world.redrawn().attempt.phase is Phase.COLLECTING
    assert world.ledger.state.freezes == 0


def test_nothing_is_drawn_while_one_reveal_is_missing():
    world = World()
    world.apply(OpenRound(TASK))
    world.reveal(0)
    for _ in range(2):
        with refused("RoundManagerBeaconNotReady"):
            world.apply(Draw(TASK))
        world.at(world.pending.deadline)


# Inclusion.


def test_a_whole_roster_is_included_at_once():
    world = World().drawn().included()
    assert world.attempt.phase is Phase.INCLUDED
    assert world.attempt.accepted.accepted_at == world.now


def test_a_part_of_the_roster_waits_for_view_zero():
    world = World().drawn()
    start = schedule.inclusion_start(TERMS, world.attempt.drawn_at)
    world.at(start - 1)
    with refused("RoundManagerTooEarly"):
        world.included(trainers=0b111)
    world.at(start)
    assert world.included(trainers=0b111).attempt.phase is Phase.INCLUDED


@pytest.mark.parametrize("view", [0, 1, 3])
def test_a_set_counts_only_during_its_view(view):
    world = World().drawn()
    start = schedule.inclusion_start(TERMS, world.attempt.drawn_at) + 10 * view
    world.at(start - 1)
    with refused("RoundManagerTooEarly"):
        world.included(trainers=0b111, view=view)
    world.at(start + 10)
    with refused("RoundManagerTooLate"):
        world.included(trainers=0b111, view=view)
    world.ledger.undo(1, start + 9)
    world.included(trainers=0b111, view=view)


def test_there_is_no_view_after_the_last():
    world = World().drawn()
    world.at(schedule.roll_call(TERMS, world.attempt.drawn_at)[0])
    with refused("RoundManagerUnknownView"):
        world.included(view=TERMS.views)
    with refused("RoundManagerTooLate"):
        world.included(view=TERMS.views - 1)


def test_one_set_per_attempt():
    world = World().drawn()
    second = world.inclusion(seats=0b111111000)
    world.included()
    with refused("RoundManagerWrongPhase"):
        world.apply(second)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"attempt": 1}, "RoundManagerWrongAttempt"),
        ({"round": 1}, "RoundManagerWrongAttempt"),
        ({"trainers": WHOLE + 1 << 1}, "RoundManagerRoster"),
        ({"seats": 0b011}, "RoundManagerNoMajority"),
        ({"inclusion_root": ZERO_DIGEST}, "RoundManagerZeroRoot"),
        ({"weight": 5}, "RoundManagerWeight"),
        ({"weight": 97}, "RoundManagerWeight"),
        ({"view": 4}, "RoundManagerUnknownView"),
        ({"seats": 0b111111 | 1 << 9}, "RoundManagerUnknownSeat"),
        ({"commitments": ()}, "RoundManagerLength"),
        ({"signatures": ()}, "SignaturesLength"),
        ({"weight": 7}, "SignaturesWrongSigner"),
        ({"inclusion_root": digest("other")}, "SignaturesWrongSigner"),
        ({"signatures": (bytes(65),) * 6}, "SignaturesWrongSigner"),
        ({"signatures": (b"",) * 6}, "SignaturesLength"),
        ({"seats": 0b111111000}, "SignaturesWrongSigner"),
    ],
)
def test_a_set_that_is_not_as_signed_is_refused(change, reason):
    world = World().drawn()
    call = replace(world.inclusion(), **change)
    with refused(reason):
        world.apply(call)
    assert world.attempt.phase is Phase.COLLECTING


@pytest.mark.parametrize(
    ("trainers", "reason"),
    [
        (0b11, "RoundManagerTooFewTrainers"),
        (WHOLE + 1, "RoundManagerRoster"),
    ],
)
def test_a_set_outside_the_roster_or_too_small_is_refused(trainers, reason):
    world = World().drawn()
    world.at(schedule.inclusion_start(TERMS, world.attempt.drawn_at))
    with refused(reason):
        world.included(trainers=trainers)


def test_a_column_without_a_majority_is_refused():
    world = World().drawn()
    with refused("RoundManagerNoMajority"):
        world.included(seats=0b110111110)  # Of column 0, seats 0, 3 and 6, only seat 3 signs.


# Roll call and abort.


def test_roll_call_has_a_beginning_and_an_end():
    world = World().drawn()
    begin = schedule.roll_call(TERMS, world.attempt.drawn_at)[0]
    world.at(begin - 1)
    with refused("RoundManagerTooEarly"):
        world.apply(world.answer(0))
    world.at(begin)
    assert kinds(world.apply(world.answer(0))) == [RollCalled]
    world.at(begin + 14)
    assert kinds(world.apply(world.answer(1, view=3))) == [RollCalled]
    world.at(begin + 15)
    with refused("RoundManagerTooLate"):
        world.apply(world.answer(2))


def test_a_seat_answers_the_roll_call_once():
    world = after_the_views(World().drawn())
    world.apply(world.answer(0))
    with refused("RoundManagerAlreadyRecorded"):
        world.apply(world.answer(0, view=2))


def test_a_roll_call_answer_must_be_the_seats_own():
    world = after_the_views(World().drawn())
    answer = world.answer(0)
    for change, reason in (
        ({"seat": 1}, "SignaturesWrongSigner"),
        ({"seat": 9}, "RoundManagerUnknownSeat"),
        ({"view": 2}, "SignaturesWrongSigner"),
        ({"attempt": 1}, "RoundManagerWrongAttempt"),
    ):
        with refused(reason):
            world.apply(replace(answer, **change))


def test_abort_redraws_without_the_no_shows():
    world = World().drawn()
    absent = {world.attempt.committee[0], world.attempt.committee[5]}
    events = aborted(world, absent=(0, 5))
    assert events[0] == AttemptAborted(TASK, 0, 0, spent=False, no_shows=0b100001)
    assert kinds(events[1:]) == [BeaconRequested, RoundOpened]
    assert world.redrawn().attempt.attempt == 1
    assert not absent & set(world.attempt.committee)


def test_abort_is_not_due_before_the_roll_call_ends():
    world = World().drawn()
    world.at(schedule.roll_call(TERMS, world.attempt.drawn_at)[1] - 1)
    with refused("RoundManagerTooEarly"):
        world.apply(Poke(TASK))


def test_an_epoch_keeps_those_who_showed_up_and_fills_gaps_from_others():
    world = World(EPOCH).drawn()
    first = world.attempt.committee
    others = set(range(12)) - set(first)
    aborted(world, absent=(2, 4))
    second = world.redrawn().attempt.committee
    assert set(second) >= set(first) - {first[2], first[4]}
    assert len(set(second) & others) == 2
    assert second != first


def test_no_shows_return_only_if_nobody_else_is_left():
    world = World(EPOCH, validators=10).drawn()
    first = world.attempt.committee
    (other,) = set(range(10)) - set(first)
    aborted(world, absent=(2, 4))
    second = set(world.redrawn().attempt.committee)
    assert other in second
    assert len(second & {first[2], first[4]}) == 1


def test_without_anybody_else_all_are_drawn_again():
    world = World(validators=9).drawn()
    aborted(world, absent=tuple(range(9)))
    assert set(world.redrawn().attempt.committee) == set(range(9))


def test_attempts_max_pauses_and_only_the_creator_resumes():
    world = World().drawn()
    for _ in range(2):
        aborted(world)
        world.redrawn()
    events = aborted(world)
    assert kinds(events) == [AttemptAborted, TaskPaused]
    with refused("RoundManagerNothingDue"):
        world.apply(Poke(TASK))
    with refused("RoundManagerNotCreator"):
        world.ledger.resume(TASK, sender=RELAYER)
    world.ledger.resume(TASK, sender=CREATOR)
    assert world.redrawn().attempt.attempt == 3
    with refused("RoundManagerWrongPhase"):
        world.ledger.resume(TASK, sender=CREATOR)
    assert TaskResumed(TASK, 0) in world.ledger.mine(world.now).events
