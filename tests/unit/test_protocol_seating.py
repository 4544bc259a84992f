from dataclasses import replace

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.protocol.seating import take_seats
from tests.builders import task_terms
from tests.consortium import DOMAIN, DRAWN_AT, consortium, draw, peers, roster

TERMS = task_terms(trainers=4)
SEATING = consortium().seating
ACCEPTED_AT = DRAWN_AT + 100
# Windows of the builder: collect 4, settle 1, view 3, demand 1, roots 3, abort 3, finality 0.
VIEWS_BEGIN = DRAWN_AT + 4 + 1
ROOT_DEADLINE = ACCEPTED_AT + 1 + 0 + 3


MEMBERS, PEERS = roster(4), peers(TERMS)


def seats_of(drawn, members=MEMBERS, known=PEERS, terms=TERMS):
    return take_seats(DOMAIN, terms, members, drawn, known)


def test_draw_whose_ctx_we_compute_is_taken():
    drawn = draw(TERMS)
    assert seats_of(drawn).ctx == drawn.ctx


@pytest.mark.parametrize(
    "changes",
    [
        {"ctx": sha256(b"another attempt")},
        {"attempt": 1},
        {"model_root": sha256(b"another model")},
        {"seed": sha256(b"another seed")},
        {"committee": (*range(101, 109), 100)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_draw_of_a_foreign_ctx_is_refused(changes):
    assert seats_of(replace(draw(TERMS), **changes)) is None


def test_draw_over_another_roster_is_refused():
    assert seats_of(draw(TERMS), members=roster(5)) is None


def test_committee_of_another_size_is_refused():
    small = draw(task_terms(trainers=4, columns=2))
    assert seats_of(small) is None


def test_committee_with_an_unknown_validator_is_refused():
    known = peers(TERMS)
    del known[104]
    assert seats_of(draw(TERMS), known=known) is None


def test_seats_of_a_column_are_congruent():
    assert [SEATING.column_of(seat) for seat in range(9)] == [0, 1, 2] * 3
    assert list(SEATING.column(1)) == [1, 4, 7]


def test_proposers_take_turns_from_the_seed_on():
    assert [SEATING.proposer_of(view) for view in range(4)] == [7, 8, 0, 1]


@pytest.mark.parametrize(
    ("seats", "holds"),
    [({0, 3, 1, 4, 2, 5}, True), ({0, 3, 6, 1, 4, 7, 2}, False), (set(range(9)), True)],
)
def test_majority_is_asked_of_every_column(seats, holds):
    assert SEATING.has_column_majorities(seats) is holds


@pytest.mark.parametrize(
    ("timestamp", "view"),
    [
        (DRAWN_AT, 0),
        (VIEWS_BEGIN + 2, 0),
        (VIEWS_BEGIN + 3, 1),
        (VIEWS_BEGIN + 11, 3),
        (VIEWS_BEGIN + 12, None),
    ],
)
def test_view_zero_of_inclusion_covers_the_collection(timestamp, view):
    assert SEATING.inclusion_view(timestamp) == view


@pytest.mark.parametrize(
    ("timestamp", "view"),
    [(ACCEPTED_AT, 0), (ROOT_DEADLINE + 2, 0), (ROOT_DEADLINE + 3, 1), (ROOT_DEADLINE + 12, None)],
)
def test_view_zero_of_proposal_covers_the_wait_for_roots(timestamp, view):
    assert SEATING.proposal_view(timestamp, ACCEPTED_AT) == view


def test_deadlines_follow_one_another():
    assert SEATING.attest_deadline == DRAWN_AT + 4
    assert SEATING.views_begin == VIEWS_BEGIN
    assert SEATING.inclusion_end == VIEWS_BEGIN + 4 * 3
    assert SEATING.abort_at == SEATING.inclusion_end + 3
    assert SEATING.demand_end(ACCEPTED_AT) == ACCEPTED_AT + 1
    assert SEATING.root_deadline(ACCEPTED_AT) == ROOT_DEADLINE
    assert SEATING.void_at(ACCEPTED_AT) == ROOT_DEADLINE + 4 * 3


def test_members_are_all_seats_and_trainers():
    assert len(SEATING.members) == 9 + 4
    assert b"seat 8" in SEATING.members
    assert b"trainer 3" in SEATING.members
