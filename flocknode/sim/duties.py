"""DutyManager: seeds that a seat lacks, and commitments that a seat keeps closed."""

from dataclasses import replace
from typing import Final

from flocknode.crypto.hashing import seed_commitment, seeds_hash
from flocknode.primitives import Address, Digest
from flocknode.protocol.proofs import (
    Accuse,
    AnswerDemand,
    CloseAccusation,
    CloseDemand,
    DemandSeed,
    OpenCommitment,
    Punish,
)
from flocknode.protocol.verdicts import (
    CommitmentOpened,
    DemandUnanswered,
    DutyMissed,
    Offence,
    SeatAccused,
    SeedAnswered,
    SeedDemanded,
)
from flocknode.sim import schedule, stakes
from flocknode.sim.abi import bits, require
from flocknode.sim.evidence import (
    PROPOSAL_PHASES,
    SET_PHASES,
    attempt_of,
    column_seats,
    mask_root_of,
    open_record,
    require_signed,
    terms_of,
)
from flocknode.sim.judging import Consequence, hold, judge, release
from flocknode.sim.slashing import record
from flocknode.sim.state import Accusation, Demand, Phase, Round, Transaction

MEMORY_ROUNDS: Final = 32
DEMANDS_MAX: Final = 64


def demand_seed(tx: Transaction, call: DemandSeed) -> None:
    """Ask for a seed of the caller's column; proposals wait for the answer."""
    require_bond(tx, call.bond)
    attempt = attempt_of(tx, call.task)
    is_open = attempt.phase in {Phase.INCLUDED, Phase.DEMANDED}
    require(is_open, "DutyManagerWrongPhase")
    assert attempt.accepted is not None
    terms, accepted_at = terms_of(tx, call.task), attempt.accepted.accepted_at
    require(tx.now < schedule.demands_until(terms, accepted_at), "DutyManagerTooLate")
    is_member = call.position < attempt.accepted.trainers.bit_count()
    require(is_member, "DutyManagerPosition")
    require(call.seat < terms.seats, "DutyManagerUnknownSeat")
    require(tx.sender == attempt.signers[call.seat], "DutyManagerNotSigner")
    # Who signed the set said that it holds all seeds.
    require(not attempt.include_seats >> call.seat & 1, "DutyManagerHoldsSeed")
    count_asked(tx, attempt.ctx, DEMANDS_MAX)
    key = (attempt.ctx, call.position)
    require(key not in tx.state.demands, "DutyManagerSeedGiven")
    column = call.seat % terms.columns
    tx.state.demands[key] = Demand(tx.sender, column)
    hold(tx, call.task)
    end = schedule.demand_end(terms, accepted_at)
    at = (call.task, attempt.round, attempt.attempt)
    tx.emit(SeedDemanded(*at, call.position, column, call.seat, end))


def answer_demand(tx: Transaction, call: AnswerDemand) -> None:
    """Give the seed; the answerer gets the bond."""
    attempt = attempt_of(tx, call.task)
    require(attempt.phase is Phase.DEMANDED, "DutyManagerWrongPhase")
    assert attempt.accepted is not None
    terms = terms_of(tx, call.task)
    end = schedule.demand_end(terms, attempt.accepted.accepted_at)
    require(tx.now < end, "DutyManagerTooLate")
    demand = _open_demand(tx, attempt.ctx, call.position)
    require(len(call.others) == terms.columns - 1, "DutyManagerLength")
    included = attempt.accepted.trainers.bit_count()
    data = open_record(attempt, included, call.position, call.opening)
    commitments = list(call.others)
    trainer = Address(data[76:96])
    own = seed_commitment(attempt.ctx, trainer, demand.column, call.seed)
    commitments.insert(demand.column, own)
    require(seeds_hash(commitments) == data[192:224], "DutyManagerWrongSeed")
    tx.state.demands[attempt.ctx, call.position] = replace(demand, demander=None)
    at = (call.task, attempt.round, attempt.attempt)
    tx.emit(SeedAnswered(*at, call.position, demand.column, Digest(call.seed)))
    release(tx, call.task)
    stakes.give_coins(tx, tx.sender, tx.rules.challenge_bond)


def close_demand(tx: Transaction, call: CloseDemand) -> None:
    """Abort for a demand that nobody answered, or free one whose attempt is over."""
    demand = _open_demand(tx, call.ctx, call.position)
    assert demand.demander is not None
    attempt = attempt_of(tx, call.task)
    if attempt.ctx == call.ctx and attempt.phase is Phase.DEMANDED:
        assert attempt.accepted is not None
        terms = terms_of(tx, call.task)
        end = schedule.demand_end(terms, attempt.accepted.accepted_at)
        require(tx.now >= end, "DutyManagerTooEarly")
        absent = attempt.include_seats & column_seats(terms, demand.column)
        at = (call.task, attempt.round, attempt.attempt)
        tx.emit(DemandUnanswered(*at, call.position, demand.column))
        for seat in bits(absent):
            _miss(tx, call.task, attempt, attempt.committee[seat], demand.demander)
        judge(tx, call.task, 0, absent, Consequence.ABORT)
    tx.state.demands[call.ctx, call.position] = replace(demand, demander=None)
    stakes.give_coins(tx, demand.demander, tx.rules.challenge_bond)


