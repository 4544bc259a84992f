"""A watcher's account of the rounds: everything here is read from the chain."""

import time
from collections import Counter, deque
from dataclasses import dataclass, field

from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient, Json
from flocknode.chain.follower import Follower
from flocknode.cli.demo.slashes import SlashLog
from flocknode.errors import FlockError
from flocknode.protocol.chain_view import ChainFold
from flocknode.protocol.ledger import (
    BeaconRevealed,
    Block,
    CommitteeDrawn,
    LedgerEvent,
    ProposalAccepted,
    RollCalled,
    RoundOpened,
    RoundSettled,
    SetAccepted,
    TaskPaused,
)
from flocknode.protocol.verdicts import OffenceProven, ValidatorSlashed

STEPS: dict[type[LedgerEvent], str] = {
    RoundSettled: "settle",
    ProposalAccepted: "propose",
    SetAccepted: "include",
    CommitteeDrawn: "draw",
    RoundOpened: "open",
    BeaconRevealed: "reveal",
    RollCalled: "roll_call",
    OffenceProven: "proof",
    ValidatorSlashed: "punish",
}
"""Which step a transaction was, by the first of these events among its own."""


class TaskPausedError(FlockError):
    """The contracts paused the task: its attempts are used up."""


@dataclass(slots=True)
class RoundRecord:
    """One settled round as the chain tells it, with the watcher's clock beside it."""

    drawn: CommitteeDrawn
    accepted: SetAccepted
    proposal: ProposalAccepted
    settled: RoundSettled
    seconds: float
    seconds_by_step: dict[str, float]
    gas_by_step: Counter[str] = field(default_factory=Counter)
    transactions: dict[str, str] = field(default_factory=dict)

    @property
    def gas(self) -> int:
        return sum(self.gas_by_step.values())


class RoundWatcher:
    """Follows one task and gives each round once it has settled."""

    def __init__(
        self, client: ChainClient, bindings: Bindings, follower: Follower, task: int
    ) -> None:
        self._client = client
        self._bindings = bindings
        self._follower = follower
        self._task = task
        self.fold = ChainFold(task)
        self._seen: dict[type[LedgerEvent], tuple[LedgerEvent, float]] = {}
        self._from_block = 0
        self._from_time = time.monotonic()
        self._ready: deque[RoundRecord] = deque()
        self.attempts = 0
        self.verdicts = SlashLog()

    def start(self, block: int) -> None:
        """Count gas and seconds from here."""
        self._from_block = block
        self._from_time = time.monotonic()

    async def settled(self) -> RoundRecord:
        """Wait for the next settled round; raise ``TaskPausedError`` if no more can come."""
        while not self._ready:
            progress = await anext(self._follower)
            self.fold.advance(progress)
            for block in progress.blocks:
                for event in block.events:
                    record = self._take(event)
                    if record:
                        await self._count_gas(record, block)
                        self._ready.append(record)
        return self._ready.popleft()

    async def punished(self) -> None:
        """Wait until the stake of everybody convicted is taken."""
        while self.fold.tip.convictions:
            self.fold.advance(await anext(self._follower))
        await self._receipts_to(self.fold.tip.number)

    def _take(self, event: LedgerEvent) -> RoundRecord | None:
        if getattr(event, "task", self._task) != self._task:
            return None
        now = time.monotonic()
        if isinstance(event, TaskPaused):
            raise TaskPausedError(f"the task paused in round {event.round + 1}")
        if isinstance(event, CommitteeDrawn):
            self.attempts += 1
        record = self._record(event, now) if isinstance(event, RoundSettled) else None
        self._seen[type(event)] = (event, now)
        return record

    def _record(self, settled: RoundSettled, now: float) -> RoundRecord:
        drawn, drawn_at = self._seen[CommitteeDrawn]
        accepted, accepted_at = self._seen[SetAccepted]
        proposal, proposed_at = self._seen[ProposalAccepted]
        assert isinstance(drawn, CommitteeDrawn)
        assert isinstance(accepted, SetAccepted)
        assert isinstance(proposal, ProposalAccepted)
        steps = {
            "draw": drawn_at - self._from_time,
            "collect": accepted_at - drawn_at,
            "unmask": proposed_at - accepted_at,
            "challenge": now - proposed_at,
        }
        seconds = now - self._from_time
        self._from_time = now
        rounded = {name: round(max(0.0, value), 3) for name, value in steps.items()}
        return RoundRecord(drawn, accepted, proposal, settled, round(seconds, 3), rounded)

    async def _count_gas(self, record: RoundRecord, block: Block) -> None:
        for receipt, events in await self._receipts_to(block.number):
            kinds = [type(event) for event in events]
            step = next((name for kind, name in STEPS.items() if kind in kinds), "other")
            record.gas_by_step[step] += int(receipt["gasUsed"], 16)
            record.transactions[step] = receipt["transactionHash"]

    async def _receipts_to(self, last: int) -> list[tuple[Json, list[LedgerEvent]]]:
        """Return what was not read yet up to block ``last``, with the events of each receipt."""
        numbers = range(self._from_block + 1, last + 1)
        self._from_block = max(last, self._from_block)
        asked = [("eth_getBlockReceipts", (hex(number),)) for number in numbers]
        found = []
        for receipts in await self._client.batch(asked):
            for receipt in receipts:
                decoded = (self._bindings.decode(log) for log in receipt["logs"])
                events = [event for event in decoded if event]
                self.verdicts.read(receipt, events)
                found.append((receipt, events))
        return found
