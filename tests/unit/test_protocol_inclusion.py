from flocknode.crypto.hashing import mask_commitment, sha256
from flocknode.messages.statements import Include
from flocknode.messages.wire import AttestationMessage, IncludeOffer, WantContributions
from flocknode.primitives import PeerId
from flocknode.protocol.attestation import Attester
from flocknode.protocol.effects import Remember, Send, Sign, Submit, SumMasks
from flocknode.protocol.events import MasksSummed
from flocknode.protocol.inclusion import Includer
from flocknode.protocol.ledger import AnswerRollCall, IncludeSet
from flocknode.protocol.pace import GRACE_SECONDS, RESEND_SECONDS, Pace
from tests.consortium import DRAWN_AT, consortium, sign

US = consortium()
VIEWS_BEGIN = US.seating.views_begin
PROPOSER = US.seating.proposer_of(0)
SEAT = 4
WHOLE = (0, 1, 2, 3)
ROOT = sha256(b"mask sum")


class Seat:
    """An includer with its attester, fed as the node's machine feeds them."""

    def __init__(self, number=SEAT, us=US):
        pace = Pace()
        self.us = us
        self.number = number
        self.attester = Attester(us.seating, number, pace)
        self.includer = Includer(us.seating, number, self.attester, pace)

    def hold(self, *indices, salt=0):
        for index in indices:
            valid = US.valid(index, salt)
            vector = US.contribution(valid, salt).vector
            self.attester.receive(valid, vector, PeerId(b"trainer"))
            self.attester.capsule_opened(valid.digest, valid=True)
        return self

    def see_attested(self, *indices, seats=range(9)):
        headers = tuple(US.valid(index).digest for index in indices)
        for seat in seats:
            message = AttestationMessage(US.ctx, seat, 1, headers, bytes(65))
            self.attester.attestations.hear(message, DRAWN_AT)
        return self

    def offered(self, *indices, view=0, timestamp=DRAWN_AT, sender=None):
        peer = US.seating.peers[US.seating.proposer_of(view) if sender is None else sender]
        return self.includer.hear_offer(US.offer(view, US.set_of(*indices)), peer, timestamp)

    def signs(self, *indices, view=0, timestamp=DRAWN_AT):
        """Take the offer to its INCLUDE, or return None if the seat does not sign."""
        effects = self.offered(*indices, view=view, timestamp=timestamp)
        if not effects or not isinstance(effects[0], SumMasks):
            return None
        (summing,) = effects
        summed = MasksSummed(US.ctx, summing.inclusion_root, ROOT, b"")
        (signing,) = self.includer.masks_summed(summed, timestamp)
        assert isinstance(signing, Sign)
        return signing.statement

    def votes(self, *indices, view=0, timestamp=DRAWN_AT):
        include = self.signs(*indices, view=view, timestamp=timestamp)
        return self.includer.signed(include, sign(US.seats[self.number], include))


def test_include_commits_to_the_own_mask_root():
    include = Seat().hold(*WHOLE).signs(*WHOLE)
    chosen = US.set_of(*WHOLE)
    commitment = mask_commitment(US.ctx, SEAT, ROOT)
    # Weights are 1, 2, 3, 4.
    assert include == Include(US.ctx, 0, chosen.root, 0b1111, 10, commitment)


def test_vote_goes_to_the_views_proposer():
    (send,) = Seat().hold(*WHOLE).votes(*WHOLE)
    assert send.peers == (US.seating.peers[PROPOSER],)
    assert send.message.statement().trainers == 0b1111


def test_set_that_omits_an_attested_trainer_is_refused_and_the_reason_shown_to_all():
    seat = Seat().hold(*WHOLE).see_attested(*WHOLE)
    refusal = seat.offered(0, 1, 2, timestamp=VIEWS_BEGIN)
    assert {m.seat for m in messages(refusal)} == set(range(9))
    assert all(len(e.peers) == 8 for e in refusal)


def test_set_without_an_unattested_trainer_is_signed():
    seat = Seat().hold(*WHOLE).see_attested(0, 1, 2)
    assert seat.signs(0, 1, 2, timestamp=VIEWS_BEGIN)


def test_set_below_n_min_is_refused():
    assert Seat().hold(*WHOLE).signs(0, 1, timestamp=VIEWS_BEGIN) is None


