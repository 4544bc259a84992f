"""What a task's rounds owe by its terms, beside what the chain says was paid."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from flocknode.chain.abi import read_address
from flocknode.cli.audit.directory import CHAIN, FileFault, block_name
from flocknode.primitives import Address
from flocknode.protocol.ledger import CommitteeDrawn, ProposalAccepted, SetAccepted
from flocknode.protocol.roster import Roster

BPS = 10_000

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shares:
    """What one settled round owes."""

    each: int
    """To each included trainer."""
    per_bit: int
    """To a seat for each bitmap that names it."""
    drawn: CommitteeDrawn
    accepted: SetAccepted
    proposal: ProposalAccepted

    @property
    def bits(self) -> int:
        return self.accepted.seats.bit_count() + self.proposal.seats.bit_count()

    @property
    def total(self) -> int:
        return self.each * self.accepted.trainers.bit_count() + self.per_bit * self.bits

    def of_seat(self, seat: int) -> int:
        bits = (self.accepted.seats >> seat & 1) + (self.proposal.seats >> seat & 1)
        return self.per_bit * bits


@dataclass(frozen=True, slots=True)
class Payment:
    round: int
    to: Address | int
    """A trainer's address or a validator's number."""
    amount: int
    block: int


@dataclass(slots=True)
class PayBook:
    """One task's purse, folded over the contracts' events in their order."""

    task: int
    reward_per_round: int
    trainer_share_bps: int
    purse: int = 0
    rounds: list[Shares] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    received: Counter[tuple[int, Address | int]] = field(default_factory=Counter)
    """The payments' sums by round and receiver."""

    @classmethod
    def of(cls, task: int, specification: Sequence[Any]) -> Self:
        """Read the pay out of TaskCreated's specification (Types.sol)."""
        *_, reward, share = specification
        return cls(task, int(reward), int(share))

    def settle(
        self, drawn: CommitteeDrawn, accepted: SetAccepted, proposal: ProposalAccepted
    ) -> None:
        """Reserve a round's reward, as far as the purse reaches (contracts/README.md, "Pay")."""
        reward = min(self.reward_per_round, self.purse)
        trainers = reward * self.trainer_share_bps // BPS
        bits = accepted.seats.bit_count() + proposal.seats.bit_count()
        # A set without trainers or seats is refused elsewhere, with its reason.
        each = trainers // max(1, accepted.trainers.bit_count())
        per_bit = (reward - trainers) // max(1, bits)
        shares = Shares(each, per_bit, drawn, accepted, proposal)
        self.purse -= shares.total
        self.rounds.append(shares)

    def take(self, name: str, it: Arguments, block: int) -> None:
        """Note an event of the contracts if it moves this task's money."""
        if it.get("task") != self.task:
            return
        match name:
            case "TaskFunded":
                self.purse += it["rewards"]
            case "PurseWithdrawn":
                self.purse = 0
            case "TrainerPaid":
                self._note(Payment(it["round"], read_address(it["trainer"]), it["amount"], block))
            case "SeatPaid":
                self._note(Payment(it["round"], it["validator"], it["amount"], block))
            case _:
                pass

    def _note(self, payment: Payment) -> None:
        self.payments.append(payment)
        self.received[payment.round, payment.to] += payment.amount

    @property
    def due(self) -> int:
        """All that was reserved for trainers and seats."""
        return sum(shares.total for shares in self.rounds)

    @property
    def paid(self) -> int:
        return self.received.total()

    def faults(self, roster: Roster) -> list[FileFault]:
        """Return every payment that the rules do not give, or give once only."""
        faults, seen = [], set()
        for one in self.payments:
            owed = 0 if (one.round, one.to) in seen else self._owed(one, roster)
            seen.add((one.round, one.to))
            if one.amount != owed:
                to = f"validator {one.to}" if isinstance(one.to, int) else "0x" + one.to.hex()
                what = f"pays {one.amount} to {to} for round {one.round}, the rules give {owed}"
                faults.append(FileFault(block_name(one.block), what))
        return faults

    def _owed(self, payment: Payment, roster: Roster) -> int:
        if payment.round >= len(self.rounds):
            return 0
        shares = self.rounds[payment.round]
        if isinstance(payment.to, int):
            committee = shares.drawn.committee
            return shares.of_seat(committee.index(payment.to)) if payment.to in committee else 0
        entry = roster.entry_of(payment.to)
        return shares.each if entry and shares.accepted.trainers >> entry.index & 1 else 0


@dataclass(slots=True)
class Outflow:
    """Tokens that left the round manager, less what its events account for: nothing is left."""

    manager: Address
    owners: dict[int, Address] = field(default_factory=dict)
    open: Counter[Address] = field(default_factory=Counter)

    def take(self, name: str, it: Arguments) -> None:
        """Note an event of any of the contracts, whichever task it is about."""
        match name:
            case "ValidatorRegistered":
                self.owners[it["validator"]] = read_address(it["owner"])
            case "Transfer" if read_address(it["from"]) == self.manager:
                self.open[read_address(it["to"])] += it["value"]
            case "TrainerPaid":
                self.open[read_address(it["trainer"])] -= it["amount"]
            case "SeatPaid":
                self.open[self.owners[it["validator"]]] -= it["amount"]
            case "PurseWithdrawn":
                self.open[read_address(it["creator"])] -= it["rewards"]
            case _:
                pass

    def faults(self) -> list[FileFault]:
        return [
            FileFault(CHAIN, f"moves {amount} tokens to 0x{to.hex()} that no event accounts for")
            for to, amount in self.open.items()
            if amount
        ]
