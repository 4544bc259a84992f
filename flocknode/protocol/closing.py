"""What anyone may close once its time is over: convictions, locks, demands, questions."""

from flocknode.protocol.chain_view import ChainView
from flocknode.protocol.ledger import Call
from flocknode.protocol.proofs import (
    CloseAccusation,
    CloseChallenge,
    CloseDemand,
    CloseQuestion,
    Punish,
)
from flocknode.protocol.seating import Seating


def closings(tip: ChainView, seating: Seating | None) -> list[Call]:
    """Return the calls that are due as of the tip; ``seating`` is the attempt in progress."""
    calls: list[Call] = [
        Punish(it.task, it.round, it.attempt, it.offence, it.ctx, it.validators)
        for it in tip.convictions
    ]
    if seating is None:
        return calls
    task, ctx, now, docket = tip.task, seating.ctx, tip.timestamp, tip.attempt.docket
    if docket.challenge and now >= docket.challenge.deadline:
        calls.append(CloseChallenge(task, ctx))
    calls += [CloseDemand(task, ctx, it.position) for it in docket.demands if now >= it.deadline]
    proposal = tip.attempt.proposal
    answered = docket.commitments | (proposal.seats if proposal else 0)
    # Where fewer than half answered nobody is judged, and the chain says nothing of a closing.
    if 2 * answered.bit_count() >= seating.terms.seats:
        due = (it.seat for it in docket.accused if now >= it.deadline)
        calls += [CloseAccusation(task, ctx, seat) for seat in due]
    calls += [CloseQuestion(it.question) for it in docket.questions if now >= it.deadline]
    return calls