def test_partial_set_waits_for_the_views_and_a_whole_one_does_not():
    assert Seat().hold(*WHOLE).signs(0, 1, 2, timestamp=VIEWS_BEGIN - 1) is None
    assert Seat().hold(*WHOLE).signs(0, 1, 2, timestamp=VIEWS_BEGIN)
    assert Seat().hold(*WHOLE).signs(*WHOLE, timestamp=DRAWN_AT)


def test_after_a_spent_attempt_only_its_set_is_signed():
    frozen = US.frozen(0b0111)
    assert Seat(us=frozen).hold(*WHOLE).signs(*WHOLE, timestamp=VIEWS_BEGIN) is None
    assert Seat(us=frozen).hold(*WHOLE).signs(0, 1, 3, timestamp=VIEWS_BEGIN) is None
    assert Seat(us=frozen).hold(*WHOLE).signs(0, 1, 2, timestamp=VIEWS_BEGIN)


def test_offer_of_somebody_else_or_of_another_view_is_not_answered():
    assert Seat().hold(*WHOLE).offered(*WHOLE, sender=0) == []
    assert Seat().hold(*WHOLE).offered(*WHOLE, view=1) == []
    late = US.seating.inclusion_end
    assert Seat().hold(*WHOLE).offered(*WHOLE, view=3, timestamp=late) == []


def test_one_include_is_signed_in_a_view():
    seat = Seat().hold(*WHOLE)
    assert seat.signs(*WHOLE, timestamp=VIEWS_BEGIN)
    assert seat.signs(0, 1, 2, timestamp=VIEWS_BEGIN) is None
    assert seat.includer.consider(VIEWS_BEGIN) == []


def test_repeated_offer_gets_the_same_vote():
    seat = Seat().hold(*WHOLE)
    (first,) = seat.votes(*WHOLE)
    assert seat.offered(*WHOLE) == [first]


def test_restarted_proposer_offers_the_set_that_it_offered_before():
    before = Seat(PROPOSER).hold(*WHOLE).see_attested(*WHOLE)
    kept, sent, _ = before.includer.offer_if_due(DRAWN_AT, 0.0)
    assert isinstance(kept, Remember)
    assert (kept.sender, kept.message) == (US.seating.peers[PROPOSER], sent.message)
    after = Seat(PROPOSER).hold(*WHOLE)
    assert after.includer.hear_offer(kept.message, kept.sender, DRAWN_AT)
    (again,) = after.includer.offer_if_due(DRAWN_AT, RESEND_SECONDS)
    assert again.message == sent.message


def test_next_view_may_bring_another_set():
    seat = Seat().hold(*WHOLE)
    assert seat.signs(0, 1, 2, timestamp=VIEWS_BEGIN)
    assert seat.signs(*WHOLE, view=1, timestamp=VIEWS_BEGIN + 3).view == 1


def test_missing_contribution_is_asked_of_the_proposer_again_with_every_repeated_offer():
    seat = Seat().hold(0, 1, 2)
    wanted = WantContributions(US.ctx, (US.valid(3).digest,))
    for _ in range(2):
        assert seat.offered(*WHOLE) == [Send((US.seating.peers[PROPOSER],), wanted)]
        assert seat.includer.consider(DRAWN_AT) == []
    seat.hold(3)
    assert isinstance(seat.includer.consider(DRAWN_AT)[0], SumMasks)


def test_set_with_a_trainer_twice_is_refused():
    seat = Seat().hold(*WHOLE).hold(0, salt=1)
    headers = (US.valid(0).digest, US.valid(0, 1).digest, US.valid(1).digest, US.valid(2).digest)
    offer = IncludeOffer(US.ctx, 0, headers)
    proposer = US.seating.peers[PROPOSER]
    assert seat.includer.hear_offer(offer, proposer, VIEWS_BEGIN) == []


def proposing():
    seat = Seat(PROPOSER).hold(*WHOLE).see_attested(*WHOLE)
    _, send, summing = seat.includer.offer_if_due(DRAWN_AT, 0)
    seat.includer.masks_summed(MasksSummed(US.ctx, summing.inclusion_root, ROOT, b""), DRAWN_AT)
    return seat, send


def own_vote(seat):
    include = seat.includer._signing[0]
    return seat.includer.signed(include, sign(US.seats[PROPOSER], include))


def messages(effects):
    return [e.message for e in effects if isinstance(e, Send)]


def test_proposer_offers_every_attested_trainer():
    _, send = proposing()
    assert send.message == US.offer(0, US.set_of(*WHOLE))
    assert len(send.peers) == 8


