"""Pay is pulled: anyone may claim for a trainer or a validator, a relayer its own refunds."""

from collections.abc import Sequence
from dataclasses import dataclass

from flocknode.chain.bindings import Bindings
from flocknode.chain.sender import Receipt, Sender
from flocknode.primitives import Digest

CLAIM_GAS = 150_000
CLAIMS_MAX = 50
"""Claims in one transaction: far below the gas that one may use (EIP-7825)."""


@dataclass(frozen=True, slots=True)
class ContributionClaim:
    """One settled contribution, proven under its round's inclusion root."""

    round: int
    position: int
    """Rank among the included."""
    record: bytes
    path: tuple[Digest, ...]
    """Siblings, bottom up; a promoted node has none on its level."""


async def claim_trainer(
    sender: Sender, bindings: Bindings, task: int, claims: Sequence[ContributionClaim]
) -> list[Receipt]:
    """Pay trainers for settled contributions; the tokens go to each record's trainer."""
    receipts = []
    for start in range(0, len(claims), CLAIMS_MAX):
        batch = [
            (claim.round, claim.position, claim.record, claim.path)
            for claim in claims[start : start + CLAIMS_MAX]
        ]
        gas = CLAIM_GAS * (len(batch) + 1)
        request = bindings.request("RoundPay", "claimTrainer", task, batch, gas=gas)
        receipts.append(await sender.transact(request))
    return receipts


async def claim_seats(
    sender: Sender, bindings: Bindings, task: int, validator: int, rounds: Sequence[int]
) -> list[Receipt]:
    """Pay a validator's seats of settled rounds to its owner."""
    receipts = []
    for start in range(0, len(rounds), CLAIMS_MAX):
        batch = list(rounds[start : start + CLAIMS_MAX])
        arguments = (task, validator, batch)
        gas = CLAIM_GAS * (len(batch) + 1)
        request = bindings.request("RoundPay", "claimSeats", *arguments, gas=gas)
        receipts.append(await sender.transact(request))
    return receipts


async def withdraw_refund(sender: Sender, bindings: Bindings) -> Receipt:
    """Collect what the contracts owe the sender for relaying."""
    return await sender.transact(bindings.request("RoundManager", "withdrawRefund", gas=CLAIM_GAS))
