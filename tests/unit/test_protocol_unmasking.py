from dataclasses import replace

import pytest

from flocknode.crypto.hashing import mask_commitment, sha256
from flocknode.messages.statements import MaskRoot
from flocknode.primitives import PeerId
from flocknode.protocol.attestation import Attester
from flocknode.protocol.effects import Fetch, Hold, Send, ServeMaskSum, Sign, SumMasks
from flocknode.protocol.events import MasksSummed
from flocknode.protocol.inclusion import Includer
from flocknode.protocol.pace import GRACE_SECONDS, RESEND_SECONDS, Pace
from flocknode.protocol.standing import Standing
from flocknode.protocol.unmasking import Unmasker
from tests.consortium import DRAWN_AT, consortium, sign

US = consortium()
CHOSEN = US.set_of(0, 1, 2, 3)
ACCEPTED = replace(US.accepted(CHOSEN, DRAWN_AT), seats=0, commitments=())
"""As if no INCLUDE bound anyone: a commitment has tests of its own."""
# Windows of the builder: demand 1, roots 3, finality 0.
DEMAND_END = DRAWN_AT + 1
ROOT_DEADLINE = DRAWN_AT + 4
HONEST = [sha256(b"sum of column %d" % column) for column in range(3)]
LOW, HIGH = sorted([sha256(b"lie"), sha256(b"another lie")])


def seat(number=1, *, summed=True):
    """Return the unmasker of a seat that holds everything."""
    pace = Pace()
    attester = Attester(US.seating, number, pace)
    for index in range(4):
        valid = US.valid(index)
        attester.receive(valid, US.contribution(valid).vector, PeerId(b"trainer"))
        attester.capsule_opened(valid.digest, valid=True)
    includer = Includer(US.seating, number, attester, pace)
    if summed:
        root = HONEST[number % 3]
        includer.masks_summed(MasksSummed(US.ctx, CHOSEN.root, root, b"sum"), DRAWN_AT)
    return Unmasker(US.seating, number, includer, pace, Standing(US.seating))


def opened(number=1):
    unmasker = seat(number)
    unmasker.open_if_final(ACCEPTED, DEMAND_END)
    return unmasker


def hear(unmasker, root, *seats, vector=b""):
    for number in seats:
        unmasker.hear(US.mask_root(number, CHOSEN, root, vector))


def hear_honest(unmasker, *columns):
    for column in columns:
        hear(unmasker, HONEST[column], column, column + 3, column + 6)


def test_nothing_opens_before_the_demand_windows_end_is_final():
    unmasker = seat()
    assert unmasker.open_if_final(ACCEPTED, DEMAND_END - 1) == []
    assert unmasker.own_root is None
    assert unmasker.open_if_final(ACCEPTED, DEMAND_END) != []


def test_opening_serves_records_and_sum_and_signs_the_root():
    hold, serve, signing = seat().open_if_final(ACCEPTED, DEMAND_END)
    assert hold == Hold(CHOSEN.root, CHOSEN.records)
    assert serve == ServeMaskSum(US.seating, HONEST[1])
    words = US.terms.integers.words
    assert signing == Sign(MaskRoot(US.ctx, 1, CHOSEN.root, HONEST[1], words))


def test_commitment_is_opened_once():
    assert opened().open_if_final(ACCEPTED, DEMAND_END) == []


def test_seat_that_did_not_sum_sums_first():
    unmasker = seat(summed=False)
    (effect,) = unmasker.open_if_final(ACCEPTED, DEMAND_END)
    assert isinstance(effect, SumMasks)
    assert unmasker.own_root is None


@pytest.mark.parametrize(("number", "vector"), [(1, b"sum"), (4, b"")])
def test_first_seat_of_a_column_sends_a_short_sum_along(number, vector):
    unmasker = seat(number)
    signing = unmasker.open_if_final(ACCEPTED, DEMAND_END)[-1]
    (send,) = unmasker.signed(signing.statement, sign(US.seats[number], signing.statement), 0)
    assert isinstance(send, Send)
    assert (len(send.peers), send.message.vector) == (8, vector)
    assert unmasker.tick(RESEND_SECONDS / 2) == []
    assert unmasker.tick(RESEND_SECONDS) == [send]


def test_majority_of_a_column_decides_at_once():
    unmasker = opened()
    hear_honest(unmasker, 0, 1)
    hear(unmasker, HONEST[2], 2)
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE - 1) is None
    hear(unmasker, HONEST[2], 5)
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE - 1) == tuple(HONEST)


