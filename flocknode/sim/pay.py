"""RoundManager: what a settled round owes, claims, and refunds to relayers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from flocknode.crypto.merkle import TreeKind, verify_path
from flocknode.messages.statements import RECORD_BYTES
from flocknode.primitives import Address, Digest
from flocknode.sim import delegation, stakes
from flocknode.sim.abi import require
from flocknode.sim.stakes import give_coins
from flocknode.sim.state import Phase, Pool, Round, Settlement, Transaction

AMOUNT_MAX: Final = (1 << 96) - 1
"""Largest amount of one call."""
# Fixed numbers at or below what the calls cost, so that no call pays for itself.
OPEN_GAS: Final = 150_000
DRAW_GAS: Final = 70_000
DRAW_SEAT_GAS: Final = 9_000
INCLUDE_GAS: Final = 100_000
INCLUDE_SEAT_GAS: Final = 8_000
ROLL_CALL_GAS: Final = 60_000
PROPOSE_GAS: Final = 80_000
PROPOSE_SEAT_GAS: Final = 7_000
SETTLE_GAS: Final = 60_000
ASK_GAS: Final = 70_000
"""Of the beacon, ahead of the next epoch."""
SEAT_GAS: Final = 6_000
"""Of a seat of the round that a settlement opens."""
POKE_GAS: Final = 60_000
REVEAL_GAS: Final = 37_000


@dataclass(frozen=True, slots=True)
class ContributionClaim:
    """A trainer's leaf in a settled inclusion tree (Types.sol)."""

    round: int
    position: int
    record: bytes
    path: tuple[Digest, ...]


def fund(tx: Transaction, task: int, rewards: int, gas: int) -> None:
    """Add tokens and native coin to a task's pool; anyone may."""
    require(task in tx.state.tasks, "TaskRegistryUnknownTask")
    require(rewards + gas > 0 and max(rewards, gas) <= AMOUNT_MAX, "RoundManagerAmount")
    pool = tx.state.pools[task]
    tx.state.pools[task] = Pool(pool.rewards + rewards, pool.gas + gas)
    stakes.take_tokens(tx, tx.sender, rewards)


def withdraw_purse(tx: Transaction, task: int) -> None:
    """Return what is not reserved to the creator, while no attempt is under way."""
    require(task in tx.state.tasks, "TaskRegistryUnknownTask")
    require(tx.sender == tx.state.tasks[task].creator, "RoundManagerNotCreator")
    idle = {Phase.IDLE, Phase.PAUSED}
    require(tx.state.rounds[task].phase in idle, "RoundManagerWrongPhase")
    pool = tx.state.pools[task]
    tx.state.pools[task] = Pool()
    stakes.give_tokens(tx, tx.sender, pool.rewards)
    give_coins(tx, tx.sender, pool.gas)


def is_funded(tx: Transaction, task: int, rounds: int) -> bool:
    """Tell whether the pool holds the whole reward of so many rounds."""
    reward = tx.state.tasks[task].specification.reward_per_round
    return tx.state.pools[task].rewards >= rounds * reward


def credit_round(tx: Transaction, task: int, attempt: Round) -> None:
    """Split a round's reward, or what is left of the pool, into equal shares.

    What division leaves stays in the pool.
    """
    assert attempt.accepted is not None
    specification = tx.state.tasks[task].specification
    pool = tx.state.pools[task]
    reward = min(specification.reward_per_round, pool.rewards)
    for_trainers = reward * specification.trainer_share_bps // 10_000
    contributions = attempt.accepted.trainers.bit_count()
    bits_set = attempt.include_seats.bit_count() + attempt.propose_seats.bit_count()
    settlement = Settlement(
        inclusion_root=attempt.accepted.inclusion_root,
        included=contributions,
        committee=attempt.committee,
        include_seats=attempt.include_seats,
        propose_seats=attempt.propose_seats,
        trainer_share=for_trainers // contributions,
        # Verdicts may leave no seat to pay.
        seat_share=(reward - for_trainers) // bits_set if bits_set else 0,
    )
    owed = settlement.trainer_share * contributions + settlement.seat_share * bits_set
    tx.state.pools[task] = replace(pool, rewards=pool.rewards - owed)
    tx.state.settlements[task, attempt.round] = settlement