def test_only_the_views_proposer_offers():
    seat = Seat(SEAT).hold(*WHOLE).see_attested(*WHOLE)
    assert seat.includer.offer_if_due(DRAWN_AT, 0) == []


def test_proposer_that_lacks_an_attested_trainer_does_not_offer():
    seat = Seat(PROPOSER).hold(0, 1, 2).see_attested(*WHOLE)
    assert seat.includer.offer_if_due(VIEWS_BEGIN, 0) == []


def test_trainer_with_two_attested_headers_is_offered_once():
    seat = Seat(PROPOSER).hold(*WHOLE).hold(0, salt=1)
    both = (US.valid(0).digest, US.valid(0, 1).digest, *(US.valid(i).digest for i in (1, 2, 3)))
    for number in range(9):
        message = AttestationMessage(US.ctx, number, 1, both, bytes(65))
        seat.attester.attestations.hear(message, DRAWN_AT)
    send = seat.includer.offer_if_due(DRAWN_AT, 0)[0]
    assert len(send.message.headers) == 4


def test_offer_is_repeated_unchanged():
    seat, first = proposing()
    assert seat.includer.offer_if_due(DRAWN_AT, RESEND_SECONDS / 2) == []
    assert seat.includer.offer_if_due(DRAWN_AT, RESEND_SECONDS) == [first]


def test_all_votes_are_submitted_at_once_and_once():
    seat, _ = proposing()
    own_vote(seat)
    chosen = US.set_of(*WHOLE)
    for other in range(9):
        if other != PROPOSER:
            seat.includer.hear_vote(US.include_vote(other, 0, chosen))
    (submit,) = seat.includer.submit_if_due(DRAWN_AT, 0)
    assert isinstance(submit.call, IncludeSet)
    assert submit.call.seats == 0b111111111
    # A vote that comes again costs no transaction.
    seat.includer.hear_vote(US.include_vote(0, 0, chosen))
    assert seat.includer.submit_if_due(DRAWN_AT, RESEND_SECONDS / 2) == []


def test_majorities_are_submitted_after_a_grace():
    seat, _ = proposing()
    own_vote(seat)
    for other in (0, 3, 1, 2, 5):
        seat.includer.hear_vote(US.include_vote(other, 0, US.set_of(*WHOLE)))
    assert seat.includer.submit_if_due(DRAWN_AT, 0) == []
    (submit,) = seat.includer.submit_if_due(DRAWN_AT, GRACE_SECONDS)
    assert submit.call.seats.bit_count() == 6


def test_votes_without_a_majority_of_every_column_are_not_submitted():
    seat, _ = proposing()
    own_vote(seat)
    for other in (0, 3, 6, 1, 2):
        seat.includer.hear_vote(US.include_vote(other, 0, US.set_of(*WHOLE)))
    assert seat.includer.submit_if_due(DRAWN_AT, 0) == []
    assert seat.includer.submit_if_due(DRAWN_AT, 100) == []


def test_vote_for_another_set_does_not_count():
    seat, _ = proposing()
    own_vote(seat)
    seat.includer.hear_vote(US.include_vote(0, 0, US.set_of(0, 1, 2)))
    assert set(seat.includer._votes[0]) == {PROPOSER}


def test_roll_call_is_answered_with_the_own_include():
    seat = Seat().hold(*WHOLE)
    seat.votes(*WHOLE)
    (submit,) = seat.includer.answer_roll_call(0)
    assert isinstance(submit, Submit)
    assert isinstance(submit.call, AnswerRollCall)
    assert (submit.call.seat, submit.call.view) == (SEAT, 0)


def test_seat_that_signed_nothing_answers_with_an_empty_include():
    # Seat 1 proposes in the last view, where an empty INCLUDE is nobody's vote.
    for number in (SEAT, US.seating.proposer_of(3)):
        seat = Seat(number)
        (signing,) = seat.includer.answer_roll_call(0)
        assert signing.statement.trainers == 0
        seat.includer.signed(signing.statement, sign(US.seats[number], signing.statement))
        (submit,) = seat.includer.answer_roll_call(RESEND_SECONDS)
        assert submit.call.inclusion_root == bytes(32)


def test_accepted_set_that_was_never_offered_is_formed_from_what_is_held():
    seat = Seat().hold(*WHOLE)
    chosen = US.set_of(0, 1, 3)
    assert seat.includer.set_of(chosen.root, 0b1011) == chosen
    assert seat.includer.set_of(chosen.root, 0b0111) is None
