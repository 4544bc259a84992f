"""SlashingManager: wrong mask sums, disproved by the seeds of one column at most."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from flocknode.crypto.hashing import seed_commitment, seeds_hash
from flocknode.crypto.masks import BLOCK_BYTES, keystream_block
from flocknode.crypto.merkle import LEAF_BYTES, TreeKind, tree_root
from flocknode.messages.statements import RECORD_BYTES, Header
from flocknode.model.terms import IntegerTerms, TaskTerms
from flocknode.primitives import Address, Digest
from flocknode.protocol.proofs import CloseChallenge, OpenChallenge, OpenedContribution, OpenSeeds
from flocknode.protocol.verdicts import ChallengeClosed, ChallengeOpened, ColumnOpened, Offence
from flocknode.sim import pay, schedule, stakes
from flocknode.sim.abi import bits, require
from flocknode.sim.evidence import (
    attempt_of,
    column_seats,
    is_accepted,
    mask_root_of,
    open_leaf,
    require_signed,
    terms_of,
)
from flocknode.sim.judging import Consequence, hold, judge, release
from flocknode.sim.slashing import convict
from flocknode.sim.state import ZERO_ADDRESS, Challenge, Phase, Round, Transaction

GROUP_BYTES: Final = 32


def open_challenge(tx: Transaction, call: OpenChallenge) -> None:
    """Lock the attempt for a seat whose own root differs, or spend it after another column."""
    task = call.proposal.task
    require(call.bond == tx.rules.challenge_bond, "SlashingManagerWrongBond")
    attempt = attempt_of(tx, task)
    require(is_accepted(attempt, call.proposal), "SlashingManagerNotAccepted")
    column = _require_challenger(tx, attempt, call)
    challenge = tx.state.challenges.get(attempt.ctx, Challenge())
    require(challenge.opened != column, "SlashingManagerColumnOpen")
    require(not _is_locked(attempt, challenge), "SlashingManagerLocked")
    require(not challenge.tried >> call.seat & 1, "SlashingManagerAlreadyTried")
    if challenge.locked_at is not None:
        _unlock(tx, task, attempt.ctx, challenge.challenger)
    tried = tx.state.challenges.get(attempt.ctx, Challenge())
    tried = replace(tried, tried=tried.tried | 1 << call.seat)
    tx.state.challenges[attempt.ctx] = tried
    if challenge.opened is not None:
        judge(tx, task, 0, 0, Consequence.SPEND)
        stakes.give_coins(tx, tx.sender, call.bond)
        return
    locked = replace(
        tried,
        seat=call.seat,
        strikes=attempt.strikes,
        locked_at=tx.now,
        challenger=tx.sender,
        root=call.root,
    )
    tx.state.challenges[attempt.ctx] = locked
    hold(tx, task)
    at = (task, attempt.round, attempt.attempt)
    tx.emit(ChallengeOpened(*at, column, call.seat, *_lock_times(terms_of(tx, task), locked)))


def open_seeds(tx: Transaction, call: OpenSeeds) -> None:
    """Recompute a group of the mask sum; exactly one of the two roots is wrong there."""
    task = call.proposal.task
    attempt = attempt_of(tx, task)
    require(is_accepted(attempt, call.proposal), "SlashingManagerNotAccepted")
    challenge = tx.state.challenges.get(attempt.ctx, Challenge())
    is_open = challenge.opened is not None and challenge.opened == call.column
    terms = terms_of(tx, task)
    if not is_open:
        _require_lock(tx, terms, attempt, challenge, call.column)
    require(call.column < terms.columns, "SlashingManagerUnknownColumn")
    expected = _mask_group(attempt, terms, call)
    used = _group(terms.integers, call.proposal.mask_roots[call.column], call.group, call.used)
    if used != expected[: len(used)]:
        finder = tx.sender if is_open else challenge.challenger
        if not is_open:
            _unlock(tx, task, attempt.ctx, finder)
        opened = replace(tx.state.challenges[attempt.ctx], opened=call.column)
        tx.state.challenges[attempt.ctx] = opened
        tx.emit(ColumnOpened(task, attempt.round, attempt.attempt, call.column))
        liars = _liars(tx, attempt, terms, call)
        convict(tx, task, Offence.WRONG_MASK_SUM, liars, Consequence.STRIKE, finder)
        return
    require(not is_open, "SlashingManagerSound")
    own = _group(terms.integers, challenge.root, call.group, call.own)
    require(own != expected[: len(own)], "SlashingManagerSameLeaves")
    _unlock(tx, task, attempt.ctx, None)
    release(tx, task)
    seat = 1 << challenge.seat
    convict(tx, task, Offence.WRONG_MASK_SUM, seat, Consequence.NONE, tx.sender)


def close_challenge(tx: Transaction, call: CloseChallenge) -> None:
    """Free a lock whose time is over, or give the bond back where the proposal fell."""
    challenge = tx.state.challenges.get(call.ctx, Challenge())
    require(challenge.locked_at is not None, "SlashingManagerNotLocked")
    attempt = attempt_of(tx, call.task)
    if attempt.ctx != call.ctx or not _is_locked(attempt, challenge):
        _unlock(tx, call.task, call.ctx, challenge.challenger)
        return
    _, deadline = _lock_times(terms_of(tx, call.task), challenge)
    require(tx.now >= deadline, "SlashingManagerTooEarly")
    _unlock(tx, call.task, call.ctx, None)
    release(tx, call.task)


def _require_challenger(tx: Transaction, attempt: Round, call: OpenChallenge) -> int:
    """Refuse who may not challenge; return the seat's column."""
    terms = terms_of(tx, call.proposal.task)
    require(call.seat < terms.seats, "SlashingManagerUnknownSeat")
    require(not attempt.slashed >> call.seat & 1, "SlashingManagerSlashedSeat")
    require(tx.sender == attempt.signers[call.seat], "SlashingManagerNotSigner")
    column = call.seat % terms.columns
    require(call.proposal.mask_roots[column] != call.root, "SlashingManagerSameRoot")
    statement = mask_root_of(attempt, column, call.root, terms.integers.words)
    require_signed(tx, attempt, 1 << call.seat, statement, call.signature)
    return column


