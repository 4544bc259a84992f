"""RoundManager: the states of an attempt and the calls that move it."""

from dataclasses import replace

from flocknode.model.terms import TaskTerms
from flocknode.protocol.ledger import (
    AnswerRollCall,
    IncludeSet,
    ProposalAccepted,
    ProposeModel,
    RollCalled,
    RoundSettled,
    SetAccepted,
    TaskResumed,
)
from flocknode.sim import beacon, judging, pay, schedule, seating, stakes
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
    require(task in tx.state.tasks, "TaskRegistryUnknownTask")
    terms = _terms(tx, task)
    attempt = _in_phase(tx, task, Phase.IDLE)
    require(attempt.round < terms.rounds, "RoundManagerTaskOver")
    require(pay.is_funded(tx, task, rounds=1), "RoundManagerUnfunded")
    is_enough = stakes.eligible_organisations(tx.state) >= terms.seats
    require(is_enough, "RoundManagerTooFewOrganisations")
    seating.open_attempt(tx, task, attempt)
    require(tx.state.rounds[task].phase is not Phase.IDLE, "RoundManagerBeaconRefused")
    pay.refund(tx, task, pay.OPEN_GAS)


def draw(tx: Transaction, task: int) -> None:
    """Draw the committee once the beacon is ready."""
    attempt = _in_phase(tx, task, Phase.DRAWING)
    require(beacon.seed(tx, attempt.request).ready, "RoundManagerBeaconNotReady")
    seating.draw_committee(tx, task, attempt)
    pay.refund(tx, task, pay.DRAW_GAS + _terms(tx, task).seats * pay.DRAW_SEAT_GAS)


def include(tx: Transaction, call: IncludeSet) -> None:
    """Accept the attempt's one inclusion set, during its view and never again."""
    attempt = _in_attempt(tx, call, Phase.COLLECTING)
    terms = _terms(tx, call.task)
    _require_trainers(terms, attempt, call)
    require(call.view < terms.views, "RoundManagerUnknownView")
    is_whole = call.trainers.bit_count() == terms.trainers
    _require_now(tx, schedule.inclusion_view(terms, attempt.drawn_at, call.view, is_whole=is_whole))
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
    tx.state.rounds[call.task] = replace(
        attempt,
        phase=Phase.INCLUDED,
        accepted=accepted,
        include_seats=call.seats,
        strikes=0,
        holds=0,
    )
    tx.emit(accepted)
    pay.refund(tx, call.task, pay.INCLUDE_GAS + len(call.commitments) * pay.INCLUDE_SEAT_GAS)


def answer_roll_call(tx: Transaction, call: AnswerRollCall) -> None:
    """Record that a seat was there: any INCLUDE of this attempt, once, after the last view."""
    attempt = _in_attempt(tx, call, Phase.COLLECTING)
    terms = _terms(tx, call.task)
    _require_now(tx, schedule.roll_call(terms, attempt.drawn_at))
    require(call.seat < terms.seats, "RoundManagerUnknownSeat")
    require(not attempt.roll >> call.seat & 1, "RoundManagerAlreadyRecorded")
    require_roll_call_signature(tx.rules, attempt, call)
    tx.state.rounds[call.task] = replace(attempt, roll=attempt.roll | 1 << call.seat)
    tx.emit(RollCalled(call.task, call.round, call.attempt, call.seat))
    pay.refund(tx, call.task, pay.ROLL_CALL_GAS)


def propose(tx: Transaction, call: ProposeModel) -> None:
    """Accept a proposal over the set during its view; its challenge window starts now."""
    attempt = _in_attempt(tx, call, Phase.INCLUDED)
    terms = _terms(tx, call.task)
    assert attempt.accepted is not None
    turn = schedule.Turn(attempt.strikes, attempt.proposed_at)
    is_of_turn = call.view // terms.views == attempt.strikes
    require(is_of_turn, "RoundManagerUnknownView")
    accepted_at = attempt.accepted.accepted_at
    _require_now(tx, schedule.proposal_view(terms, accepted_at, call.view, turn))
    require(len(call.mask_roots) == terms.columns, "RoundManagerLength")
    require(any(call.model_root), "RoundManagerZeroRoot")
    require(call.seats >> terms.seats == 0, "RoundManagerUnknownSeat")
    require(call.seats & attempt.slashed == 0, "RoundManagerSlashedSeat")
    require_two_thirds(terms, call.seats, attempt.slashed)
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
    tx.state.rounds[call.task] = replace(
        attempt,
        phase=Phase.PROPOSED,
        proposal=proposal,
        proposed_at=tx.now,
        propose_seats=call.seats,
    )
    tx.emit(proposal)
    seating.ask_ahead(tx, call.task)
    asked = tx.state.rounds[call.task].request != attempt.request
    gas = pay.PROPOSE_GAS + call.seats.bit_count() * pay.PROPOSE_SEAT_GAS
    pay.refund(tx, call.task, gas + asked * pay.ASK_GAS)


