from dataclasses import replace

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.messages.statements import Propose
from flocknode.messages.wire import ModelWords, ProposeOffer, ProposeVote
from flocknode.primitives import PeerId
from flocknode.protocol.attestation import Attester
from flocknode.protocol.effects import ComputeAggregate, Fetch, Send, Sign
from flocknode.protocol.events import AggregateComputed, MasksSummed
from flocknode.protocol.inclusion import Includer
from flocknode.protocol.ledger import ProposeModel
from flocknode.protocol.pace import GRACE_SECONDS, RESEND_SECONDS, Pace
from flocknode.protocol.proposal import Proposer
from flocknode.protocol.standing import Standing
from flocknode.protocol.unmasking import Unmasker
from tests.consortium import DRAWN_AT, consortium, sign

US = consortium()
CHOSEN = US.set_of(0, 1, 2, 3)
ACCEPTED = replace(US.accepted(CHOSEN, DRAWN_AT), seats=0, commitments=())
"""As if no INCLUDE bound anyone: a commitment has tests of its own."""
NOW = DRAWN_AT + 1
"""The demand window has closed; view 0 of four."""
ROOT_DEADLINE = DRAWN_AT + 4
ROOTS = tuple(sha256(b"sum of column %d" % column) for column in range(3))
LIE = sha256(b"lie")
AGGREGATE, MODEL = sha256(b"aggregate"), sha256(b"next model")
PROPOSER = US.seating.proposer_of(0)


class Seat:
    """A proposer over an unmasker that opened, with every root at hand."""

    def __init__(self, number=1, *, hears=(0, 1, 2)):
        pace = Pace()
        self.number = number
        self.attester = attester = Attester(US.seating, number, pace)
        for index in range(4):
            valid = US.valid(index)
            attester.receive(valid, US.contribution(valid).vector, PeerId(b"trainer"))
            attester.capsule_opened(valid.digest, valid=True)
        includer = Includer(US.seating, number, attester, pace)
        own = ROOTS[number % 3]
        includer.masks_summed(MasksSummed(US.ctx, CHOSEN.root, own, b""), DRAWN_AT)
        standing = Standing(US.seating)
        self.unmasker = Unmasker(US.seating, number, includer, pace, standing)
        self.unmasker.open_if_final(ACCEPTED, NOW)
        self.proposer = Proposer(US.seating, number, includer, self.unmasker, pace, standing)
        for column in hears:
            for place in range(3):
                self.hear(ROOTS[column], column + 3 * place)

    def hear(self, root, *seats, vector=b"sum"):
        for seat in seats:
            self.unmasker.hear(US.mask_root(seat, CHOSEN, root, vector))

    def computed(self, roots=ROOTS, model=MODEL):
        event = AggregateComputed(US.ctx, roots, AGGREGATE, model, b"words")
        self.proposer.computed(event)
        return self

    def offered(self, view=0, roots=ROOTS, model=MODEL, timestamp=NOW, sender=None):
        offer = ProposeOffer(US.ctx, view, roots, AGGREGATE, model)
        peer = US.seating.peers[US.seating.proposer_of(view) if sender is None else sender]
        effects = self.proposer.hear_offer(offer, peer, ACCEPTED, timestamp)
        return effects + self.proposer.consider(ACCEPTED, timestamp)

    def vote(self):
        propose = self.proposer._signing[0]
        return self.proposer.signed(propose, sign(US.seats[self.number], propose))


def test_aggregate_is_computed_once_when_every_columns_sum_is_here():
    seat = Seat()
    (effect,) = seat.proposer.advance(ACCEPTED, NOW, 0)
    assert isinstance(effect, ComputeAggregate)
    assert (effect.vectors, effect.mask_roots, effect.weight) == (CHOSEN.vectors, ROOTS, 10)
    assert seat.proposer.advance(ACCEPTED, NOW, 0) == []


