"""RoundManager: how an attempt gets its committee."""

from dataclasses import replace

from flocknode.crypto.hashing import committee_hash
from flocknode.messages.statements import Context, statement_digest
from flocknode.primitives import Digest
from flocknode.protocol.ledger import CommitteeDrawn, RoundOpened
from flocknode.sim import beacon, pay, stakes
from flocknode.sim.abi import CallReverted, keccak_words
from flocknode.sim.draw import permute
from flocknode.sim.state import Phase, Round, Transaction


def open_attempt(tx: Transaction, task: int, attempt: Round) -> None:
    """Open an attempt: drawn within an epoch, else waiting for the beacon, drawing if it can.

    It stays idle if the beacon cannot be asked, so that nothing that leads here can be blocked.
    """
    if not _needs_draw(tx, task, attempt.round, attempt.attempt):
        tx.emit(_opened(task, attempt, request=0))
        seed = keccak_words(attempt.epoch_seed, attempt.round)
        _seat(tx, task, attempt, seed, attempt.committee)
        return
    request = attempt.request or _ask(tx, task, attempt.round, attempt.attempt)
    waiting = replace(attempt, phase=Phase.DRAWING if request else Phase.IDLE, request=request)
    tx.state.rounds[task] = waiting
    if request:
        tx.emit(_opened(task, waiting, request))
        if beacon.seed(tx, request).ready:
            draw_committee(tx, task, waiting)


def draw_committee(tx: Transaction, task: int, attempt: Round) -> None:
    """Turn the beacon's value into an epoch's committee; weights may change again."""
    seed = beacon.seed(tx, attempt.request).value
    committee = _choose(tx, task, attempt, seed)
    tx.state.freezes -= 1
    drawn = replace(attempt, request=0, epoch_seed=seed, no_shows=())
    _seat(tx, task, drawn, seed, committee)


def ask_ahead(tx: Transaction, task: int) -> None:
    """Ask for the next epoch's draw, so that its reveals run during the challenge window.

    Nothing is asked for a round that could not be paid: it would keep all weights frozen.
    """
    attempt = tx.state.rounds[task]
    following = attempt.round + 1
    if attempt.request:
        return
    is_over = following >= tx.state.tasks[task].specification.terms.rounds
    if is_over or not _needs_draw(tx, task, following, 0) or not pay.is_funded(tx, task, rounds=2):
        return
    request = _ask(tx, task, following, 0)
    tx.state.rounds[task] = replace(attempt, request=request)


def _needs_draw(tx: Transaction, task: int, round_: int, attempt: int) -> bool:
    """Tell whether the beacon is needed: at an epoch's first round and after every abort."""
    epoch_rounds = tx.state.tasks[task].specification.terms.epoch_rounds
    return attempt > 0 or round_ % epoch_rounds == 0


def _ask(tx: Transaction, task: int, round_: int, attempt: int) -> int:
    """Ask the beacon, paid from the pool, and freeze weights; return 0 if that is impossible."""
    seats = tx.state.tasks[task].specification.terms.seats
    if stakes.eligible_organisations(tx.state) < seats:
        return 0
    fee = pay.take_gas(tx, task, beacon.duties(tx) * pay.REVEAL_GAS)
    before = tx.state.copy()
    try:
        request = beacon.request(tx, keccak_words(task, round_, attempt), fee)
    except CallReverted:
        tx.state = before
        pay.return_gas(tx, task, fee)
        return 0
    tx.state.freezes += 1
    return request


def _choose(tx: Transaction, task: int, attempt: Round, seed: Digest) -> tuple[int, ...]:
    """Draw a new committee; within an epoch those who showed up stay, in other columns."""
    terms = tx.state.tasks[task].specification.terms
    is_fresh = attempt.attempt == 0
    if (is_fresh and not attempt.no_shows) or not attempt.committee:
        return stakes.draw(tx, seed, terms.seats)
    if is_fresh or terms.epoch_rounds == 1:
        is_enough = stakes.eligible_organisations(tx.state, attempt.no_shows) >= terms.seats
        return stakes.draw(tx, seed, terms.seats, attempt.no_shows if is_enough else ())
    return permute(seed, _with_gaps_filled(tx, attempt, seed))


def _with_gaps_filled(tx: Transaction, attempt: Round, seed: Digest) -> tuple[int, ...]:
    """Return the present, then as many others as there are, then no-shows for what is left."""
    present = tuple(v for v in attempt.committee if v not in attempt.no_shows)
    others = stakes.eligible_organisations(tx.state, attempt.committee)
    fresh = stakes.draw(tx, seed, min(others, len(attempt.no_shows)), attempt.committee)
    return (*present, *fresh, *attempt.no_shows[: len(attempt.no_shows) - len(fresh)])


def _seat(
    tx: Transaction, task: int, attempt: Round, seed: Digest, committee: tuple[int, ...]
) -> None:
    """Start an attempt with its committee seated; every statement will bind its ctx."""
    signers = tuple(tx.state.validators[v].signer for v in committee)
    context = Context(
        task=task,
        round=attempt.round,
        attempt=attempt.attempt,
        model_root=attempt.model_root,
        seed=seed,
        committee_hash=committee_hash(committee, signers),
        roster_root=tx.state.tasks[task].specification.roster_root,
    )
    seated = replace(
        attempt,
        phase=Phase.COLLECTING,
        seed=seed,
        ctx=statement_digest(tx.rules.domain, context),
        committee=committee,
        signers=signers,
        drawn_at=tx.now,
        roll=0,
        slashed=0,
        accepted=None,
        proposal=None,
    )
    tx.state.rounds[task] = seated
    tx.emit(_drawn(task, seated))


def _drawn(task: int, attempt: Round) -> CommitteeDrawn:
    return CommitteeDrawn(
        task=task,
        round=attempt.round,
        attempt=attempt.attempt,
        model_root=attempt.model_root,
        seed=attempt.seed,
        ctx=attempt.ctx,
        committee=attempt.committee,
        signers=attempt.signers,
        drawn_at=attempt.drawn_at,
        frozen_trainers=attempt.frozen_trainers,
    )


def _opened(task: int, attempt: Round, request: int) -> RoundOpened:
    return RoundOpened(task, attempt.round, attempt.attempt, attempt.model_root, request)