def accuse(tx: Transaction, call: Accuse) -> None:
    """Ask a seat of the set for its mask root."""
    require_bond(tx, call.bond)
    attempt = _with_commitments(tx, call.task)
    assert attempt.accepted is not None
    terms = terms_of(tx, call.task)
    start = schedule.root_deadline(terms, attempt.accepted.accepted_at)
    require(tx.now >= start, "DutyManagerTooEarly")
    require(call.seat < terms.seats, "DutyManagerUnknownSeat")
    silent = attempt.include_seats & ~_answered(tx, attempt)
    require(bool(silent >> call.seat & 1), "DutyManagerNotSilent")
    key = (attempt.ctx, call.seat)
    require(key not in tx.state.accusations, "DutyManagerAlreadyAsked")
    deadline = tx.now + schedule.answer_time(terms)
    tx.state.accusations[key] = Accusation(tx.sender, deadline)
    tx.emit(SeatAccused(call.task, attempt.round, attempt.attempt, call.seat, deadline))


def open_commitment(tx: Transaction, call: OpenCommitment) -> None:
    """Record a seat's MASK_ROOT; it answers an accusation."""
    attempt = _with_commitments(tx, call.task)
    assert attempt.accepted is not None
    terms = terms_of(tx, call.task)
    end = schedule.demand_end(terms, attempt.accepted.accepted_at)
    require(tx.now >= end + terms.windows.finality, "DutyManagerTooEarly")
    require(call.seat < terms.seats, "DutyManagerUnknownSeat")
    opened = tx.state.opened.get(attempt.ctx, 0)
    require(not opened >> call.seat & 1, "DutyManagerNotSilent")
    column = call.seat % terms.columns
    statement = mask_root_of(attempt, column, call.root, terms.integers.words)
    require_signed(tx, attempt, 1 << call.seat, statement, call.signature)
    tx.state.opened[attempt.ctx] = opened | 1 << call.seat
    at = (call.task, attempt.round, attempt.attempt)
    tx.emit(CommitmentOpened(*at, call.seat, column, call.root))
    if _close_accusation(tx, attempt.ctx, call.seat):
        stakes.give_coins(tx, tx.sender, tx.rules.challenge_bond)


def close_accusation(tx: Transaction, call: CloseAccusation) -> None:
    """Count a missed duty of a silent seat, unless most seats are silent."""
    accusation = tx.state.accusations.get((call.ctx, call.seat))
    accuser = _close_accusation(tx, call.ctx, call.seat)
    require(accuser is not None, "DutyManagerNotAsked")
    assert accuser is not None
    assert accusation is not None
    attempt = attempt_of(tx, call.task)
    if attempt.ctx == call.ctx and attempt.phase in SET_PHASES:
        require(tx.now >= accusation.deadline, "DutyManagerTooEarly")
        answered = _answered(tx, attempt).bit_count()
        if 2 * answered >= terms_of(tx, call.task).seats:
            judge(tx, call.task, 0, 1 << call.seat, Consequence.NONE)
            _miss(tx, call.task, attempt, attempt.committee[call.seat], accuser)
    stakes.give_coins(tx, accuser, tx.rules.challenge_bond)


def require_bond(tx: Transaction, bond: int) -> None:
    require(bond == tx.rules.challenge_bond, "DutyManagerWrongBond")


def count_asked(tx: Transaction, key: Digest, limit: int) -> None:
    """Count what was asked under ``key``, and refuse what goes beyond the limit."""
    asked = tx.state.asked.get(key, 0) + 1
    require(asked <= limit, "DutyManagerTooMany")
    tx.state.asked[key] = asked


def _open_demand(tx: Transaction, ctx: Digest, position: int) -> Demand:
    demand = tx.state.demands.get((ctx, position))
    require(demand is not None and demand.demander is not None, "DutyManagerNotAsked")
    assert demand is not None
    return demand


def _with_commitments(tx: Transaction, task: int) -> Round:
    attempt = attempt_of(tx, task)
    is_fit = attempt.phase in SET_PHASES and attempt.phase is not Phase.DEMANDED
    require(is_fit, "DutyManagerWrongPhase")
    return attempt


def _answered(tx: Transaction, attempt: Round) -> int:
    """Return the seats that opened their commitment on chain or signed what stands."""
    proposed = attempt.propose_seats if attempt.phase in PROPOSAL_PHASES else 0
    return tx.state.opened.get(attempt.ctx, 0) | proposed


def _close_accusation(tx: Transaction, ctx: Digest, seat: int) -> Address | None:
    """Close a seat's accusation for good; return who brought it, if it was open."""
    accusation = tx.state.accusations.get((ctx, seat), Accusation(None, 0))
    tx.state.accusations[ctx, seat] = replace(accusation, accuser=None)
    return accusation.accuser


def _miss(tx: Transaction, task: int, attempt: Round, validator: int, finder: Address) -> None:
    """Remember a missed duty; the second one within ``MEMORY_ROUNDS`` costs stake as well."""
    last = tx.state.missed.get((task, validator))
    is_second = last is not None and attempt.round - last < MEMORY_ROUNDS
    tx.state.missed[task, validator] = attempt.round
    at = (task, attempt.round, attempt.attempt)
    tx.emit(DutyMissed(*at, validator, is_second))
    if is_second:
        record(tx, Punish(*at, Offence.MISSED_DUTY, attempt.ctx, (validator,)), 0, finder)