def test_sum_that_is_not_here_is_pulled_first_unless_it_comes_inline_in_a_moment():
    seat = Seat(hears=(0, 1))
    seat.hear(ROOTS[2], 2, 5, vector=b"")
    assert seat.proposer.advance(ACCEPTED, NOW, 0) == []
    assert seat.proposer.advance(ACCEPTED, NOW, GRACE_SECONDS / 2) == []
    effects = seat.proposer.advance(ACCEPTED, NOW, GRACE_SECONDS)
    assert [type(e) for e in effects] == [Fetch]


def test_after_the_deadline_other_sums_are_pulled_beside_one_that_nobody_gives():
    seat = Seat(hears=(0, 1))
    seat.hear(LIE, 2, 5, vector=b"")
    seat.hear(ROOTS[2], 8, vector=b"")
    effects = seat.proposer.advance(ACCEPTED, ROOT_DEADLINE, 0)
    assert [e.root for e in effects if isinstance(e, Fetch)] == [LIE, ROOTS[2]]


def test_nothing_is_computed_without_every_vector_and_again_once_they_are_back():
    seat = Seat()
    (effect,) = seat.proposer.advance(ACCEPTED, NOW, 0)
    gone = CHOSEN.vectors[0]
    seat.attester.vectors_lost([gone])
    seat.proposer.vectors_lost()
    assert seat.proposer.advance(ACCEPTED, NOW, 0) == []
    seat.attester.vector_held(gone)
    assert seat.proposer.advance(ACCEPTED, NOW, 0) == [effect]


def test_nothing_is_computed_before_the_own_root_is_open():
    seat = Seat()
    seat.unmasker._opening = None
    assert seat.proposer.advance(ACCEPTED, NOW, 0) == []


def test_views_proposer_offers_what_it_computed():
    seat = Seat(PROPOSER).computed()
    (send,) = seat.proposer.advance(ACCEPTED, NOW, 0)
    assert send.message == ProposeOffer(US.ctx, 0, ROOTS, AGGREGATE, MODEL)
    assert len(send.peers) == 8
    assert seat.proposer.advance(ACCEPTED, NOW, RESEND_SECONDS / 2) == []
    assert seat.proposer.advance(ACCEPTED, NOW, RESEND_SECONDS) == [send]


def test_others_do_not_offer():
    assert Seat(1).computed().proposer.advance(ACCEPTED, NOW, 0) == []


def test_offer_that_equals_the_own_computation_is_signed():
    (signing,) = Seat().computed().offered()
    assert isinstance(signing, Sign)
    assert isinstance(signing.statement, Propose)
    assert (signing.statement.aggregate_root, signing.statement.model_root) == (AGGREGATE, MODEL)
    assert signing.statement.inclusion_root == CHOSEN.root


def test_only_what_was_computed_is_signed():
    assert Seat().computed(model=sha256(b"other")).offered() == []
    (effect,) = Seat().offered()
    assert isinstance(effect, ComputeAggregate)


def test_offer_is_signed_when_the_computation_comes_later():
    seat = Seat()
    seat.offered()
    seat.computed()
    (signing,) = seat.proposer.consider(ACCEPTED, NOW)
    assert isinstance(signing, Sign)


@pytest.mark.parametrize("column", range(3))
def test_offer_that_names_another_root_is_not_signed(column):
    roots = tuple(LIE if c == column else root for c, root in enumerate(ROOTS))
    seat = Seat().computed(roots)
    assert seat.offered(roots=roots, timestamp=ROOT_DEADLINE) == []


def test_offer_with_a_column_missing_is_not_signed():
    assert Seat().computed(ROOTS[:2]).offered(roots=ROOTS[:2]) == []


