"""From the proposal to the end of an attempt: every edge, every refusal, every exit."""

from dataclasses import replace

import pytest
from ledger_world import (
    CREATOR,
    EPOCH,
    TASK,
    TERMS,
    WHOLE,
    World,
    aborted,
    digest,
    kinds,
    onion,
    refused,
)

from flocknode.protocol.ledger import (
    AttemptAborted,
    CommitteeDrawn,
    Draw,
    OpenRound,
    Poke,
    RoundOpened,
    RoundSettled,
    Settle,
    TaskPaused,
)
from flocknode.sim import schedule
from flocknode.sim.abi import keccak_words
from flocknode.sim.state import Phase

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
