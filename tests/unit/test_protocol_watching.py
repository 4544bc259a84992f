"""What a validator without a seat says about an attempt, and when."""

from dataclasses import replace
from types import MappingProxyType

from flocknode.crypto.sealing import sealing_key_hash
from flocknode.protocol.chain_view import AttemptView, ChainView, ValidatorKeys
from flocknode.protocol.effects import Fetch, Submit
from flocknode.protocol.pace import RESEND_SECONDS, Pace
from flocknode.protocol.proofs import EvidenceSlot, ProveEquivocation, ProveWeight
from flocknode.protocol.watching import Watcher
from tests.consortium import consortium, key, sign

US = consortium()
ME = key("watcher").address
EARLIER = key("earlier watcher").address
SEATS = US.terms.seats


def view(*watching, **attempt) -> ChainView:
    """Return a chain on which the seats and ``watching`` are validators, in this order."""
    signers = (*US.seating.drawn.signers, *watching)
    keys = {i: ValidatorKeys(signer, b"peer") for i, signer in enumerate(signers)}
    told = AttemptView(drawn=US.seating.drawn, **attempt)
    return ChainView(1, validators=MappingProxyType(keys), attempt=told)


def watcher() -> Watcher:
    return Watcher(US.seating, ME, Pace())


def other_key(seat):
    message = replace(US.seat_key(seat), key=bytes(32))
    statement = message.statement(sealing_key_hash(message.suite, message.key))
    return replace(message, signature=sign(US.seats[seat], statement))


def calls(effects):
    return [effect.call for effect in effects if isinstance(effect, Submit)]


def test_two_sealing_keys_of_one_seat_are_shown_to_the_chain_after_the_seats():
    it = watcher()
    it.note_keys([US.seat_key(4), other_key(4)])
    assert it.advance(view(ME), 0, has_model=False) == []
    turn = SEATS * RESEND_SECONDS
    (proof,) = calls(it.advance(view(ME), turn, has_model=False))
    assert isinstance(proof, ProveEquivocation)
    assert proof.slot is EvidenceSlot.SEAT_KEY


def test_wrong_weight_is_disproved_after_the_seats_that_did_not_sign_it_and_earlier_watchers():
    accepted = US.accepted(US.set_of(0, 1, 2))
    wrong = view(EARLIER, ME, accepted=replace(accepted, weight=accepted.weight + 1))
    free = SEATS - accepted.seats.bit_count()
    it = watcher()
    assert calls(it.advance(wrong, 0, has_model=False)) == []
    assert calls(it.advance(wrong, (free + 1) * RESEND_SECONDS - 0.1, has_model=False)) == []
    (proof,) = calls(it.advance(wrong, (free + 1) * RESEND_SECONDS, has_model=False))
    assert isinstance(proof, ProveWeight)
    assert proof.roster == US.seating.roster.records()


def test_records_are_pulled_from_those_who_signed_the_set():
    accepted = US.accepted(US.set_of(0, 1, 2))
    (fetch,) = watcher().advance(view(ME, accepted=accepted), 0, has_model=False)
    assert isinstance(fetch, Fetch)
    assert fetch.root == accepted.inclusion_root
    assert len(fetch.holders) == accepted.seats.bit_count()


def test_who_is_no_validator_watches_nothing():
    accepted = US.accepted(US.set_of(0, 1, 2))
    assert watcher().advance(view(accepted=accepted), 0, has_model=True) == []
