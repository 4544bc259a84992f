"""When each phase of an attempt begins and ends, in chain seconds. A deadline itself is late."""

from flocknode.model.terms import TaskTerms


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
    """Return the first time of proposals; seats sign them once this end is final."""
    return set_accepted_at + terms.windows.demand


def root_deadline(terms: TaskTerms, set_accepted_at: int) -> int:
    return demand_end(terms, set_accepted_at) + terms.windows.finality + terms.windows.roots


def proposal_view(terms: TaskTerms, set_accepted_at: int, view: int) -> tuple[int, int]:
    """Return when a view begins and ends; view 0 includes the wait for roots."""
    begin = root_deadline(terms, set_accepted_at) + view * terms.windows.view
    start = demand_end(terms, set_accepted_at) if view == 0 else begin
    return start, begin + terms.windows.view


def void_deadline(terms: TaskTerms, set_accepted_at: int) -> int:
    """Return the end of the last proposal view; after it the attempt is spent."""
    return root_deadline(terms, set_accepted_at) + terms.views * terms.windows.view


def window_end(terms: TaskTerms, proposal_accepted_at: int) -> int:
    return proposal_accepted_at + terms.windows.challenge
