from flocknode.crypto.hashing import sha256
from flocknode.messages.statements import Include, MaskRoot, Propose, statement_digest
from flocknode.protocol.chain_view import AttemptView
from flocknode.protocol.equivocation import SlotWatch
from flocknode.protocol.pace import RESEND_SECONDS, Pace
from flocknode.protocol.proofs import EvidenceSlot
from flocknode.protocol.standing import Standing
from tests.consortium import consortium, sign

US = consortium()
ME, LIAR = 0, 8
ONE, OTHER = sha256(b"one"), sha256(b"other")


def mask_root(root):
    return MaskRoot(US.ctx, 2, sha256(b"set"), root, 40)


def watch(seat=ME):
    standing = Standing(US.seating)
    return SlotWatch(US.seating, seat, standing, Pace()), standing


def note(slots, *statements, seat=LIAR):
    for statement in statements:
        slots.note(seat, statement, sign(US.seats[seat], statement))


def test_two_statements_for_one_slot_are_shown_to_the_chain():
    slots, _ = watch()
    note(slots, mask_root(ONE), mask_root(OTHER))
    (effect,) = slots.prove(0)
    proof = effect.call
    assert proof.slot is EvidenceSlot.MASK_ROOT
    assert statement_digest(US.seating.domain, proof.context) == US.ctx
    assert (proof.first[96:128], proof.second[96:128]) == (ONE, OTHER)


def test_statement_said_again_is_no_offence():
    slots, _ = watch()
    note(slots, mask_root(ONE), mask_root(ONE))
    assert slots.prove(0) == []


def test_other_views_and_other_seats_are_other_slots():
    slots, _ = watch()
    note(slots, Propose(US.ctx, 0, *(ONE,) * 4), Propose(US.ctx, 1, *(OTHER,) * 4))
    note(slots, Include(US.ctx, 0, ONE, 1, 1, ONE))
    note(slots, mask_root(ONE))
    note(slots, mask_root(OTHER), seat=5)
    assert slots.prove(0) == []


def test_evidence_is_submitted_again_until_the_seat_is_convicted():
    slots, standing = watch()
    note(slots, mask_root(ONE), mask_root(OTHER))
    assert len(slots.prove(0)) == 1
    assert slots.prove(RESEND_SECONDS) == []
    assert len(slots.prove(3 * RESEND_SECONDS)) == 1
    standing.take(AttemptView(slashed=1 << LIAR))
    assert slots.prove(9 * RESEND_SECONDS) == []


def test_seats_take_turns():
    slots, _ = watch(seat=1)
    note(slots, mask_root(ONE), mask_root(OTHER))
    assert slots.prove(0) == []
    assert len(slots.prove(RESEND_SECONDS)) == 1


def test_views_far_off_are_not_remembered():
    slots, _ = watch()
    note(slots, Propose(US.ctx, 10**6, *(ONE,) * 4), Propose(US.ctx, 10**6, *(OTHER,) * 4))
    assert slots.prove(0) == []
