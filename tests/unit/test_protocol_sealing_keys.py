from flocknode.messages.statements import SeatKey
from flocknode.messages.wire import SeatKeyBundle
from flocknode.primitives import PeerId
from flocknode.protocol.effects import MakeSealingKey, Publish, Send, Sign
from flocknode.protocol.events import SealingKeyMade
from flocknode.protocol.gossip_rules import check_bundle
from flocknode.protocol.pace import RESEND_SECONDS, Pace
from flocknode.protocol.sealing_keys import KeyExchange
from tests.consortium import consortium

US = consortium()
BUNDLER = US.seating.proposer_of(0)
TRAINER = PeerId(b"trainer 0")


def exchange(seat=BUNDLER, known=()):
    keys = KeyExchange(US.seating, seat, Pace())
    for other in known:
        keys.hear(US.seat_key(other))
    return keys


def bundles(effects):
    return [e.message for e in effects if isinstance(e, Publish)]


def test_fresh_key_is_made_signed_and_sent_to_the_other_seats():
    keys = exchange(seat=2)
    assert keys.begin() == [MakeSealingKey(US.seating)]
    mine = US.seat_key(2)
    (sign,) = keys.key_made(SealingKeyMade(US.ctx, mine.suite, mine.key))
    assert isinstance(sign, Sign)
    assert isinstance(sign.statement, SeatKey)
    (send,) = keys.key_signed(mine.signature, 0)
    assert send.message == mine
    assert US.seating.peers[2] not in send.peers
    assert len(send.peers) == 8


def test_bundler_publishes_as_soon_as_it_has_every_key():
    keys = exchange(known=range(8))
    (bundle,) = bundles(keys.hear(US.seat_key(8)))
    assert len(check_bundle(bundle, US.seating)) == 9


def test_complete_bundle_is_published_once():
    keys = exchange(known=range(9))
    assert bundles(keys.hear(US.seat_key(8))) == []
    assert bundles(keys.tick(100)) == []


def test_others_leave_the_bundle_to_the_bundler_at_first():
    keys = exchange(seat=(BUNDLER + 1) % 9, known=range(9))
    assert bundles(keys.tick(0)) == []
    assert bundles(keys.tick(2 * RESEND_SECONDS)) == [US.bundle()]


def test_nobody_repeats_a_bundle_that_was_heard():
    keys = exchange(seat=(BUNDLER + 1) % 9, known=range(9))
    keys.tick(0)
    keys.hear_bundle(check_bundle(US.bundle(), US.seating))
    assert bundles(keys.tick(2 * RESEND_SECONDS)) == []


def test_majority_of_every_column_is_bundled_when_the_rest_is_late():
    keys = exchange(known=(0, 1, 2, 3, 4, 5))
    assert bundles(keys.tick(0)) == []
    (bundle,) = bundles(keys.tick(RESEND_SECONDS))
    assert bundle == US.bundle(0, 1, 2, 3, 4, 5)


def test_less_than_column_majorities_is_never_bundled():
    keys = exchange(known=(0, 3, 6, 1, 4, 2))
    keys.tick(0)
    assert bundles(keys.tick(100)) == []
    assert keys.answer(TRAINER, 100) == []


def test_first_key_of_a_seat_stays():
    keys = exchange(known=range(9))
    keys.hear(US.frozen(1).seat_key(4))
    assert keys.key_of(4) == US.seat_key(4)


def test_question_is_answered_with_the_bundle():
    assert exchange(known=range(9)).answer(TRAINER, 0) == [Send((TRAINER,), US.bundle())]


def test_peer_that_asks_often_is_answered_seldom():
    keys = exchange(known=range(9))
    answered = [bool(keys.answer(TRAINER, moment / 10)) for moment in range(10)]
    assert sum(answered) == 2


def test_own_key_is_repeated_until_a_complete_bundle_is_known():
    keys = exchange(seat=2, known=(2,))
    assert [e.message for e in keys.tick(0)] == [US.seat_key(2)]
    assert keys.tick(RESEND_SECONDS / 2) == []
    assert [e.message for e in keys.tick(RESEND_SECONDS)] == [US.seat_key(2)]
    keys.hear_bundle(check_bundle(US.bundle(), US.seating))
    assert keys.tick(10 * RESEND_SECONDS) == []


def test_bundle_is_small_enough_to_gossip():
    assert isinstance(US.bundle(), SeatKeyBundle)
    assert sum(map(len, US.bundle().keys)) < 4096
