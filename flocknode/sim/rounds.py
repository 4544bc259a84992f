"""RoundManager: the states of an attempt and the calls that move it."""

from dataclasses import replace

from flocknode.model.terms import TaskTerms
from flocknode.protocol.ledger import (
    AnswerRollCall,
    AttemptAborted,
    IncludeSet,
    ProposalAccepted,
    ProposeModel,
    RollCalled,
    RoundSettled,
    SetAccepted,
    TaskPaused,
    TaskResumed,
)
from flocknode.sim import beacon, pay, schedule, seating
from flocknode.sim.abi import CallReverted, bits, require
from flocknode.sim.quorums import (
    require_column_majorities,
    require_include_signatures,
    require_propose_signatures,
    require_roll_call_signature,
    require_two_thirds,
)
from flocknode.sim.state import Phase, Round, Transaction


def open_round(tx: Transaction, task: int) -> None:
    """Open the first round of a funded task, or the next one where a settlement could not."""
    attempt = _attempt(tx, task)
    require(attempt.phase is Phase.IDLE, "RoundManagerWrongPhase")
    require(attempt.round < _terms(tx, task).rounds, "RoundManagerTaskOver")
    require(pay.is_funded(tx, task), "RoundManagerPoolTooSmall")
    seating.open_attempt(tx, task, attempt)


def draw(tx: Transaction, task: int) -> None:
    """Draw the committee once the beacon is ready."""
    attempt = _in_phase(tx, task, Phase.DRAWING)
    require(beacon.seed(tx, attempt.request).ready, "RoundManagerBeaconNotReady")
    seating.draw_committee(tx, task, attempt)
    pay.refund(tx, task, "draw")


def include(tx: Transaction, call: IncludeSet) -> None:
    """Accept the attempt's one inclusion set, during its view and never again."""
    terms = _terms(tx, call.task)
    attempt = _in_phase(tx, call.task, Phase.COLLECTING)
    _require_same_attempt(attempt, call)
    whole = call.trainers == (1 << terms.trainers) - 1
    in_view = schedule.is_inclusion_view(
        terms, attempt.drawn_at, call.view, tx.now, whole_roster=whole
    )
    require(in_view, "RoundManagerViewClosed")
    _require_trainers(terms, attempt, call.trainers)
    require(call.seats >> terms.seats == 0, "RoundManagerUnknownSeat")
    require_column_majorities(terms, call.seats)
    require_include_signatures(tx.rules, attempt, call)
    accepted = SetAccepted(
        task=call.task,
        round=call.round,
        attempt=call.attempt,
        view=call.view,
        inclusion_root=call.inclusion_root,
        trainers=call.trainers,
        weight=call.weight,
        seats=call.seats,
        commitments=call.commitments,
        accepted_at=tx.now,
    )
    tx.state.rounds[call.task] = replace(attempt, phase=Phase.INCLUDED, accepted=accepted)
    tx.emit(accepted)
    pay.refund(tx, call.task, "include")


def answer_roll_call(tx: Transaction, call: AnswerRollCall) -> None:
    """Record that a seat was there: any INCLUDE of this attempt, once, after the last view."""
    terms = _terms(tx, call.task)
    attempt = _in_phase(tx, call.task, Phase.COLLECTING)
    _require_same_attempt(attempt, call)
    begin = schedule.inclusion_end(terms, attempt.drawn_at)
    end = schedule.abort_deadline(terms, attempt.drawn_at)
    require(begin <= tx.now < end, "RoundManagerNoRollCall")
    require(call.seat < terms.seats, "RoundManagerUnknownSeat")
    require(not attempt.roll >> call.seat & 1, "RoundManagerAlreadyAnswered")
    require_roll_call_signature(tx.rules, attempt, call)
    tx.state.rounds[call.task] = replace(attempt, roll=attempt.roll | 1 << call.seat)
    tx.emit(RollCalled(call.task, call.round, call.attempt, call.seat))
    pay.refund(tx, call.task, "roll call")


def propose(tx: Transaction, call: ProposeModel) -> None:
    """Accept a proposal over the set during its view; its challenge window starts now."""
    terms = _terms(tx, call.task)
    attempt = _in_phase(tx, call.task, Phase.INCLUDED)
    _require_same_attempt(attempt, call)
    assert attempt.accepted is not None
    accepted_at = attempt.accepted.accepted_at
    in_view = schedule.is_proposal_view(terms, accepted_at, call.view, tx.now)
    require(in_view, "RoundManagerViewClosed")
    require(len(call.mask_roots) == terms.columns, "RoundManagerWrongLength")
    require(call.seats >> terms.seats == 0, "RoundManagerUnknownSeat")
    require_two_thirds(terms, call.seats)
    require_propose_signatures(tx.rules, attempt, call, attempt.accepted.inclusion_root)
    proposal = ProposalAccepted(
        task=call.task,
        round=call.round,
        attempt=call.attempt,
        view=call.view,
        mask_roots=call.mask_roots,
        aggregate_root=call.aggregate_root,
        model_root=call.model_root,
        seats=call.seats,
        accepted_at=tx.now,
    )
    tx.state.rounds[call.task] = replace(attempt, phase=Phase.PROPOSED, proposal=proposal)
    tx.emit(proposal)
    seating.request_early(tx, call.task)
    pay.refund(tx, call.task, "propose")


