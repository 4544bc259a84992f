"""What the chain's blocks tell of one task: its rounds as they settled, and who was paid."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from flocknode.chain.archive import ArchivedBlock
from flocknode.chain.bindings import Bindings, ledger_event
from flocknode.chain.errors import MalformedAnswer, MalformedBlock, reading
from flocknode.cli.audit.directory import CHAIN, FileFault, block_name
from flocknode.cli.audit.pay import Arguments, Outflow, PayBook
from flocknode.primitives import PeerId
from flocknode.protocol.chain_view import ChainView
from flocknode.protocol.ledger import (
    CommitteeDrawn,
    LedgerEvent,
    ProposalAccepted,
    RoundSettled,
    SetAccepted,
    TaskCreated,
)
from flocknode.protocol.verdicts import SeatsJudged


@dataclass(frozen=True, slots=True)
class ChainRound:
    """A round that settled in ``block``, by the chain's events alone."""

    drawn: CommitteeDrawn
    accepted: SetAccepted
    proposal: ProposalAccepted
    settled: RoundSettled
    slashed: int
    """Seats that were convicted in the attempt before the proposal came."""
    peers: Mapping[int, PeerId]
    """Libp2p peer of each validator at that time."""
    block: int


@dataclass(slots=True)
class History:
    """One task from its creation to the last block."""

    created: TaskCreated
    pay: PayBook
    outflow: Outflow
    rounds: list[ChainRound] = field(default_factory=list)


def read_history(blocks: Iterable[ArchivedBlock], bindings: Bindings, task: int) -> History:
    """Fold the events of a task; raise ``FileFault`` for what no honest chain holds."""
    fold = _Fold(task, Outflow(bindings.deployment.addresses["RoundManager"]))
    for block in blocks:
        try:
            with reading("a log"):
                for name, arguments in _events(block, bindings):
                    fold.take(name, arguments, block.number)
        except (MalformedAnswer, MalformedBlock) as error:
            raise FileFault(block_name(block.number), str(error)) from error
    if fold.history is None:
        raise FileFault(CHAIN, f"holds no task {task}")
    return fold.history


class _Fold:
    def __init__(self, task: int, outflow: Outflow) -> None:
        self.history: History | None = None
        self._outflow = outflow
        self._task = task
        self._view = ChainView(task)
        self._slashed = 0
        """Seats that were convicted before the accepted proposal came."""
        self._unpaid_set = self._unpaid_proposal = 0
        """Seats that a verdict struck off the accepted set and the accepted proposal."""

    def take(self, name: str, arguments: Arguments, block: int) -> None:
        event = ledger_event(name, arguments)
        if event is not None:
            self._apply(event, arguments, block)
        self._outflow.take(name, arguments)
        if self.history:
            self.history.pay.take(name, arguments, block)

    def _apply(self, event: LedgerEvent, arguments: Arguments, block: int) -> None:
        history = self.history
        if isinstance(event, TaskCreated) and event.task == self._task:
            pay = PayBook.of(self._task, arguments["specification"])
            self.history = History(event, pay, self._outflow)
        if isinstance(event, RoundSettled) and event.task == self._task and history:
            done = _round(self._view, event, self._slashed, block)
            history.rounds.append(done)
            accepted = replace(done.accepted, seats=done.accepted.seats & ~self._unpaid_set)
            proposal = replace(done.proposal, seats=done.proposal.seats & ~self._unpaid_proposal)
            history.pay.settle(done.drawn, accepted, proposal)
        self._strike_off(event)
        self._view = self._view.apply(event)

    def _strike_off(self, event: LedgerEvent) -> None:
        """Convicted and absent seats lose the pay of what they signed before the verdict."""
        if getattr(event, "task", None) != self._task:
            return
        match event:
            case SetAccepted():
                self._unpaid_set = 0
            case ProposalAccepted():
                self._slashed = self._view.attempt.slashed
                self._unpaid_proposal = 0
            case SeatsJudged(slashed=slashed, absent=absent):
                self._unpaid_set |= slashed | absent
                self._unpaid_proposal |= slashed | absent
            case _:
                pass


def _events(block: ArchivedBlock, bindings: Bindings) -> Iterator[tuple[str, Arguments]]:
    for logs in block.logs():
        for log in logs:
            named = bindings.read(log)
            if named is not None:
                yield named


def _round(view: ChainView, settled: RoundSettled, slashed: int, block: int) -> ChainRound:
    attempt = view.attempt
    if not (attempt.drawn and attempt.accepted and attempt.proposal):
        raise FileFault(block_name(block), f"settles round {settled.round} without its steps")
    peers = {validator: keys.peer for validator, keys in view.validators.items()}
    accepted, proposal = attempt.accepted, attempt.proposal
    return ChainRound(attempt.drawn, accepted, proposal, settled, slashed, peers, block)
