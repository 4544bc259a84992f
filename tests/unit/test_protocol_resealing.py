from flocknode.messages.wire import SeedMessage
from flocknode.primitives import PeerId
from flocknode.protocol.attestation import Attester
from flocknode.protocol.effects import OpenCapsule, Reseal, Send
from flocknode.protocol.events import Resealed
from flocknode.protocol.pace import RESEND_SECONDS, Pace
from flocknode.protocol.resealing import Resealer
from flocknode.protocol.sealing_keys import KeyExchange
from tests.consortium import consortium

US = consortium()
SEAT, MATE, STRANGER = 4, 7, 5
HEADER = US.valid(0).digest
PEERS = US.seating.peers


def resealer(*, holds=True, keys=(MATE, STRANGER)):
    pace = Pace()
    attester = Attester(US.seating, SEAT, pace)
    attester.receive(US.valid(0), US.contribution(US.valid(0)).vector, PeerId(b"trainer 0"))
    attester.capsule_opened(HEADER, valid=holds)
    exchange = KeyExchange(US.seating, SEAT, pace)
    for seat in keys:
        exchange.hear(US.seat_key(seat))
    return Resealer(US.seating, SEAT, exchange, attester, pace)


def test_mate_gets_the_seed_sealed_to_its_key_of_the_attempt():
    (effect,) = resealer().answer((HEADER,), PEERS[MATE], 0)
    assert isinstance(effect, Reseal)
    assert (effect.header, effect.seat, effect.key) == (HEADER, MATE, US.sealing[MATE].public)


def test_nobody_outside_the_column_gets_a_seed():
    assert resealer().answer((HEADER,), PEERS[STRANGER], 0) == []
    assert resealer().answer((HEADER,), PeerId(b"trainer 1"), 0) == []


def test_mate_without_a_known_key_gets_nothing():
    assert resealer(keys=()).answer((HEADER,), PEERS[MATE], 0) == []


def test_seed_that_is_not_held_is_not_given():
    assert resealer(holds=False).answer((HEADER,), PEERS[MATE], 0) == []


def test_seed_is_not_given_again_at_once():
    duty = resealer()
    duty.answer((HEADER,), PEERS[MATE], 0)
    assert duty.answer((HEADER,), PEERS[MATE], RESEND_SECONDS / 2) == []
    assert len(duty.answer((HEADER,), PEERS[MATE], RESEND_SECONDS)) == 1


def test_sealed_seed_is_sent_to_the_mate():
    message = SeedMessage(US.ctx, HEADER, b"capsule")
    assert resealer().resealed(Resealed(US.ctx, HEADER, MATE, b"capsule")) == [
        Send((PEERS[MATE],), message)
    ]
    assert resealer().resealed(Resealed(US.ctx, HEADER, MATE, b"")) == []


def test_resealed_seed_is_checked_against_the_header_like_the_trainers_own():
    message = SeedMessage(US.ctx, HEADER, US.capsule(0, SEAT))
    (effect,) = resealer(holds=False).hear(message, PEERS[MATE])
    assert isinstance(effect, OpenCapsule)
    assert effect.commitment == US.valid(0).header.commitments[SEAT % 3]
    assert (effect.header, effect.index, effect.seat) == (HEADER, 0, SEAT)


def test_seed_that_is_here_or_unknown_or_from_a_stranger_is_ignored():
    message = SeedMessage(US.ctx, HEADER, b"capsule")
    assert resealer(holds=True).hear(message, PEERS[MATE]) == []
    assert resealer(holds=False).hear(message, PEERS[STRANGER]) == []
    unknown = SeedMessage(US.ctx, US.valid(1).digest, b"capsule")
    assert resealer(holds=False).hear(unknown, PEERS[MATE]) == []
