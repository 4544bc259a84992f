from dataclasses import replace

import pytest

from flocknode.crypto.hashing import headers_hash, sha256
from flocknode.messages.codec import encode
from flocknode.messages.statements import Attestation
from flocknode.messages.wire import (
    AttestationBundle,
    AttestationMessage,
    Contribution,
    WantContributions,
)
from flocknode.primitives import PeerId
from flocknode.protocol.attestation import Attester
from flocknode.protocol.attestations import APART_MAX, HEADERS_PER_TRAINER_MAX, Attestations
from flocknode.protocol.effects import Fetch, Hold, OpenCapsule, Send, Sign
from flocknode.protocol.gossip_rules import GossipReject, check_header, open_attestations
from flocknode.protocol.pace import RESEND_SECONDS, Pace
from tests.consortium import DRAWN_AT, consortium

US = consortium()
SEAT = 4
DEADLINE = DRAWN_AT + 4
TRAINER = PeerId(b"trainer 0")


def attester():
    return Attester(US.seating, SEAT, Pace())


def give(seat, *indices, salt=0):
    """Hand contributions over, with seed and vector."""
    for index in indices:
        valid = US.valid(index, salt)
        seat.receive(valid, US.contribution(valid, salt).vector, TRAINER)
        seat.capsule_opened(valid.digest, valid=True)


def names(*indices):
    return tuple(US.valid(index).digest for index in indices)


def attest(seat, timestamp=DRAWN_AT):
    """Return the message that a seat's attestation becomes, or None."""
    signs = [e.statement for e in seat.attest(timestamp) if isinstance(e, Sign)]
    if not signs:
        return None
    assert isinstance(signs[0], Attestation)
    (send,) = seat.signed(signs[0], bytes(65), timestamp, 0)
    return send.message


def test_contribution_opens_the_own_capsule_and_holds_the_vector():
    seat, valid = attester(), US.valid(0)
    vector = US.contribution(valid).vector
    opening, hold = seat.receive(valid, vector, TRAINER)
    assert isinstance(opening, OpenCapsule)
    assert opening.capsule == valid.header.capsules[SEAT]
    assert opening.commitment == valid.header.commitments[SEAT % 3]
    assert hold == Hold(valid.header.root, vector)


def test_copy_of_a_contribution_does_nothing():
    seat, valid = attester(), US.valid(0)
    vector = US.contribution(valid).vector
    seat.receive(valid, vector, TRAINER)
    assert seat.receive(valid, vector, TRAINER) == []


def test_long_vector_is_pulled_from_its_sender_once_at_a_time():
    seat, valid = attester(), US.valid(0)
    fetch = seat.receive(valid, b"", TRAINER)[-1]
    assert isinstance(fetch, Fetch)
    assert (fetch.root, fetch.holders) == (valid.header.root, (TRAINER,))
    assert seat.receive(valid, b"", TRAINER) == []
    seat.fetch_failed(valid.header.root)
    assert seat.receive(valid, b"", TRAINER) == [fetch]


def test_vector_without_a_sender_to_ask_is_pulled_from_the_seats_that_attest_it():
    seat, valid = attester(), US.valid(0)
    local = seat.receive(valid, b"", None)[-1]
    assert isinstance(local, Fetch)
    assert local.holders == ()
    assert seat.fetch_attested(0) == []
    seat.fetch_failed(valid.header.root)
    assert seat.fetch_attested(0) == []
    for number in (SEAT, 7, 2):
        seat.attestations.hear(AttestationMessage(US.ctx, number, 1, (valid.digest,), bytes(65)), 0)
    (fetch,) = seat.fetch_attested(0)
    # The next seat after this one is asked first, and never this one itself.
    order = sorted((7, 2), key=lambda number: (number - SEAT) % 9)
    assert fetch.holders == tuple(US.seating.peers[number] for number in order)
    assert seat.fetch_attested(100) == []
    seat.vector_held(valid.header.root)
    seat.vectors_lost([valid.header.root])
    assert not seat.holds_vectors([valid.header.root])
    assert seat.fetch_attested(100) == [fetch]


def test_seed_and_vector_are_both_needed():
    seat, valid = attester(), US.valid(0)
    seat.receive(valid, b"", TRAINER)
    assert not seat.holds(valid.digest)
    seat.vector_held(valid.header.root)
    assert not seat.holds(valid.digest)
    seat.capsule_opened(valid.digest, valid=False)
    assert not seat.holds(valid.digest)
    seat.capsule_opened(valid.digest, valid=True)
    assert seat.holds(valid.digest)


def test_seat_attests_what_it_holds_in_roster_order():
    seat = attester()
    give(seat, 2, 0)
    message = attest(seat)
    assert message.headers == names(0, 2)
    assert message.statement(headers_hash(message.headers)).sequence == 1


