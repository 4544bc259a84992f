"""When each phase of an attempt begins and ends, in chain seconds. A deadline itself is late."""

from typing import Final, NamedTuple

from flocknode.model.terms import TaskTerms


class Turn(NamedTuple):
    """One turn of all views: the first, or the one after strike number ``strikes``."""

    strikes: int = 0
    struck_at: int = 0


FIRST_TURN: Final = Turn()


def attest_deadline(terms: TaskTerms, drawn_at: int) -> int:
    return drawn_at + terms.windows.collect


def inclusion_start(terms: TaskTerms, drawn_at: int) -> int:
    """Return when view 0 begins for a set that is not the whole roster."""
    return attest_deadline(terms, drawn_at) + terms.windows.settle


def inclusion_view(
    terms: TaskTerms, drawn_at: int, view: int, *, is_whole: bool
) -> tuple[int, int]:
    """Return when a view begins and ends; a whole roster has nothing to wait for in view 0."""
    begin = inclusion_start(terms, drawn_at) + view * terms.windows.view
    return drawn_at if view == 0 and is_whole else begin, begin + terms.windows.view


def roll_call(terms: TaskTerms, drawn_at: int) -> tuple[int, int]:
    """Return when the roll call begins and ends: after the last inclusion view."""
    begin = inclusion_start(terms, drawn_at) + terms.views * terms.windows.view
    return begin, begin + terms.windows.abort


def demand_end(terms: TaskTerms, set_accepted_at: int) -> int:
    """Return when no demand can be answered any more."""
    return set_accepted_at + terms.windows.demand


def demands_until(terms: TaskTerms, set_accepted_at: int) -> int:
    """Return the end of demands: half of the window is for demands, half for answers."""
    return set_accepted_at + (terms.windows.demand + 1) // 2


def answer_time(terms: TaskTerms) -> int:
    """Return the time for an act that waits for the finality of another."""
    return terms.windows.finality + terms.windows.view


def root_deadline(terms: TaskTerms, set_accepted_at: int) -> int:
    return demand_end(terms, set_accepted_at) + terms.windows.finality + terms.windows.roots


def proposal_view(
    terms: TaskTerms, set_accepted_at: int, view: int, turn: Turn = FIRST_TURN
) -> tuple[int, int]:
    """Return when a view begins and ends; views count on through turns.

    View 0 includes the wait for roots; a later turn begins when its strike is final.
    """
    if turn.strikes:
        place = view - turn.strikes * terms.views
        begin = turn.struck_at + terms.windows.finality + place * terms.windows.view
        return begin, begin + terms.windows.view
    begin = root_deadline(terms, set_accepted_at) + view * terms.windows.view
    opened = demand_end(terms, set_accepted_at) + terms.windows.finality
    return opened if view == 0 else begin, begin + terms.windows.view


def void_deadline(terms: TaskTerms, set_accepted_at: int, turn: Turn = FIRST_TURN) -> int:
    """Return the end of the turn's last view; after it the attempt is spent."""
    last = (turn.strikes + 1) * terms.views - 1
    return proposal_view(terms, set_accepted_at, last, turn)[1]


def window_end(terms: TaskTerms, proposal_accepted_at: int) -> int:
    return proposal_accepted_at + terms.windows.challenge
