"""Two statements of one signer for one slot: whoever heard both shows them to the chain."""

from flocknode.crypto.eip712 import encode_words
from flocknode.crypto.hashing import committee_hash
from flocknode.messages.statements import (
    Context,
    Include,
    MaskRoot,
    Propose,
    SeatKey,
    members_of,
)
from flocknode.primitives import Seconds
from flocknode.protocol.effects import Effect, Submit
from flocknode.protocol.pace import Pace
from flocknode.protocol.proofs import EvidenceSlot, ProveEquivocation
from flocknode.protocol.seating import Seating
from flocknode.protocol.standing import Standing

TURNS_MAX = 8
"""Turns of views in which a statement is remembered; the contract allows no more."""

SlotStatement = SeatKey | Include | MaskRoot | Propose


class SlotWatch:
    """The first statement that each seat made for each slot, and those that contradict it."""

    def __init__(self, seating: Seating, seat: int | None, standing: Standing, pace: Pace) -> None:
        """Watch from a seat, or from outside."""
        self._seating = seating
        self._seat = seat
        self._standing = standing
        self._pace = pace
        self._first: dict[tuple[int, int, int], tuple[SlotStatement, bytes]] = {}
        self._evidence: dict[int, ProveEquivocation] = {}
        """One proof for each seat: a second one takes nothing more."""

    def note(self, seat: int, statement: SlotStatement, signature: bytes) -> None:
        """Keep a checked statement, and what contradicts it."""
        slot, number = _slot_of(statement)
        views = TURNS_MAX * self._seating.terms.views
        if seat == self._seat or number >= max(views, self._seating.terms.seats):
            return
        first, first_signature = self._first.setdefault(
            (seat, slot, number), (statement, signature)
        )
        if first != statement and seat not in self._evidence:
            self._evidence[seat] = ProveEquivocation(
                self._context(),
                slot,
                encode_words(members_of(first)),
                encode_words(members_of(statement)),
                first_signature,
                signature,
            )

    def prove(self, now: Seconds) -> list[Effect]:
        """Submit what is not on the chain yet, one seat after the other in turn."""
        return [
            Submit(proof)
            for seat, proof in self._evidence.items()
            if not self._standing.is_slashed(seat)
            and self._pace.my_turn(("equivocation", seat), now, self._rank(seat, proof.slot))
        ]

    def _rank(self, seat: int, slot: EvidenceSlot) -> int:
        """Take turns, but for votes: only their proposer has heard them."""
        if self._seat is None:
            return self._seating.terms.seats
        if slot in (EvidenceSlot.INCLUDE, EvidenceSlot.PROPOSE):
            return 0
        return (self._seat - seat) % self._seating.terms.seats - 1

    def _context(self) -> Context:
        drawn = self._seating.drawn
        return Context(
            *(drawn.task, drawn.round, drawn.attempt, drawn.model_root, drawn.seed),
            committee_hash(drawn.committee, drawn.signers),
            self._seating.roster.root(),
        )


def _slot_of(statement: SlotStatement) -> tuple[EvidenceSlot, int]:
    match statement:
        case SeatKey():
            return EvidenceSlot.SEAT_KEY, statement.seat
        case Include():
            return EvidenceSlot.INCLUDE, statement.view
        case MaskRoot():
            return EvidenceSlot.MASK_ROOT, statement.column
        case Propose():
            return EvidenceSlot.PROPOSE, statement.view
