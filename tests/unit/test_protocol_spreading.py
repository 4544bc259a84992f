"""Whose turn it is to be given a long vector by its trainer."""

from dataclasses import replace

from flocknode.protocol.pace import Pace
from flocknode.protocol.seating import Seating
from flocknode.protocol.spreading import UPLOADS, is_long, may_ask, offered, turn_of
from tests.builders import integer_terms
from tests.consortium import consortium

US = consortium()
ROOT = US.valid(0).header.root


def seating_of(words: int) -> Seating:
    terms = replace(US.seating.terms, integers=integer_terms(words=words))
    return replace(US.seating, terms=terms)


LONG = seating_of(1 << 19)
"""One MiB: a turn lasts 4 + 1 seconds."""


def test_vector_is_long_when_it_does_not_travel_inline():
    assert not is_long(seating_of(32_000))
    assert is_long(seating_of(32_001))


def test_two_seats_have_each_turn_and_they_sit_in_different_columns():
    for index in range(20):
        turns = [turn_of(LONG, index, seat) for seat in LONG.seats]
        assert sorted(turns) == [0, 0, 1, 1, 2, 2, 3, 3, 4]
        first = [seat for seat in LONG.seats if turns[seat] == 0]
        assert len({LONG.column_of(seat) for seat in first}) == UPLOADS


def test_trainers_begin_with_different_seats():
    first = {tuple(s for s in LONG.seats if turn_of(LONG, i, s) == 0) for i in range(9)}
    assert len(first) == 9


def test_two_more_may_have_it_each_time_that_a_turn_has_passed():
    pace = Pace()
    counts = [len(offered(LONG, 0, ROOT, pace, now)) for now in (0, 4.9, 5, 9.9, 10, 100)]
    assert counts == [2, 2, 4, 4, 6, 9]


def test_seat_asks_in_its_turn_and_not_before():
    pace = Pace()
    assert may_ask(LONG, 0, ROOT, 1, pace, 0)
    assert not may_ask(LONG, 0, ROOT, 2, pace, 4.9)
    assert may_ask(LONG, 0, ROOT, 2, pace, 5)
