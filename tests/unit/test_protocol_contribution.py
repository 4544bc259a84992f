from dataclasses import replace

import pytest

from flocknode.messages.codec import decode
from flocknode.messages.statements import Header
from flocknode.messages.wire import Contribution, ContributionHeader, WantKeys
from flocknode.protocol.contribution import Contributor
from flocknode.protocol.effects import AskConsent, MaskDelta, Publish, Send, Sign, Train
from flocknode.protocol.events import ConsentGiven, DeltaMasked
from flocknode.protocol.gossip_rules import check_bundle, check_header
from flocknode.protocol.pace import IMPATIENT_SECONDS, RESEND_SECONDS, Pace
from tests.consortium import MODEL_ROOT, consortium

US = consortium()
INDEX = 2


def contributor(us=US):
    return Contributor(us.seating, us.seating.roster.entries[INDEX], Pace())


def keys(*seats):
    return check_bundle(US.bundle(*seats), US.seating)


def masked():
    header = US.header(INDEX)
    vector = US.contribution(US.valid(INDEX)).vector
    return header, DeltaMasked(US.ctx, header.root, header.commitments, header.capsules, vector)


def sent(effects):
    return [e.message for e in effects if isinstance(e, Send)]


def spoken(now=0):
    """Return a trainer that has spoken, and what it did then."""
    trainer = contributor()
    trainer.hear_keys(keys())
    header, event = masked()
    (sign,) = trainer.masked(event)
    assert isinstance(sign, Sign)
    return trainer, trainer.signed(header.signature, now)


def test_trainer_loads_the_model_of_the_draw():
    assert contributor().begin() == [Train(3, MODEL_ROOT)]


def test_trainer_outside_a_frozen_set_stays_silent():
    assert contributor(US.frozen(0b0011)).begin() == []
    assert contributor(US.frozen(0b0111)).begin() == [Train(3, MODEL_ROOT)]


def after_a_pause():
    us = US.frozen(0b1111)
    drawn = replace(us.seating.drawn, attempt=us.terms.attempts_max)
    return contributor(replace(us, seating=replace(us.seating, drawn=drawn)))


def test_after_a_spent_attempt_and_a_pause_the_operator_is_asked_first():
    trainer = after_a_pause()
    assert trainer.begin() == [AskConsent(3, 1)]
    assert trainer.tick(0, is_open=True) == [AskConsent(3, 1)]
    assert trainer.tick(RESEND_SECONDS / 2, is_open=True) == []
    assert trainer.consented(ConsentGiven(3, 2)) == []
    assert trainer.consented(ConsentGiven(3, 1)) == [Train(3, MODEL_ROOT)]
    assert trainer.consented(ConsentGiven(3, 1)) == []


def test_masking_waits_for_training_and_for_keys():
    trained_first, keys_first = contributor(), contributor()
    assert trained_first.trained() == []
    assert keys_first.hear_keys(keys()) == []
    (one,), (other,) = trained_first.hear_keys(keys()), keys_first.trained()
    assert isinstance(one, MaskDelta)
    assert one == other


def test_delta_of_an_attempt_is_masked_once():
    trainer = contributor()
    trainer.trained()
    assert len(trainer.hear_keys(keys())) == 1
    assert trainer.hear_keys(keys()) == []
    assert trainer.trained() == []


def test_absent_seat_gets_no_key():
    trainer = contributor()
    trainer.trained()
    (effect,) = trainer.hear_keys(keys(0, 1, 2, 3, 4, 5))
    assert effect.sealing_keys[5] == (1, US.sealing[5].public)
    assert effect.sealing_keys[6:] == ((0, b""),) * 3


def test_header_binds_attempt_vector_and_capsules():
    trainer = contributor()
    header, event = masked()
    (sign,) = trainer.masked(event)
    assert isinstance(sign.statement, Header)
    assert (sign.statement.ctx, sign.statement.root) == (US.ctx, header.root)
    assert sign.statement.index == INDEX


def test_contribution_goes_to_every_seat():
    _, effects = spoken()
    (send,) = [e for e in effects if isinstance(e, Send)]
    assert send.peers == US.seating.peers
    assert isinstance(send.message, Contribution)
    header = decode(send.message.header)
    assert isinstance(header, ContributionHeader)
    assert check_header(header, US.seating)


def test_header_is_gossiped_once():
    trainer, effects = spoken()
    for moment in range(20):
        effects += trainer.tick(moment / 2, is_open=True)
    assert len([e for e in effects if isinstance(e, Publish)]) == 1


def test_repeated_contribution_is_the_same_bytes():
    trainer, effects = spoken()
    for moment in range(10):
        effects += trainer.tick(moment * RESEND_SECONDS, is_open=True)
    messages = sent(effects)
    assert len(messages) >= 3
    assert len(set(messages)) == 1


def test_trainer_is_quiet_once_a_set_is_accepted():
    trainer, _ = spoken()
    trainer.tick(1, is_open=True)
    assert sent(trainer.tick(100, is_open=False)) == []


def test_trainer_without_keys_asks_one_seat_after_the_other():
    trainer = contributor()
    effects = [trainer.tick(moment * IMPATIENT_SECONDS, is_open=True) for moment in range(4)]
    assert effects[0] == []
    assert [e.peers for tick in effects for e in tick] == [
        (US.seating.peers[INDEX + asked],) for asked in range(3)
    ]
    assert all(sent(tick) == [WantKeys(US.ctx)] for tick in effects[1:])


@pytest.mark.parametrize("seats", [(0, 1, 2), (0, 3, 6, 1, 4, 2)])
def test_keys_of_too_few_seats_are_not_used(seats):
    trainer = contributor()
    trainer.trained()
    few = tuple(US.seat_key(seat) for seat in seats)
    assert trainer.hear_keys(few) == []