def _is_locked(attempt: Round, challenge: Challenge) -> bool:
    is_same = challenge.strikes == attempt.strikes and attempt.phase is Phase.DISPUTED
    return challenge.locked_at is not None and is_same


def _require_lock(
    tx: Transaction, terms: TaskTerms, attempt: Round, challenge: Challenge, column: int
) -> None:
    """Seeds are for a lock that is final."""
    is_locked = _is_locked(attempt, challenge) and challenge.seat % terms.columns == column
    require(is_locked, "SlashingManagerNotLocked")
    opens_at, deadline = _lock_times(terms, challenge)
    require(tx.now >= opens_at, "SlashingManagerTooEarly")
    require(tx.now < deadline, "SlashingManagerTooLate")


def _lock_times(terms: TaskTerms, challenge: Challenge) -> tuple[int, int]:
    assert challenge.locked_at is not None
    opens_at = challenge.locked_at + terms.windows.finality
    return opens_at, opens_at + schedule.answer_time(terms)


def _unlock(tx: Transaction, task: int, ctx: Digest, bond_to: Address | None) -> None:
    """End a lock; its bond goes to ``bond_to``, or to the task's gas pool."""
    challenge = tx.state.challenges[ctx]
    tx.state.challenges[ctx] = replace(challenge, locked_at=None)
    tx.emit(ChallengeClosed(task, ctx, challenge.seat, bond_to or ZERO_ADDRESS))
    if bond_to is None:
        pay.return_gas(tx, task, tx.rules.challenge_bond)
    else:
        stakes.give_coins(tx, bond_to, tx.rules.challenge_bond)


def _mask_group(attempt: Round, terms: TaskTerms, call: OpenSeeds) -> bytes:
    """Return the group's 32 bytes from seeds that are those of the set's headers."""
    assert attempt.accepted is not None
    members = bits(attempt.accepted.trainers)
    require(len(call.contributions) == len(members), "SlashingManagerLength")
    records = b"".join(
        _record(attempt.ctx, terms, index, call.column, it)
        for index, it in zip(members, call.contributions, strict=True)
    )
    root = tree_root(TreeKind.INCLUSION, records, RECORD_BYTES)
    require(root == attempt.accepted.inclusion_root, "SlashingManagerWrongSeeds")
    seeds = (it.seed for it in call.contributions)
    return mask_group(seeds, call.group, terms.integers.width)


def mask_group(seeds: Iterable[bytes], group: int, width: int) -> bytes:
    """Return 32 bytes of the seeds' mask sum, as the contract recomputes them."""
    start = group * GROUP_BYTES % BLOCK_BYTES
    total = np.zeros(GROUP_BYTES * 8 // width, f"<u{width // 8}")
    for seed in seeds:
        block = keystream_block(seed, group * GROUP_BYTES // BLOCK_BYTES)
        total += np.frombuffer(block[start : start + GROUP_BYTES], total.dtype)
    return total.tobytes()


def _record(
    ctx: Digest, terms: TaskTerms, index: int, column: int, it: OpenedContribution
) -> bytes:
    commitments = list(it.others)
    commitments.insert(column, seed_commitment(ctx, it.trainer, column, it.seed))
    place = (ctx, index, it.trainer, it.root, terms.integers.words, terms.integers.width)
    return Header(*place, seeds_hash(commitments), it.capsules_hash).record(it.signature)


def _group(terms: IntegerTerms, root: Digest, group: int, opening: bytes) -> bytes:
    """Return the bytes of a group, fewer at the vector's end."""
    length = terms.words * terms.width // 8
    require(group * GROUP_BYTES < length, "SlashingManagerGroup")
    position, start = divmod(group * GROUP_BYTES, LEAF_BYTES)
    leaf = open_leaf(root, TreeKind.MASK_SUM, length, position, opening)
    return leaf[start : start + GROUP_BYTES]


def _liars(tx: Transaction, attempt: Round, terms: TaskTerms, call: OpenSeeds) -> int:
    """Return the column's seats that signed the wrong root, as MASK_ROOT or in the proposal."""
    mates = column_seats(terms, call.column)
    require(call.accused & ~mates == 0, "SlashingManagerUnknownSeat")
    used = call.proposal.mask_roots[call.column]
    statement = mask_root_of(attempt, call.column, used, terms.integers.words)
    require_signed(tx, attempt, call.accused, statement, b"".join(call.accused_signatures))
    return call.accused | call.proposal.seats & mates
