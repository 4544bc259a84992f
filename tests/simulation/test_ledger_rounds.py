"""The states of an attempt: every edge, every refusal, every exit."""

from dataclasses import replace

import pytest
from ledger_world import CREATOR, RELAYER, TASK, TERMS, WHOLE, World, digest, key, onion, owner

from flocknode.primitives import ZERO_DIGEST
from flocknode.protocol.ledger import (
    AttemptAborted,
    BeaconRequested,
    CommitteeDrawn,
    Draw,
    OpenRound,
    Poke,
    RollCalled,
    RoundOpened,
    RoundSettled,
    Settle,
    TaskPaused,
    TaskResumed,
)
from flocknode.sim import schedule
from flocknode.sim.abi import CallReverted, keccak_words
from flocknode.sim.state import Phase

EPOCH = replace(TERMS, epoch_rounds=3)
"""The last inclusion view of a draw at 0 ends at 60 + 10 + 4 * 10."""


def kinds(events):
    return [type(event) for event in events]


def refused(reason: str):
    return pytest.raises(CallReverted, match=f"^{reason}$")


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


def test_a_beacon_below_quorum_is_asked_again_without_the_silent():
    world = World()
    world.apply(OpenRound(TASK))
    silent = world.pending.members[:5]
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


def test_two_thirds_of_the_reveals_suffice_at_the_deadline():
    world = World()
    world.apply(OpenRound(TASK))
    world.reveal(0, 1, 2, 3)
    with refused("RoundManagerBeaconNotReady"):
        world.apply(Draw(TASK))
    world.at(world.pending.deadline)
    world.apply(Draw(TASK))


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


def after_the_views(world: World) -> World:
    world.at(schedule.roll_call(world.terms, world.attempt.drawn_at)[0])
    return world


def aborted(world: World, absent=()) -> tuple:
    """Let an attempt pass without a set; all but the absent seats answer the roll call."""
    after_the_views(world)
    for seat in set(range(9)) - set(absent):
        world.apply(world.answer(seat))
    world.at(schedule.roll_call(world.terms, world.attempt.drawn_at)[1])
    return world.apply(Poke(TASK))


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


# Proposal.


def test_proposals_wait_for_the_end_of_the_demand_window_to_be_final():
    world = World().drawn().included()
    start = schedule.proposal_view(TERMS, world.now, 0)[0]
    world.at(start - 1)
    with refused("RoundManagerTooEarly"):
        world.apply(world.proposal())
    world.at(start)
    world.apply(world.proposal())
    assert world.attempt.phase is Phase.PROPOSED


@pytest.mark.parametrize("view", [1, 3])
def test_a_proposal_counts_only_during_its_view(view):
    world = World().drawn().included()
    start = schedule.root_deadline(TERMS, world.now) + 10 * view
    for time, reason in ((start - 1, "TooEarly"), (start + 10, "TooLate")):
        world.at(time)
        with refused(f"RoundManager{reason}"):
            world.apply(world.proposal(view=view))
    world.ledger.undo(1, start)
    world.apply(world.proposal(view=view))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"attempt": 1}, "RoundManagerWrongAttempt"),
        ({"seats": 0b11111}, "RoundManagerNoQuorum"),
        ({"seats": 0b111111 | 1 << 9}, "RoundManagerUnknownSeat"),
        ({"mask_roots": ()}, "RoundManagerLength"),
        ({"signatures": ()}, "SignaturesLength"),
        ({"model_root": digest("other")}, "SignaturesWrongSigner"),
        ({"aggregate_root": digest("other")}, "SignaturesWrongSigner"),
        ({"mask_roots": (digest("other"),) * 3}, "SignaturesWrongSigner"),
    ],
)
def test_a_proposal_that_is_not_as_signed_is_refused(change, reason):
    world = World().drawn().included()
    world.at(schedule.proposal_view(TERMS, world.now, 0)[0])
    with refused(reason):
        world.apply(replace(world.proposal(), **change))


def test_two_thirds_need_no_majority_of_a_column():
    world = World().drawn().included()
    world.at(schedule.proposal_view(TERMS, world.now, 0)[0])
    world.apply(world.proposal(seats=0b110110110))  # Column 0 is silent.
    assert world.attempt.phase is Phase.PROPOSED


def test_calls_of_another_phase_are_refused():
    world = World().drawn()
    for call in (OpenRound(TASK), Draw(TASK), Settle(TASK)):
        with refused("RoundManagerWrongPhase"):
            world.apply(call)
    world.included()
    answer = world.answer(0)
    for call in (OpenRound(TASK), Draw(TASK), Settle(TASK), answer):
        with refused("RoundManagerWrongPhase"):
            world.apply(call)


# Settlement.


def test_settle_adopts_the_model_and_opens_the_next_round():
    world = World().drawn().included().proposed()
    end = schedule.window_end(TERMS, world.now)
    world.at(end - 1)
    with refused("RoundManagerTooEarly"):
        world.apply(Settle(TASK))
    with refused("RoundManagerNothingDue"):
        world.apply(Poke(TASK))
    world.at(end)
    events = world.apply(Settle(TASK))
    assert events[0] == RoundSettled(TASK, 0, 0, digest("model 1"), end)
    assert kinds(events[1:]) == [RoundOpened]
    assert world.attempt.round == 1
    assert world.attempt.model_root == digest("model 1")