def settle(tx: Transaction, task: int) -> None:
    """Adopt the proposal's model once its window has closed, and open the next round."""
    attempt = _in_phase(tx, task, Phase.PROPOSED)
    terms = _terms(tx, task)
    assert attempt.proposal is not None
    end = schedule.window_end(terms, attempt.proposed_at)
    require(tx.now >= end, "RoundManagerTooEarly")
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
    )
    tx.state.rounds[task] = following
    if following.round < terms.rounds and pay.is_funded(tx, task, rounds=1):
        seating.open_attempt(tx, task, following)
    is_seated = tx.state.rounds[task].phase is Phase.COLLECTING
    pay.refund(tx, task, pay.SETTLE_GAS + is_seated * terms.seats * pay.SEAT_GAS)


def poke(tx: Transaction, task: int) -> None:
    """Take the exit that is due: a new beacon request, an abort, or a spent attempt."""
    attempt = tx.state.rounds.get(task)
    match attempt.phase if attempt else Phase.IDLE:
        case Phase.DRAWING:
            _ask_again(tx, task)
        case Phase.COLLECTING:
            _abort(tx, task)
        case Phase.INCLUDED:
            _spend(tx, task)
        case Phase.IDLE | Phase.PROPOSED | Phase.PAUSED | Phase.DEMANDED | Phase.DISPUTED:
            raise CallReverted("RoundManagerNothingDue")
    pay.refund(tx, task, pay.POKE_GAS)


def resume(tx: Transaction, task: int) -> None:
    """Give a paused task another series of attempts; the creator's decision."""
    require(task in tx.state.tasks, "TaskRegistryUnknownTask")
    require(tx.sender == tx.state.tasks[task].creator, "RoundManagerNotCreator")
    attempt = _in_phase(tx, task, Phase.PAUSED)
    tx.emit(TaskResumed(task, attempt.round))
    seating.open_attempt(tx, task, replace(attempt, attempt=attempt.attempt + 1))


def _ask_again(tx: Transaction, task: int) -> None:
    """Replace a failed beacon request."""
    attempt = tx.state.rounds[task]
    require(beacon.seed(tx, attempt.request).failed, "RoundManagerNothingDue")
    tx.state.freezes -= 1
    seating.open_attempt(tx, task, replace(attempt, request=0))


def _abort(tx: Transaction, task: int) -> None:
    """Redraw without the seats that missed the roll call; no sum was frozen."""
    attempt = tx.state.rounds[task]
    _, end = schedule.roll_call(_terms(tx, task), attempt.drawn_at)
    require(tx.now >= end, "RoundManagerTooEarly")
    absent = ~attempt.roll & ((1 << len(attempt.committee)) - 1)
    missing = (attempt.committee[seat] for seat in bits(absent))
    no_shows = (*attempt.no_shows, *(v for v in missing if v not in attempt.no_shows))
    judging.give_up(tx, task, replace(attempt, no_shows=no_shows), spent=False)


def _spend(tx: Transaction, task: int) -> None:
    """Freeze the set: its sum counts as known, so a sum over any other set would tell the rest."""
    attempt = tx.state.rounds[task]
    assert attempt.accepted is not None
    turn = schedule.Turn(attempt.strikes, attempt.proposed_at)
    end = schedule.void_deadline(_terms(tx, task), attempt.accepted.accepted_at, turn)
    require(tx.now >= end, "RoundManagerTooEarly")
    judging.give_up(tx, task, attempt, spent=True)


def _require_trainers(terms: TaskTerms, attempt: Round, call: IncludeSet) -> None:
    """Check a set: of the roster, large enough, and after a spent attempt exactly its trainers."""
    included = call.trainers.bit_count()
    require(call.trainers >> terms.trainers == 0, "RoundManagerRoster")
    require(included >= terms.trainers_min, "RoundManagerTooFewTrainers")
    require(attempt.frozen_trainers in {0, call.trainers}, "RoundManagerFrozenSet")
    weight_max = included * terms.integers.weight_max
    require(included <= call.weight <= weight_max, "RoundManagerWeight")
    require(any(call.inclusion_root), "RoundManagerZeroRoot")


def _require_now(tx: Transaction, window: tuple[int, int]) -> None:
    """Refuse a call outside its window."""
    start, end = window
    require(tx.now >= start, "RoundManagerTooEarly")
    require(tx.now < end, "RoundManagerTooLate")


def _in_attempt(
    tx: Transaction, call: IncludeSet | AnswerRollCall | ProposeModel, phase: Phase
) -> Round:
    """Return the attempt that a call names; a late transaction of another one is refused."""
    attempt = _in_phase(tx, call.task, phase)
    is_same = (call.round, call.attempt) == (attempt.round, attempt.attempt)
    require(is_same, "RoundManagerWrongAttempt")
    return attempt


def _in_phase(tx: Transaction, task: int, phase: Phase) -> Round:
    attempt = tx.state.rounds.get(task)
    require(attempt is not None and attempt.phase is phase, "RoundManagerWrongPhase")
    assert attempt is not None
    return attempt


def _terms(tx: Transaction, task: int) -> TaskTerms:
    return tx.state.tasks[task].specification.terms
