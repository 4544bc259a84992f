from dataclasses import replace
from types import MappingProxyType

import pytest

from flocknode.primitives import PeerId
from flocknode.protocol.chain_view import AttemptView, BeaconRound, ChainView, ValidatorKeys
from flocknode.protocol.effects import Submit
from flocknode.protocol.ledger import (
    Draw,
    OpenRound,
    Poke,
    Reveal,
    RoundOpened,
    RoundSettled,
    Settle,
    TaskCreated,
)
from flocknode.protocol.pace import RESEND_SECONDS
from flocknode.protocol.settlement import REOPEN_SECONDS, ChainDuties
from tests.consortium import DRAWN_AT, MODEL_ROOT, consortium, key

US = consortium()
VALIDATORS = MappingProxyType(
    {v: ValidatorKeys(key(f"validator {v}").address, PeerId(b"%d" % v)) for v in range(4)}
)
DEADLINE = DRAWN_AT + 60
CHALLENGE_SECONDS = 1


def duties(validator):
    return ChainDuties(1, key(f"validator {validator}").address)


def view(timestamp=DRAWN_AT, beacons=(), **attempt):
    return ChainView(
        1,
        timestamp=timestamp,
        validators=VALIDATORS,
        beacons=MappingProxyType({b.request: b for b in beacons}),
        attempt=AttemptView(**attempt),
    )


def calls(validator, tip, *, final=None, now=None, seating=US.seating):
    now = tip.timestamp if now is None else now
    effects = duties(validator).tick(tip, final or view(tip.timestamp), seating, now)
    return [e.call for e in effects if isinstance(e, Submit)]


def opened(request=5):
    return RoundOpened(1, 3, 0, MODEL_ROOT, request)


def asked(*revealed, request=5):
    return BeaconRound(request, (0, 1, 2), DEADLINE, frozenset(revealed))


def test_member_answers_a_final_request():
    assert calls(1, view(), final=view(beacons=[asked()])) == [Reveal(5)]


def test_request_that_is_not_final_is_not_answered():
    assert calls(1, view(beacons=[asked()])) == []


@pytest.mark.parametrize(
    ("validator", "beacon", "timestamp"),
    [(3, asked(), DRAWN_AT), (1, asked(1), DRAWN_AT), (1, asked(), DEADLINE)],
    ids=["not a member", "answered", "too late"],
)
def test_what_is_not_due_is_not_answered(validator, beacon, timestamp):
    assert calls(validator, view(), final=view(timestamp, [beacon])) == []


def test_requests_of_two_tasks_are_answered_in_their_order():
    both = [asked(request=6), asked(request=5)]
    assert calls(1, view(), final=view(beacons=both)) == [Reveal(5)]
    answered = [asked(request=6), asked(1, request=5)]
    assert calls(1, view(), final=view(beacons=answered)) == [Reveal(6)]


def test_draw_follows_the_last_answer():
    tip = view(beacons=[asked(0, 1)], opened=opened())
    assert calls(3, tip) == []
    tip = view(beacons=[asked(0, 1, 2)], opened=opened())
    assert calls(3, tip) == [Draw(1)]


def test_a_draw_with_a_withheld_answer_is_repeated_at_the_deadline():
    assert calls(3, view(DEADLINE, [asked(0, 1)], opened=opened())) == [Poke(1)]
    assert calls(3, view(DEADLINE, [asked(0, 1, 2)], opened=opened())) == [Draw(1)]


def test_draw_waits_for_the_request_of_its_own_round():
    tip = view(beacons=[asked(0, 1, 2, request=6)], opened=opened(request=5))
    assert calls(3, tip) == []


def test_validators_take_turns_from_another_one_each_round():
    tip = view(DEADLINE, [asked(0, 1, 2)], opened=opened())
    # Round 3: validator 3 is first, then 0, 1 and 2.
    first = {v: duties(v) for v in range(4)}
    for validator, rank in ((3, 0), (0, 1), (1, 2), (2, 3)):
        turn = first[validator]
        for step in range(4):
            effects = turn.tick(tip, view(DEADLINE), US.seating, step * RESEND_SECONDS)
            assert bool(effects) == (step >= rank and (step - rank) % 2 == 0)


