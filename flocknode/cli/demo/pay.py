"""Claims at the end: each trainer's contributions are relayed, each validator claims its own."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import trio

from flocknode.chain.claims import ContributionClaim, claim_seats, claim_trainer, withdraw_refund
from flocknode.chain.deploy import at_once
from flocknode.chain.reader import Reader
from flocknode.chain.sender import Sender
from flocknode.cli.demo.slashes import honest_loss
from flocknode.cli.demo.stage import Stage
from flocknode.cli.demo.watch import RoundRecord
from flocknode.crypto.merkle import tree_path
from flocknode.messages.statements import RECORD_BYTES
from flocknode.protocol.verification import read_record


@dataclass(frozen=True, slots=True)
class Pay:
    """What the task paid, in the token's smallest unit, and what did not leave its pool."""

    funded: int
    claimed: int
    left: int
    stake_lost: int
    """By those whom no proof convicted."""
    trainer_transactions: int


Inclusions = Mapping[int, bytes]
"""Inclusion records by round."""


async def claim_all(stage: Stage, inclusions: Inclusions, records: list[RoundRecord]) -> None:
    """Claim for everybody, one relayer per validator, all at once."""
    relayers = [
        Sender(stage.client, stage.heads, one.member.key, stage.chain.chain_id)
        for one in stage.validators
    ]
    async with trio.open_nursery() as nursery:
        for place, relayer in enumerate(relayers):
            nursery.start_soon(_claim_as, stage, inclusions, records, place, relayer)


async def _claim_as(
    stage: Stage,
    inclusions: Inclusions,
    records: list[RoundRecord],
    place: int,
    relayer: Sender,
) -> None:
    indices = range(place, len(stage.trainers), len(stage.validators))
    claims = [claim for index in indices for claim in _claims_of(inclusions, index)]
    await claim_trainer(relayer, stage.bindings, stage.task, claims)
    reader = Reader(stage.client, stage.deployment)
    validator = await reader.validator_of(relayer.address)
    seated = [r.settled.round for r in records if _has_signed(r, validator)]
    if seated:
        await claim_seats(relayer, stage.bindings, stage.task, validator, seated)
    if await reader.refund_of(relayer.address):
        await withdraw_refund(relayer, stage.bindings)


def _has_signed(record: RoundRecord, validator: int) -> bool:
    if validator not in record.drawn.committee:
        return False
    seat = record.drawn.committee.index(validator)
    return bool((record.accepted.seats | record.proposal.seats) >> seat & 1)


def _claims_of(inclusions: Inclusions, index: int) -> list[ContributionClaim]:
    claims = []
    for round_, records in inclusions.items():
        for position in range(len(records) // RECORD_BYTES):
            record = records[position * RECORD_BYTES : (position + 1) * RECORD_BYTES]
            if read_record(record)[0].index == index:
                path = tree_path(records, position, RECORD_BYTES)
                claims.append(ContributionClaim(round_, position, record, path))
    return claims


async def count_pay(
    stage: Stage, stakes_before: list[int], convicted: AbstractSet[int], funded: int
) -> Pay:
    """Read from the chain who holds what now."""
    reader = Reader(stage.client, stage.deployment)
    owners = list({one.owner.address for one in stage.validators})
    trainers = [member.key.address for member in stage.trainers]
    manager = stage.deployment.addresses["RoundManager"]
    stakes = await stakes_of(stage)
    asked = [("eth_getTransactionCount", ("0x" + it.hex(), "latest")) for it in trainers]
    sent = sum(int(count, 16) for count in await stage.client.batch(asked))
    left = await reader.token_balance(manager)
    balances = await at_once(trainers + owners, reader.token_balance)
    faucet_left = len(owners) * FAUCET_AMOUNT - sum(stakes_before)
    lost = honest_loss(stakes_before, stakes, convicted)
    return Pay(funded, sum(balances) - faucet_left, left, lost, sent)


async def stakes_of(stage: Stage) -> list[int]:
    reader = Reader(stage.client, stage.deployment)
    (count,) = await reader.view("StakeRegistry", "validatorCount")
    stakes = await at_once(
        list(range(count)), lambda it: reader.view("StakeRegistry", "stakeOf", it)
    )
    return [int(stake) for (stake,) in stakes]


FAUCET_AMOUNT = 1_000_000 * 10**18
"""What FlockToken's faucet gave each owner."""