def claim_trainer(tx: Transaction, task: int, claims: Sequence[ContributionClaim]) -> None:
    """Pay the trainers whose records lie under settled inclusion roots; anyone may bring them."""
    for claim in claims:
        settlement = _settlement(tx, task, claim.round)
        _require_record(settlement, claim)
        paid = settlement.trainers_paid
        require(not paid >> claim.position & 1, "RoundPayAlreadyClaimed")
        tx.state.settlements[task, claim.round] = replace(
            settlement, trainers_paid=paid | 1 << claim.position
        )
        trainer = Address(claim.record[76:96])
        stakes.give_tokens(tx, trainer, settlement.trainer_share)


def claim_seats(tx: Transaction, task: int, validator: int, rounds: Sequence[int]) -> None:
    """Pay a validator's owner and delegators for its seat's bits in settled rounds."""
    amount = 0
    for round_ in rounds:
        settlement = _settlement(tx, task, round_)
        require(validator in settlement.committee, "RoundPayNotSeated")
        seat = settlement.committee.index(validator)
        paid = settlement.seats_paid
        require(not paid >> seat & 1, "RoundPayAlreadyClaimed")
        tx.state.settlements[task, round_] = replace(settlement, seats_paid=paid | 1 << seat)
        bits_set = (settlement.include_seats >> seat & 1) + (settlement.propose_seats >> seat & 1)
        amount += bits_set * settlement.seat_share
    if amount:
        due = delegation.credit_reward(tx, validator, amount)
        stakes.give_tokens(tx, stakes.owner_of(tx.state, validator), due)


def refund(tx: Transaction, task: int, gas: int) -> None:
    """Credit the relayer of a call that changed state, as far as the pool reaches."""
    amount = take_gas(tx, task, gas)
    if amount:
        tx.state.refunds[tx.sender] = tx.state.refunds.get(tx.sender, 0) + amount


def take_gas(tx: Transaction, task: int, gas: int) -> int:
    """Take the price of ``gas`` out of the pool, or all that is left."""
    pool = tx.state.pools[task]
    amount = min(gas * min(tx.rules.gas_price, tx.rules.gas_price_max), pool.gas)
    tx.state.pools[task] = replace(pool, gas=pool.gas - amount)
    return amount


def return_gas(tx: Transaction, task: int, amount: int) -> None:
    """Put back what was taken for a call that could not be made."""
    pool = tx.state.pools[task]
    tx.state.pools[task] = replace(pool, gas=pool.gas + amount)


def withdraw_refund(tx: Transaction) -> int:
    """Pay out a relayer's credit in native coin."""
    amount = tx.state.refunds.pop(tx.sender, 0)
    require(amount > 0, "RoundManagerAmount")
    give_coins(tx, tx.sender, amount)
    return amount


def _settlement(tx: Transaction, task: int, round_: int) -> Settlement:
    require((task, round_) in tx.state.settlements, "RoundPayNotSettled")
    return tx.state.settlements[task, round_]


def _require_record(settlement: Settlement, claim: ContributionClaim) -> None:
    """Check that a record is the leaf at its position under the settled root."""
    count = settlement.included
    require(len(claim.record) == RECORD_BYTES, "InclusionTreeRecordLength")
    require(claim.position < count, "InclusionTreePosition")
    require(len(claim.path) == _path_length(claim.position, count), "InclusionTreePathLength")
    is_leaf = verify_path(
        settlement.inclusion_root,
        TreeKind.INCLUSION,
        RECORD_BYTES * count,
        claim.position,
        claim.record,
        claim.path,
        leaf_bytes=RECORD_BYTES,
    )
    require(is_leaf, "RoundPayWrongRecord")


def _path_length(position: int, width: int) -> int:
    """Count the siblings of a leaf; a promoted node has none on its level."""
    length = 0
    while width > 1:
        length += position ^ 1 < width
        width, position = (width + 1) >> 1, position >> 1
    return length