def idle(timestamp, settled=None, rounds=2):
    terms = replace(US.terms, rounds=rounds)
    created = TaskCreated(1, terms, MODEL_ROOT, MODEL_ROOT, MODEL_ROOT)
    tip = view(timestamp, ended_at=DRAWN_AT)
    return replace(tip, created=created, settled=settled)


def test_round_that_could_not_be_opened_is_opened_later_by_one_validator_after_the_other():
    assert calls(0, idle(DRAWN_AT + REOPEN_SECONDS - 1)) == []
    assert calls(0, idle(DRAWN_AT + REOPEN_SECONDS)) == [OpenRound(1)]
    assert calls(1, idle(DRAWN_AT + REOPEN_SECONDS)) == []
    assert calls(1, idle(DRAWN_AT + 2 * REOPEN_SECONDS)) == [OpenRound(1)]


def test_no_round_follows_the_last():
    last = RoundSettled(1, 1, 0, MODEL_ROOT, DRAWN_AT)
    assert calls(0, idle(DRAWN_AT + REOPEN_SECONDS, last)) == []
    assert calls(0, idle(DRAWN_AT + REOPEN_SECONDS, last, rounds=3)) == [OpenRound(1)]


def test_settlement_follows_the_challenge_window():
    proposal = US.proposal(accepted_at=DRAWN_AT + 5)
    tip = view(DRAWN_AT + 5, drawn=US.seating.drawn, proposal=proposal)
    end = proposal.accepted_at + CHALLENGE_SECONDS
    assert calls(3, tip, now=end - 0.5) == []
    assert calls(3, tip, now=end) == [Settle(1)]


def test_attempt_without_a_set_is_aborted_after_the_roll_call():
    end = US.seating.abort_at
    assert calls(3, view(end - 1, drawn=US.seating.drawn)) == []
    assert calls(3, view(end, drawn=US.seating.drawn)) == [Poke(1)]


def test_set_without_a_proposal_is_voided_after_the_last_view():
    accepted = US.accepted(US.set_of(0, 1, 2), DRAWN_AT + 3)
    end = US.seating.void_at(accepted.accepted_at)
    assert end > US.seating.abort_at - 10
    drawn = US.seating.drawn
    assert calls(3, view(end - 1, drawn=drawn, accepted=accepted)) == []
    assert calls(3, view(end, drawn=drawn, accepted=accepted)) == [Poke(1)]


def test_accepted_proposal_is_never_voided():
    accepted = US.accepted(US.set_of(0, 1, 2), DRAWN_AT + 3)
    proposal = US.proposal(accepted_at=DRAWN_AT + 1_000)
    tip = view(DRAWN_AT + 1_000, drawn=US.seating.drawn, accepted=accepted, proposal=proposal)
    assert calls(3, tip) == []


def test_paused_task_gets_answers_and_nothing_else():
    from dataclasses import replace

    tip = replace(view(DEADLINE, [asked(0, 1, 2)], opened=opened()), paused=True)
    assert calls(3, tip) == []
    assert calls(1, tip, final=view(beacons=[asked()])) == [Reveal(5)]


def test_node_that_is_no_validator_sends_nothing():
    tip = view(DEADLINE, [asked(0, 1, 2)], opened=opened())
    assert calls(9, tip) == []


def test_paces_of_attempts_that_are_over_are_forgotten():
    mine = duties(1)
    for number in range(50):
        request = asked(0, 1, 2, request=number)
        begun = RoundOpened(1, number, 0, MODEL_ROOT, number)
        tip = view(DEADLINE, beacons=[request], opened=begun)
        mine.tick(tip, view(DEADLINE), None, DEADLINE + 100 * number)
    assert len(mine._pace._first) + len(mine._pace._last) <= 2


def test_a_new_attempt_does_not_let_a_duty_of_the_same_one_come_twice():
    mine, tip = duties(3), view(beacons=[asked(0, 1, 2)], opened=opened())
    assert mine.tick(tip, view(), None, DRAWN_AT)
    assert mine.tick(tip, view(), None, DRAWN_AT + 0.5) == []