def test_attestation_grows_with_its_sequence():
    seat = attester()
    give(seat, 0)
    attest(seat)
    assert seat.attest(DRAWN_AT) == []
    give(seat, 1)
    message = attest(seat)
    assert (message.sequence, message.headers) == (2, names(0, 1))


def test_nothing_is_attested_from_the_deadline_on():
    seat = attester()
    give(seat, 0)
    assert seat.attest(DEADLINE) == []
    assert seat.attest(DEADLINE - 1) != []


def test_whole_roster_is_attested_at_once():
    seat = attester()
    give(seat, 0, 1, 2)
    assert seat.attest_if_complete(DRAWN_AT) == []
    give(seat, 3)
    assert len(seat.attest_if_complete(DRAWN_AT)) == 1


def test_one_header_of_a_trainer_is_attested():
    seat = attester()
    give(seat, 0)
    assert attest(seat).headers == names(0)
    give(seat, 0, salt=1)
    assert seat.attest(DRAWN_AT) == []


def test_headers_of_one_trainer_are_bounded():
    seat = attester()
    for salt in range(5):
        give(seat, 0, salt=salt)
    assert len(seat._contributions) == HEADERS_PER_TRAINER_MAX
    assert len(seat._vectors) == HEADERS_PER_TRAINER_MAX


def test_header_that_the_committee_attests_always_has_room():
    seat = attester()
    give(seat, 0, salt=1)
    give(seat, 0, salt=2)
    hear(seat, names(0), range(9))
    give(seat, 0)
    assert seat.holds(names(0)[0])
    assert [c.digest for c in seat.held_of(0b1)] == list(names(0))


def hear(seat, headers, seats, timestamp=DRAWN_AT):
    for other in seats:
        message = AttestationMessage(US.ctx, other, 1, headers, bytes(65))
        seat.attestations.hear(message, timestamp)


def test_majority_of_every_column_attests():
    seat = attester()
    hear(seat, names(0), (0, 3, 1, 4, 2))
    assert seat.attestations.attested() == ()
    hear(seat, names(0), (5,))
    assert seat.attestations.attested() == names(0)


def test_what_a_seat_once_attested_counts_for_good():
    """Or a seat could say it to some and take it back before the others."""
    seat = attester()
    hear(seat, names(0), range(9))
    hear(seat, names(1), range(9))
    assert set(seat.attestations.attested()) == set(names(0, 1))


def test_seat_that_names_more_headers_than_there_are_is_not_counted():
    seat = attester()
    hear(seat, names(0), (0, 3, 1, 4, 2, 5))
    junk = tuple(sha256(bytes([i])) for i in range(8))
    hear(seat, junk, (5,))
    assert seat.attestations.attested() == ()
    hear(seat, names(1), (5,))
    assert not seat.attestations.attesters(names(1)[0])


def test_seat_whose_attestations_go_apart_is_not_counted_and_costs_the_others_a_few():
    """One that says each header by itself would have all others forward all of it to all."""
    us = consortium(trainers=16)
    attestations = Attestations(us.seating, SEAT)
    headers = [sha256(bytes([i])) for i in range(2 * APART_MAX)]
    for i, header in enumerate(headers):
        attestations.hear(AttestationMessage(us.ctx, 0, i, (header,), bytes(65)), DRAWN_AT)
        assert bool(attestations.attesters(header)) == (i <= APART_MAX)
    (bundle,) = attestations.forward()
    assert len(open_attestations(bundle, us.seating)) == APART_MAX + 1
    for other in (3, 1, 4, 2, 5):
        attestations.hear(AttestationMessage(us.ctx, other, 1, (headers[0],), bytes(65)), DRAWN_AT)
    assert attestations.attested() == ()


def forwarded(seat, timestamp, now):
    effects = seat.tick(timestamp, now, is_open=True)
    sends = [e for e in effects if isinstance(e, Send)]
    return [s.message for s in sends if isinstance(s.message, AttestationBundle)]


def test_what_is_counted_is_forwarded_once():
    seat = attester()
    hear(seat, names(0), (0, 1))
    assert forwarded(seat, DRAWN_AT, 0) == []
    (bundle,) = forwarded(seat, DRAWN_AT, RESEND_SECONDS)
    assert [m.seat for m in open_attestations(bundle, US.seating)] == [0, 1]
    hear(seat, names(0), (0,))
    assert forwarded(seat, DRAWN_AT, 3 * RESEND_SECONDS) == []


def test_after_the_attest_deadline_forwarding_does_not_wait():
    seat = attester()
    hear(seat, names(0), (0,))
    assert len(forwarded(seat, DEADLINE, 0)) == 1


def test_attestation_that_a_longer_one_contains_is_not_forwarded():
    seat = attester()
    hear(seat, names(0), (0,))
    hear(seat, names(0, 1), (0,))
    (bundle,) = forwarded(seat, DEADLINE, 0)
    (message,) = open_attestations(bundle, US.seating)
    assert message.headers == names(0, 1)