def test_root_over_another_set_does_not_count():
    unmasker = opened()
    hear_honest(unmasker, 0, 1)
    other = US.set_of(0, 1, 2)
    for number in (2, 5, 8):
        unmasker.hear(US.mask_root(number, other, HONEST[2]))
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE) is None


def test_after_the_deadline_held_bytes_stand_in_for_a_majority():
    unmasker = opened()
    hear_honest(unmasker, 0, 1)
    hear(unmasker, LOW, 2)
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE) is None
    unmasker.vector_held(LOW)
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE - 1) is None
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE) == (*HONEST[:2], LOW)


def test_tie_goes_to_the_lower_root():
    unmasker = opened()
    hear_honest(unmasker, 0, 1)
    hear(unmasker, HIGH, 2, vector=b"high")
    hear(unmasker, LOW, 5, vector=b"low")
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE) == (*HONEST[:2], LOW)


def test_most_signers_go_before_the_lower_root():
    us = consortium(columns=1, seats_per_column=5)
    chosen = us.set_of(0, 1, 2, 3)
    pace = Pace()
    includer = Includer(us.seating, 0, Attester(us.seating, 0, pace), pace)
    unmasker = Unmasker(us.seating, 0, includer, pace, Standing(us.seating))
    for number, root in ((1, HIGH), (2, HIGH), (3, LOW)):
        unmasker.hear(us.mask_root(number, chosen, root, b"bytes"))
    # Three of five would be a majority.
    accepted = replace(us.accepted(chosen, DRAWN_AT), seats=0, commitments=())
    assert unmasker.choose(accepted, ROOT_DEADLINE) == (HIGH,)


def test_other_root_than_the_own_never_counts_for_the_own_column():
    unmasker = opened(1)
    hear(unmasker, LOW, 4, 7, vector=b"lie")
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE) is None
    assert not unmasker.may_count(1, LOW, ACCEPTED, ROOT_DEADLINE)
    # Its mates are a majority, so its own root counts no more.
    assert not unmasker.may_count(1, HONEST[1], ACCEPTED, ROOT_DEADLINE)


def test_seat_without_an_own_root_counts_none_for_its_column():
    unmasker = seat()
    hear_honest(unmasker, 1)
    assert not unmasker.may_count(1, HONEST[1], ACCEPTED, ROOT_DEADLINE)


def test_majoritys_root_counts_and_no_other_does():
    unmasker = opened()
    hear(unmasker, HONEST[0], 0, 3)
    hear(unmasker, LOW, 6, vector=b"lie")
    assert unmasker.may_count(0, HONEST[0], ACCEPTED, DEMAND_END)
    assert not unmasker.may_count(0, LOW, ACCEPTED, ROOT_DEADLINE - 1)
    unmasker.vector_held(HONEST[0])
    assert not unmasker.may_count(0, LOW, ACCEPTED, ROOT_DEADLINE)


def test_majority_that_keeps_its_sum_to_itself_counts_until_the_deadline_only():
    """Or two seats of a column could sign junk that nobody can get, and stop every round."""
    unmasker = opened()
    hear_honest(unmasker, 1, 2)
    hear(unmasker, LOW, 0, 3)
    hear(unmasker, HONEST[0], 6, vector=b"sum")
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE - 1)[0] == LOW
    assert unmasker.choose(ACCEPTED, ROOT_DEADLINE)[0] == HONEST[0]
    assert unmasker.may_count(0, HONEST[0], ACCEPTED, ROOT_DEADLINE)


def test_root_that_a_seat_did_not_commit_to_does_not_count():
    unmasker = opened()
    commitments = tuple(mask_commitment(US.ctx, s, HONEST[s % 3]) for s in range(9) if s != 3)
    bound = replace(ACCEPTED, seats=0b111110111, commitments=commitments)
    hear_honest(unmasker, 1, 2)
    hear(unmasker, LOW, 0)
    # Seat 3 is bound by nothing on the chain.
    hear(unmasker, LOW, 3, vector=b"lie")
    assert unmasker.choose(bound, ROOT_DEADLINE - 1) is None
    hear(unmasker, HONEST[0], 6, vector=b"sum")
    assert unmasker.choose(bound, ROOT_DEADLINE - 1) is None
    assert unmasker._signers(0, bound) == {LOW: [3], HONEST[0]: [6]}


