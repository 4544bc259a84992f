"""Proofs and what they took, as the chain's receipts tell them."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from flocknode.chain.abi import read_address
from flocknode.chain.client import Json
from flocknode.cli.output import Output
from flocknode.primitives import Address, Digest
from flocknode.protocol.ledger import LedgerEvent, ProposalAccepted
from flocknode.protocol.verdicts import (
    DutyMissed,
    OffenceProven,
    ProposalStruck,
    QuestionUnanswered,
    ValidatorSlashed,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One verdict, against one validator if it is against any."""

    offence: str
    round: int
    attempt: int
    view: int | None
    """Of the proposal that stood when the proof came."""
    validator: int | None
    challenger: Address
    amount: int
    proof_gas: int
    proof_tx: str
    proposal_struck: bool


@dataclass(slots=True)
class SlashLog:
    """Reads receipts in their order on the chain."""

    verdicts: list[Verdict] = field(default_factory=list)
    convicted: set[int] = field(default_factory=set)
    """Validators against which a proof held, or which missed a duty."""
    _view: int | None = None
    _proofs: dict[Digest, Verdict] = field(default_factory=dict)

    def read(self, receipt: Json, events: list[LedgerEvent]) -> None:
        """Take in one transaction."""
        strike = next((event for event in events if isinstance(event, ProposalStruck)), None)
        gas, transaction = int(receipt["gasUsed"], 16), receipt["transactionHash"]
        sender = read_address(receipt["from"])
        seen = Verdict("", 0, 0, self._view, None, sender, 0, gas, transaction, strike is not None)
        for event in events:
            match event:
                case ProposalAccepted():
                    self._view = event.view
                case OffenceProven():
                    self._convict(event, seen)
                case ValidatorSlashed():
                    proof = self._proofs[event.conviction]
                    self.verdicts.append(
                        replace(proof, validator=event.validator, amount=event.amount)
                    )
                case DutyMissed(second=False):
                    self.convicted.add(event.validator)
                    self._add(seen, "first_missed_duty", event, event.validator)
                case QuestionUnanswered() if strike:
                    self._add(seen, "withheld_tree", strike, None)
                case _:
                    pass

    def _convict(self, event: OffenceProven, seen: Verdict) -> None:
        self.convicted.update(event.validators)
        self._proofs[event.conviction] = replace(
            seen,
            offence=event.offence.name.lower(),
            round=event.round,
            attempt=event.attempt,
            challenger=event.finder,
        )

    def _add(
        self,
        seen: Verdict,
        offence: str,
        event: DutyMissed | ProposalStruck,
        validator: int | None,
    ) -> None:
        self.verdicts.append(
            replace(
                seen,
                offence=offence,
                validator=validator,
                round=event.round,
                attempt=event.attempt,
            )
        )


def honest_loss(before: list[int], after: list[int], convicted: AbstractSet[int]) -> int:
    """Return what the others lost; validators are counted by their ids."""
    pairs = enumerate(zip(before, after, strict=True))
    return sum(max(0, b - a) for validator, (b, a) in pairs if validator not in convicted)


def report(output: Output, log: SlashLog, before: list[int], after: list[int]) -> None:
    """Tell of every verdict: what it took, from whom, and what it cost to bring.

    Rounds count from 1 here. ``before`` and ``after`` are the stakes by validator.
    """
    honest, left = honest_loss(before, after, log.convicted), list(before)
    for verdict in log.verdicts:
        stake_before, validator = None, verdict.validator
        if validator is not None:
            stake_before = left[validator]
            left[validator] -= verdict.amount
        output.line("proof", _sentence(verdict, stake_before))
        output.event(
            "slash",
            offence=verdict.offence,
            round=verdict.round + 1,
            attempt=verdict.attempt,
            view=verdict.view,
            validator=validator,
            challenger="0x" + verdict.challenger.hex(),
            amount=str(verdict.amount),
            proof_gas=verdict.proof_gas,
            proof_tx=verdict.proof_tx,
            proposal_struck=verdict.proposal_struck,
            stake_before=None if stake_before is None else str(stake_before),
            stake_after=None if validator is None else str(after[validator]),
            honest_stake_lost=str(honest),
        )


def _sentence(verdict: Verdict, stake_before: int | None) -> str:
    by = "" if verdict.validator is None else f" by #{verdict.validator}"
    loss = (
        "nothing slashed"
        if not verdict.amount or stake_before is None
        else f"{verdict.amount / 1e18:.2f} of {stake_before / 1e18:.2f} tokens slashed"
    )
    fate = ", proposal struck" if verdict.proposal_struck else ""
    return (
        f"{verdict.offence.replace('_', ' ')}{by} in round {verdict.round + 1}: {loss}{fate}, "
        f"gas {verdict.proof_gas / 1e6:.2f} M"
    )