def test_own_attestation_is_not_forwarded():
    seat = attester()
    give(seat, 0)
    attest(seat)
    assert forwarded(seat, DEADLINE, 0) == []


def test_full_attestations_of_a_large_roster_are_split_over_messages():
    seat = attester()
    many = [tuple(sha256(bytes([s, i])) for i in range(256)) for s in range(9) if s != SEAT]
    for other, headers in zip((s for s in range(9) if s != SEAT), many, strict=True):
        seat.attestations.hear(AttestationMessage(US.ctx, other, 1, headers, bytes(65)), DRAWN_AT)
    bundles = forwarded(seat, DEADLINE, 0)
    assert sum(len(bundle.attestations) for bundle in bundles) == 8
    assert all(len(encode(bundle)) <= AttestationBundle.SIZE_MAX for bundle in bundles)


def test_stranger_in_a_bundle_is_rejected():
    other = replace(US.attestation(0, names(0)), ctx=sha256(b"another attempt"))
    for part in (encode(other), encode(US.seat_key(0)), b"junk"):
        with pytest.raises(GossipReject):
            open_attestations(AttestationBundle(US.ctx, (part,)), US.seating)


def test_evidence_is_the_attestations_that_name_a_header():
    seat = attester()
    hear(seat, names(0), (0, 1))
    hear(seat, names(1), (2,))
    assert [m.seat for m in seat.attestations.naming(set(names(0)))] == [0, 1]


def test_set_omits_an_attested_trainer_but_not_its_other_header():
    seat = attester()
    give(seat, 0, 1)
    give(seat, 0, salt=1)
    hear(seat, names(0, 1), range(9))
    other = US.valid(0, 1).digest
    assert seat.omitted(names(1), DEADLINE) == names(0)
    assert seat.omitted((other, *names(1)), DEADLINE) == ()


def test_what_was_attested_too_late_to_be_shown_to_all_may_be_left_out():
    seat = attester()
    hear(seat, names(0), range(9), timestamp=DEADLINE)
    assert seat.omitted((), DEADLINE) == ()
    assert seat.omitted((), DEADLINE + 1) == names(0)


def test_attested_header_that_is_not_known_counts_as_omitted():
    seat = attester()
    hear(seat, names(3), range(9))
    assert seat.omitted((), DEADLINE) == names(3)


def test_seat_asks_a_mate_for_what_it_lacks():
    seat = attester()
    hear(seat, names(0), (0, 3, 1, 7, 2, 5))
    (send,) = seat.tick(DRAWN_AT, 0, is_open=True)
    assert send.message == WantContributions(US.ctx, names(0))
    assert send.peers[0] in (US.seating.peers[1], US.seating.peers[7])
    assert seat.tick(DRAWN_AT, RESEND_SECONDS / 2, is_open=True) == []
    assert seat.tick(DRAWN_AT, RESEND_SECONDS, is_open=True) != []


def test_question_is_answered_with_header_and_vector_and_not_again_at_once():
    seat = attester()
    give(seat, 0)
    asker = US.seating.peers[1]
    (send,) = seat.answer(names(0, 1), asker, 0)
    assert send == Send((asker,), US.contribution(US.valid(0)))
    assert seat.answer(names(0), asker, RESEND_SECONDS / 2) == []
    assert len(seat.answer(names(0), asker, RESEND_SECONDS)) == 1


def test_attestation_is_repeated_until_a_set_is_accepted():
    seat = attester()
    give(seat, 0)
    message = attest(seat)
    (send,) = seat.tick(DEADLINE, RESEND_SECONDS, is_open=True)
    assert send.message == message
    assert seat.tick(DEADLINE, 10 * RESEND_SECONDS, is_open=False) == []


def test_one_header_under_two_signatures_has_two_names():
    """The leaves differ, so sets over them do."""
    header = US.header(0)
    again = resigned(header)
    assert again.signature != header.signature
    one, other = check_header(header, US.seating), check_header(again, US.seating)
    assert one.digest != other.digest


def resigned(header):
    """Sign the same header with another nonce, as only its trainer can."""
    from flocknode.crypto.hashing import capsules_hash, seeds_hash
    from flocknode.messages.statements import statement_digest

    statement = header.statement(seeds_hash(header.commitments), capsules_hash(header.capsules))
    digest = statement_digest(US.seating.domain, statement)
    nonce = other_nonce()
    compact = US.trainers[0]._key.sign_recoverable(digest, hasher=None, custom_nonce=nonce)
    return replace(header, signature=compact[:64] + bytes([compact[64] + 27]))


def other_nonce():
    from coincurve._libsecp256k1 import ffi

    return ffi.NULL, ffi.new("unsigned char[32]", b"another nonce".ljust(32))


@pytest.mark.parametrize("index", range(4))
def test_contribution_message_carries_the_header_as_signed(index):
    contribution = US.contribution(US.valid(index))
    assert isinstance(contribution, Contribution)
    assert contribution.header