def test_the_next_draw_is_asked_for_at_the_proposal():
    world = World().drawn().included().proposed()
    assert world.attempt.request == 2
    world.reveal()
    end = schedule.window_end(TERMS, world.now)
    world.at(end)
    events = world.apply(Settle(TASK))
    assert kinds(events) == [RoundSettled, RoundOpened, CommitteeDrawn]
    assert world.attempt.phase is Phase.COLLECTING
    assert world.ledger.state.freezes == 0


def test_an_epoch_keeps_its_committee_and_changes_at_its_end():
    world = World(EPOCH).drawn()
    committees, seeds = [], []
    for _ in range(6):
        committees.append(world.attempt.committee)
        seeds.append(world.attempt.seed)
        world.whole_round()
    assert committees[0] == committees[1] == committees[2]
    assert committees[3] == committees[4] == committees[5]
    assert committees[3] != committees[0]
    assert len(set(seeds)) == 6
    assert seeds[1:3] == [keccak_words(seeds[0], 1), keccak_words(seeds[0], 2)]
    assert len(world.ledger.state.requests) == 3


def test_within_an_epoch_a_round_opens_drawn():
    world = World(EPOCH).drawn().included().proposed()
    assert world.attempt.request == 0
    world.at(schedule.window_end(EPOCH, world.now))
    assert kinds(world.apply(Settle(TASK))) == [RoundSettled, RoundOpened, CommitteeDrawn]


def test_the_last_round_opens_no_other():
    world = World(replace(TERMS, rounds=1)).drawn().included().proposed()
    assert world.attempt.request == 0
    world.settled()
    assert world.attempt.phase is Phase.IDLE
    with refused("RoundManagerTaskOver"):
        world.apply(OpenRound(TASK))


def test_a_task_out_of_rewards_waits_for_funds_without_freezing_weights():
    world = World(rewards=1_500).drawn().included().proposed().settled()
    assert world.attempt.phase is Phase.IDLE
    assert world.ledger.state.freezes == 0
    world.ledger.mint(CREATOR, 500)
    world.ledger.fund(TASK, 500, 0, sender=CREATOR)
    assert world.drawn().attempt.round == 1


# Spent.


def spent(world: World) -> tuple:
    world.at(schedule.void_deadline(world.terms, world.attempt.accepted.accepted_at))
    return world.apply(Poke(TASK))


def test_a_frozen_set_that_does_not_settle_is_spent():
    world = World().drawn().included()
    world.at(schedule.void_deadline(TERMS, world.attempt.accepted.accepted_at) - 1)
    with refused("RoundManagerTooEarly"):
        world.apply(Poke(TASK))
    events = spent(world)
    assert events[0] == AttemptAborted(TASK, 0, 0, spent=True, no_shows=0)
    assert world.attempt.frozen_trainers == WHOLE


def test_after_a_spent_attempt_only_its_trainers_are_accepted():
    world = World().drawn()
    world.at(schedule.inclusion_start(TERMS, world.attempt.drawn_at))
    spent(world.included(trainers=0b10111))
    world.redrawn()
    with refused("RoundManagerFrozenSet"):
        world.included(trainers=WHOLE)
    world.at(schedule.inclusion_start(TERMS, world.attempt.drawn_at))
    for trainers in (0b111, 0b11110, 0b111111):
        with refused("RoundManagerFrozenSet"):
            world.included(trainers=trainers)
    world.included(trainers=0b10111).proposed()
    world.reveal()
    assert world.settled().attempt.frozen_trainers == 0


def test_the_frozen_set_outlives_an_abort_and_a_pause():
    world = World(replace(TERMS, attempts_max=2)).drawn().included()
    spent(world)
    events = aborted(world.redrawn())
    assert kinds(events) == [AttemptAborted, TaskPaused]
    world.ledger.resume(TASK, sender=CREATOR)
    assert world.redrawn().attempt.frozen_trainers == WHOLE


def test_waiting_and_poking_always_ends():
    """Seats that do nothing but answer the beacon: every attempt is left, and the task pauses."""
    world = World().drawn().included()
    phases = []
    while world.attempt.phase is not Phase.PAUSED:
        assert len(phases) < 10
        phases.append(world.attempt.phase)
        world.at(world.now + 200)
        world.apply(Poke(TASK))
        if world.attempt.phase is Phase.DRAWING:
            world.redrawn()
    assert phases == [Phase.INCLUDED, Phase.COLLECTING, Phase.COLLECTING]


def test_a_beacon_that_cannot_be_asked_leaves_the_round_to_open_later():
    world = World()
    world.apply(OpenRound(TASK))
    for _ in range(3):  # Each failed request costs five members, and 12 - 5 - 5 are below three.
        silent = world.pending.members[:5]
        world.reveal(*silent)
        world.at(world.pending.deadline)
        world.apply(Poke(TASK))
        if world.attempt.phase is Phase.IDLE:
            break
    assert world.attempt.phase is Phase.IDLE
    assert world.ledger.state.freezes == 0
    with refused("RoundManagerBeaconRefused"):
        world.apply(OpenRound(TASK))


def test_onion_layers_hash_to_the_layer_above():
    assert keccak_words(onion(0, 1)) == onion(0, 0)
