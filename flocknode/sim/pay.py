"""RoundManager: what a settled round owes, claims, and refunds to relayers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from flocknode.crypto.merkle import TreeKind, verify_path
from flocknode.primitives import Address, Digest
from flocknode.sim import stakes
from flocknode.sim.abi import require
from flocknode.sim.state import Pool, Round, Settlement, Transaction

RECORD_BYTES: Final = 321
"""Eight words and a signature of 65 bytes: a leaf of the inclusion tree."""
GAS_REFUNDED: Final = {
    "draw": 300_000,
    "include": 300_000,
    "roll call": 80_000,
    "propose": 250_000,
    "settle": 200_000,
    "poke": 150_000,
}


@dataclass(frozen=True, slots=True)
class ContributionClaim:
    """A trainer's leaf in a settled inclusion tree (Types.sol)."""

    round: int
    position: int
    record: bytes
    path: tuple[Digest, ...]


def fund(tx: Transaction, task: int, rewards: int, gas: int) -> None:
    """Add tokens and native coin to a task's pool; the creator's part."""
    require(task in tx.state.tasks, "RoundManagerUnknownTask")
    require(tx.sender == tx.state.tasks[task].creator, "RoundManagerNotCreator")
    stakes.take_tokens(tx, tx.sender, rewards)
    pool = tx.state.pools[task]
    tx.state.pools[task] = Pool(pool.rewards + rewards, pool.gas + gas)


def is_funded(tx: Transaction, task: int, rounds: int = 1) -> bool:
    """Say whether the pool holds the whole reward of so many rounds."""
    reward = tx.state.tasks[task].specification.reward_per_round
    return tx.state.pools[task].rewards >= rounds * reward


def credit_round(tx: Transaction, task: int, attempt: Round) -> None:
    """Split a round's reward into equal shares; what division leaves stays in the pool."""
    assert attempt.accepted is not None
    assert attempt.proposal is not None
    specification = tx.state.tasks[task].specification
    for_trainers = specification.reward_per_round * specification.trainer_share_bps // 10_000
    for_seats = specification.reward_per_round - for_trainers
    contributions = attempt.accepted.trainers.bit_count()
    bits_set = attempt.accepted.seats.bit_count() + attempt.proposal.seats.bit_count()
    settlement = Settlement(
        ctx=attempt.ctx,
        inclusion_root=attempt.accepted.inclusion_root,
        trainers=attempt.accepted.trainers,
        committee=attempt.committee,
        include_seats=attempt.accepted.seats,
        propose_seats=attempt.proposal.seats,
        trainer_share=for_trainers // contributions,
        seat_share=for_seats // bits_set,
    )
    owed = settlement.trainer_share * contributions + settlement.seat_share * bits_set
    pool = tx.state.pools[task]
    tx.state.pools[task] = replace(pool, rewards=pool.rewards - owed)
    tx.state.settlements[task, attempt.round] = settlement


def claim_trainer(tx: Transaction, task: int, claims: Sequence[ContributionClaim]) -> None:
    """Pay the trainers whose headers lie under settled inclusion roots; anyone may bring them."""
    for claim in claims:
        settlement = _settlement(tx, task, claim.round)
        index, trainer = _proven(settlement, claim)
        require(not settlement.trainers_paid >> index & 1, "RoundManagerAlreadyClaimed")
        paid = replace(settlement, trainers_paid=settlement.trainers_paid | 1 << index)
        tx.state.settlements[task, claim.round] = paid
        stakes.give_tokens(tx, trainer, settlement.trainer_share)


def claim_seats(tx: Transaction, task: int, validator: int, rounds: Sequence[int]) -> None:
    """Pay a validator's owner for its seat's bits in settled rounds."""
    for round_ in rounds:
        settlement = _settlement(tx, task, round_)
        require(validator in settlement.committee, "RoundManagerNotSeated")
        require(validator not in settlement.validators_paid, "RoundManagerAlreadyClaimed")
        seat = settlement.committee.index(validator)
        count = (settlement.include_seats >> seat & 1) + (settlement.propose_seats >> seat & 1)
        paid = replace(settlement, validators_paid=(*settlement.validators_paid, validator))
        tx.state.settlements[task, round_] = paid
        owner = tx.state.validators[validator].owner
        stakes.give_tokens(tx, owner, count * settlement.seat_share)


def refund(tx: Transaction, task: int, call: str) -> None:
    """Credit the relayer of a call that changed state, as far as the pool reaches."""
    price = min(tx.rules.gas_price, tx.rules.gas_price_cap)
    pool = tx.state.pools[task]
    amount = min(GAS_REFUNDED[call] * price, pool.gas)
    tx.state.pools[task] = replace(pool, gas=pool.gas - amount)
    tx.state.refunds[tx.sender] = tx.state.refunds.get(tx.sender, 0) + amount


def withdraw_refund(tx: Transaction) -> int:
    """Pay out a relayer's credit in native coin."""
    amount = tx.state.refunds.pop(tx.sender, 0)
    require(amount > 0, "RoundManagerNothingToWithdraw")
    return amount


def _settlement(tx: Transaction, task: int, round_: int) -> Settlement:
    require((task, round_) in tx.state.settlements, "RoundManagerNotSettled")
    return tx.state.settlements[task, round_]


def _proven(settlement: Settlement, claim: ContributionClaim) -> tuple[int, Address]:
    """Return roster index and trainer of a record that lies under the settled root."""
    require(len(claim.record) == RECORD_BYTES, "RoundManagerBadClaim")
    count = settlement.trainers.bit_count()
    proven = verify_path(
        settlement.inclusion_root,
        TreeKind.INCLUSION,
        RECORD_BYTES * count,
        claim.position,
        claim.record,
        claim.path,
        leaf_bytes=RECORD_BYTES,
    )
    require(proven, "RoundManagerBadClaim")
    require(claim.record[:32] == settlement.ctx, "RoundManagerBadClaim")
    index = int.from_bytes(claim.record[32:64], "big")
    require(index < 256 and settlement.trainers >> index & 1 == 1, "RoundManagerBadClaim")
    return index, Address(claim.record[76:96])