def settle(tx: Transaction, task: int) -> None:
    """Adopt the proposal's model once its window has closed, and open the next round."""
    terms = _terms(tx, task)
    attempt = _in_phase(tx, task, Phase.PROPOSED)
    assert attempt.proposal is not None
    end = schedule.window_end(terms, attempt.proposal.accepted_at)
    require(tx.now >= end, "RoundManagerWindowOpen")
    pay.credit_round(tx, task, attempt)
    model_root = attempt.proposal.model_root
    tx.emit(RoundSettled(task, attempt.round, attempt.attempt, model_root, tx.now))
    following = replace(
        attempt,
        phase=Phase.IDLE,
        model_root=model_root,
        round=attempt.round + 1,
        attempt=0,
        frozen_trainers=0,
        no_shows=(),
    )
    tx.state.rounds[task] = following
    if following.round < terms.rounds and pay.is_funded(tx, task):
        seating.open_attempt(tx, task, following)
    pay.refund(tx, task, "settle")


def poke(tx: Transaction, task: int) -> None:
    """Take the exit that is due: a new beacon request, an abort, or a spent attempt."""
    attempt = _attempt(tx, task)
    terms = _terms(tx, task)
    match attempt.phase:
        case Phase.DRAWING if beacon.seed(tx, attempt.request).failed:
            seating.request_again(tx, task, attempt)
        case Phase.COLLECTING if tx.now >= schedule.abort_deadline(terms, attempt.drawn_at):
            _abort(tx, task, attempt)
        case Phase.INCLUDED if tx.now >= _void_deadline(terms, attempt):
            _spend(tx, task, attempt)
        case _:
            raise CallReverted("RoundManagerNothingDue")
    pay.refund(tx, task, "poke")


def resume(tx: Transaction, task: int) -> None:
    """Give a paused task another series of attempts; the creator's decision."""
    attempt = _attempt(tx, task)
    require(tx.sender == tx.state.tasks[task].creator, "RoundManagerNotCreator")
    require(attempt.phase is Phase.PAUSED, "RoundManagerWrongPhase")
    tx.emit(TaskResumed(task, attempt.round))
    seating.open_attempt(tx, task, replace(attempt, attempt=attempt.attempt + 1))


def _abort(tx: Transaction, task: int, attempt: Round) -> None:
    """Redraw without the seats that missed the roll call; no sum was frozen."""
    absent = ~attempt.roll & ((1 << len(attempt.committee)) - 1)
    no_shows = tuple(attempt.committee[seat] for seat in bits(absent))
    tx.emit(AttemptAborted(task, attempt.round, attempt.attempt, spent=False, no_shows=absent))
    _try_again(tx, task, replace(attempt, no_shows=no_shows))


def _spend(tx: Transaction, task: int, attempt: Round) -> None:
    """Freeze the set: its sum counts as known, so a sum over any other set would tell the rest."""
    assert attempt.accepted is not None
    tx.emit(AttemptAborted(task, attempt.round, attempt.attempt, spent=True, no_shows=0))
    frozen = attempt.accepted.trainers
    _try_again(tx, task, replace(attempt, frozen_trainers=frozen, no_shows=()))


def _try_again(tx: Transaction, task: int, attempt: Round) -> None:
    """Open the next attempt, or pause: aborted and spent attempts count alike."""
    if (attempt.attempt + 1) % _terms(tx, task).attempts_max:
        seating.open_attempt(tx, task, replace(attempt, attempt=attempt.attempt + 1))
        return
    tx.state.rounds[task] = replace(attempt, phase=Phase.PAUSED)
    tx.emit(TaskPaused(task, attempt.round))


def _require_trainers(terms: TaskTerms, attempt: Round, trainers: int) -> None:
    """Check a set: of the roster, large enough, and after a spent attempt exactly its trainers."""
    require(trainers >> terms.trainers == 0, "RoundManagerUnknownTrainer")
    require(trainers.bit_count() >= terms.trainers_min, "RoundManagerTooFewTrainers")
    frozen = attempt.frozen_trainers
    require(frozen in {0, trainers}, "RoundManagerTrainersFrozen")


def _require_same_attempt(attempt: Round, call: IncludeSet | AnswerRollCall | ProposeModel) -> None:
    """Refuse a late transaction of another attempt."""
    same = (call.round, call.attempt) == (attempt.round, attempt.attempt)
    require(same, "RoundManagerWrongAttempt")


def _void_deadline(terms: TaskTerms, attempt: Round) -> int:
    assert attempt.accepted is not None
    return schedule.void_deadline(terms, attempt.accepted.accepted_at)


def _attempt(tx: Transaction, task: int) -> Round:
    require(task in tx.state.rounds, "RoundManagerUnknownTask")
    return tx.state.rounds[task]


def _in_phase(tx: Transaction, task: int, phase: Phase) -> Round:
    attempt = _attempt(tx, task)
    require(attempt.phase is phase, "RoundManagerWrongPhase")
    return attempt


def _terms(tx: Transaction, task: int) -> TaskTerms:
    require(task in tx.state.tasks, "RoundManagerUnknownTask")
    return tx.state.tasks[task].specification.terms