def test_after_the_deadline_an_offer_over_other_held_roots_is_computed_and_signed():
    """Two seats of column 2 disagree: the proposer's pick need not be one's own."""
    low, high = sorted([ROOTS[2], LIE])
    seat = Seat(hears=(0, 1))
    seat.hear(low, 2)
    seat.hear(high, 5)
    assert seat.unmasker.choose(ACCEPTED, ROOT_DEADLINE)[2] == low
    offered = (*ROOTS[:2], high)
    (effect,) = seat.offered(roots=offered, timestamp=ROOT_DEADLINE)
    assert isinstance(effect, ComputeAggregate)
    assert effect.mask_roots == offered
    seat.computed(offered)
    (signing,) = seat.proposer.consider(ACCEPTED, ROOT_DEADLINE)
    assert isinstance(signing, Sign)


def test_offer_of_somebody_else_or_of_another_view_is_not_answered():
    assert Seat().computed().offered(sender=0) == []
    assert Seat().computed().offered(view=1) == []


def test_one_propose_is_signed_in_a_view():
    seat = Seat().computed()
    assert len(seat.offered()) == 1
    other = (*ROOTS[:2], LIE)
    assert seat.computed(other).offered(roots=other) == []
    assert seat.offered() == []


def test_vote_goes_to_the_proposer_and_again_when_it_repeats_its_offer():
    seat = Seat().computed()
    seat.offered()
    (send,) = seat.vote()
    assert isinstance(send.message, ProposeVote)
    assert send.peers == (US.seating.peers[PROPOSER],)
    assert seat.offered() == [send]


def proposing():
    seat = Seat(PROPOSER).computed()
    seat.proposer.advance(ACCEPTED, NOW, 0)
    (signing,) = seat.proposer.consider(ACCEPTED, NOW)
    seat.vote()
    return seat, signing.statement


def vote_of(number, propose):
    return ProposeVote(
        propose.ctx,
        propose.view,
        number,
        propose.inclusion_root,
        propose.mask_roots_hash,
        propose.aggregate_root,
        propose.model_root,
        sign(US.seats[number], propose),
    )


def test_two_thirds_of_the_seats_are_submitted_after_a_grace():
    seat, propose = proposing()
    for number in (0, 1, 2, 3):
        seat.proposer.hear_vote(vote_of(number, propose))
    # Five of nine.
    assert seat.proposer.submit_if_due(ACCEPTED, NOW, -10) == []
    assert seat.proposer.submit_if_due(ACCEPTED, NOW, 0) == []
    seat.proposer.hear_vote(vote_of(4, propose))
    assert seat.proposer.submit_if_due(ACCEPTED, NOW, 0) == []
    (submit,) = seat.proposer.submit_if_due(ACCEPTED, NOW, GRACE_SECONDS)
    assert isinstance(submit.call, ProposeModel)
    assert submit.call.seats == 0b11111 | 1 << PROPOSER
    assert (submit.call.mask_roots, submit.call.model_root) == (ROOTS, MODEL)


def test_all_votes_are_submitted_at_once_and_not_again_at_once():
    seat, propose = proposing()
    for number in set(range(9)) - {PROPOSER}:
        seat.proposer.hear_vote(vote_of(number, propose))
    assert len(seat.proposer.submit_if_due(ACCEPTED, NOW, 0)) == 1
    assert seat.proposer.submit_if_due(ACCEPTED, NOW, RESEND_SECONDS / 2) == []


def test_vote_for_something_else_does_not_count():
    seat, propose = proposing()
    for number in set(range(9)) - {PROPOSER}:
        seat.proposer.hear_vote(vote_of(number, replace(propose, model_root=LIE)))
    assert seat.proposer.submit_if_due(ACCEPTED, NOW, 10) == []
    assert seat.proposer.submit_if_due(ACCEPTED, NOW, 20) == []


def test_accepted_model_is_shared_by_its_proposer():
    peers = (PeerId(b"trainer 0"),)
    accepted = replace(US.proposal(), mask_roots=ROOTS)
    words = ModelWords(MODEL, b"words")
    assert Seat(PROPOSER).computed().proposer.share_model(accepted, peers) == [Send(peers, words)]
    assert Seat(1).computed().proposer.share_model(accepted, peers) == []
    assert Seat(PROPOSER).proposer.share_model(accepted, peers) == []