def test_without_a_majority_any_held_root_counts_from_the_deadline_on():
    unmasker = opened()
    hear(unmasker, HIGH, 0, vector=b"high")
    hear(unmasker, LOW, 3)
    assert not unmasker.may_count(0, HIGH, ACCEPTED, ROOT_DEADLINE - 1)
    assert unmasker.may_count(0, HIGH, ACCEPTED, ROOT_DEADLINE)
    assert not unmasker.may_count(0, LOW, ACCEPTED, ROOT_DEADLINE)
    assert not unmasker.may_count(0, HONEST[0], ACCEPTED, ROOT_DEADLINE)


def test_first_root_of_a_seat_stays():
    unmasker = opened()
    hear(unmasker, HONEST[0], 0)
    hear(unmasker, LOW, 0, 3)
    assert not unmasker.may_count(0, LOW, ACCEPTED, ROOT_DEADLINE - 1)


def test_one_seat_can_make_us_hold_one_sum():
    unmasker = opened()
    held = []
    for number in range(10):
        message = US.mask_root(0, CHOSEN, sha256(bytes([number])), b"bytes")
        held += unmasker.hear(message)
    assert held == [Hold(sha256(b"\0"), b"bytes")]
    assert len(unmasker._held) == 2


def test_bytes_may_follow_the_root():
    unmasker = opened()
    hear(unmasker, HONEST[0], 0)
    message = US.mask_root(0, CHOSEN, HONEST[0], b"bytes")
    assert unmasker.hear(message) == [Hold(HONEST[0], b"bytes")]
    assert unmasker.hear(message) == []


def test_missing_sums_are_pulled_from_their_signers_a_moment_later():
    unmasker = opened()
    hear_honest(unmasker, 0, 1, 2)
    assert unmasker.fetch_missing(ACCEPTED, tuple(HONEST), 0) == []
    effects = unmasker.fetch_missing(ACCEPTED, tuple(HONEST), GRACE_SECONDS)
    assert [e.root for e in effects] == [HONEST[0], HONEST[2]]
    holders = [US.seating.peers.index(peer) for peer in effects[0].holders]
    # Seat 1 starts with the next holder after itself.
    assert holders[:3] == [3, 6, 0]
    # Then those who may have it of the signers.
    assert sorted(holders[3:]) == [2, 4, 5, 7, 8]
    assert unmasker.fetch_missing(ACCEPTED, tuple(HONEST), RESEND_SECONDS / 2) == []


def test_short_sum_that_comes_inline_is_never_pulled():
    unmasker = opened()
    hear_honest(unmasker, 0, 1, 2)
    assert unmasker.fetch_missing(ACCEPTED, tuple(HONEST), 0) == []
    for column in (0, 2):
        unmasker.hear(US.mask_root(column, CHOSEN, HONEST[column], b"bytes"))
    assert unmasker.fetch_missing(ACCEPTED, tuple(HONEST), GRACE_SECONDS) == []


def test_sum_that_had_to_make_room_is_pulled_again():
    unmasker = opened()
    hear_honest(unmasker, 0, 1, 2)
    for column in (0, 2):
        unmasker.vector_held(HONEST[column])
    assert unmasker.holds_all(tuple(HONEST))
    unmasker.vectors_lost([HONEST[2]])
    unmasker.fetch_missing(ACCEPTED, tuple(HONEST), 0)
    (fetch,) = unmasker.fetch_missing(ACCEPTED, tuple(HONEST), GRACE_SECONDS)
    assert fetch.root == HONEST[2]


def test_from_the_deadline_on_sums_without_a_majority_are_pulled():
    unmasker = opened()
    hear_honest(unmasker, 0)
    hear(unmasker, LOW, 5)
    assert unmasker.fetch_signed(ACCEPTED, ROOT_DEADLINE - 1, 0) == []
    _, fetch = unmasker.fetch_signed(ACCEPTED, ROOT_DEADLINE, 0)
    assert isinstance(fetch, Fetch)
    assert (fetch.root, fetch.holders[0]) == (LOW, US.seating.peers[5])


def test_signature_over_another_opening_is_not_sent():
    unmasker = seat()
    signing = unmasker.open_if_final(ACCEPTED, DEMAND_END)[-1]
    other = replace(signing.statement, root=LOW)
    assert unmasker.signed(other, bytes(65), 0) == []
