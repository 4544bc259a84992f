"""RoundManager: what verdicts and open questions do to an attempt."""

from dataclasses import replace
from enum import Enum, auto
from typing import Final

from flocknode.model.terms import TaskTerms
from flocknode.protocol.ledger import AttemptAborted, TaskPaused
from flocknode.protocol.verdicts import AttemptHeld, AttemptReleased, ProposalStruck, SeatsJudged
from flocknode.sim import schedule, seating
from flocknode.sim.abi import bitmap, bits, require
from flocknode.sim.state import Phase, Round, Transaction

STRIKES_MAX: Final = 7
"""Proposals of one attempt that may fall; the next one that does spends it."""


class Consequence(Enum):
    """What a verdict does to the attempt."""

    NONE = auto()
    STRIKE = auto()
    ABORT = auto()
    SPEND = auto()
    SPEND_AND_PAUSE = auto()


def judge(tx: Transaction, task: int, slashed: int, absent: int, consequence: Consequence) -> None:
    """Carry out a verdict: the seats lose pay and the next draw, and the attempt what follows."""
    attempt = tx.state.rounds[task]
    out = slashed | absent
    members = tuple(attempt.committee[seat] for seat in bits(out))
    judged = replace(
        attempt,
        slashed=attempt.slashed | slashed,
        no_shows=(*attempt.no_shows, *(v for v in members if v not in attempt.no_shows)),
        include_seats=attempt.include_seats & ~out,
        propose_seats=attempt.propose_seats & ~out,
    )
    tx.state.rounds[task] = judged
    if out:
        tx.emit(SeatsJudged(task, attempt.round, attempt.attempt, slashed, absent))
    match consequence:
        case Consequence.NONE:
            pass
        case Consequence.STRIKE if attempt.strikes < STRIKES_MAX:
            _strike(tx, task, judged)
        case Consequence.ABORT:
            give_up(tx, task, judged, spent=False)
        case Consequence.STRIKE | Consequence.SPEND:
            give_up(tx, task, judged, spent=True)
        case Consequence.SPEND_AND_PAUSE:
            give_up(tx, task, judged, spent=True, pause=True)


def hold(tx: Transaction, task: int) -> None:
    """Let the attempt wait for an answer; holds nest."""
    attempt = tx.state.rounds[task]
    held = replace(attempt, holds=attempt.holds + 1)
    if attempt.holds:
        tx.state.rounds[task] = held
        return
    if attempt.phase is Phase.INCLUDED:
        held = replace(held, phase=Phase.DEMANDED)
    else:
        require(attempt.phase is Phase.PROPOSED, "RoundManagerWrongPhase")
        # While the clock stands still the field holds the seconds that have run.
        held = replace(held, phase=Phase.DISPUTED, proposed_at=tx.now - attempt.proposed_at)
    tx.state.rounds[task] = held
    tx.emit(AttemptHeld(task, attempt.round, attempt.attempt))


def release(tx: Transaction, task: int) -> None:
    """Undo one ``hold``; after the last one the clock goes on."""
    attempt = tx.state.rounds[task]
    freed = replace(attempt, holds=attempt.holds - 1)
    if freed.holds:
        tx.state.rounds[task] = freed
        return
    end = 0
    if attempt.phase is Phase.DEMANDED:
        freed = replace(freed, phase=Phase.INCLUDED)
    else:
        freed = replace(freed, phase=Phase.PROPOSED, proposed_at=tx.now - attempt.proposed_at)
        end = schedule.window_end(_terms(tx, task), freed.proposed_at)
    tx.state.rounds[task] = freed
    tx.emit(AttemptReleased(task, attempt.round, attempt.attempt, end))


def give_up(
    tx: Transaction, task: int, attempt: Round, *, spent: bool, pause: bool = False
) -> None:
    """Open the next attempt, or pause: aborted and spent attempts count alike.

    A spent set's sum counts as known, so a sum over any other set would tell the rest.
    """
    absent = bitmap(seat for seat, v in enumerate(attempt.committee) if v in attempt.no_shows)
    tx.emit(AttemptAborted(task, attempt.round, attempt.attempt, spent, absent))
    if spent:
        assert attempt.accepted is not None
        attempt = replace(attempt, frozen_trainers=attempt.accepted.trainers)
    if attempt.request:
        # Asked ahead for a round that does not come yet; its value may be known by now.
        tx.state.freezes -= 1
        attempt = replace(attempt, request=0)
    following = attempt.attempt + 1
    if pause or following % _terms(tx, task).attempts_max == 0:
        tx.state.rounds[task] = replace(attempt, phase=Phase.PAUSED)
        tx.emit(TaskPaused(task, attempt.round))
        return
    seating.open_attempt(tx, task, replace(attempt, attempt=following))


def _strike(tx: Transaction, task: int, attempt: Round) -> None:
    """Let the next turn of views propose over the same set once the strike is final."""
    terms, strikes = _terms(tx, task), attempt.strikes + 1
    tx.state.rounds[task] = replace(
        attempt,
        phase=Phase.INCLUDED,
        strikes=strikes,
        holds=0,
        proposed_at=tx.now,
        proposal=None,
    )
    turn = schedule.Turn(strikes, tx.now)
    first = strikes * terms.views
    opens_at, _ = schedule.proposal_view(terms, 0, first, turn)
    void = schedule.void_deadline(terms, 0, turn)
    tx.emit(ProposalStruck(task, attempt.round, attempt.attempt, first, opens_at, void))


def _terms(tx: Transaction, task: int) -> TaskTerms:
    return tx.state.tasks[task].specification.terms
