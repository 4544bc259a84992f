"""The contracts' state as a fold over their events: one view of the tip and one of the final block.

Irrevocable acts are decided against the final view, never against the tip.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from flocknode.model.terms import TaskTerms
from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.docket import DisputeEvent, Docket
from flocknode.protocol.ledger import (
    AttemptAborted,
    BeaconClockStarted,
    BeaconRequested,
    BeaconRevealed,
    Block,
    ChainProgress,
    CommitteeDrawn,
    LedgerEvent,
    ProposalAccepted,
    RollCalled,
    RoundOpened,
    RoundSettled,
    SetAccepted,
    TaskCreated,
    TaskPaused,
    TaskResumed,
    ValidatorKeysSet,
    ValidatorRegistered,
)
from flocknode.protocol.verdicts import (
    AttemptHeld,
    AttemptReleased,
    ChallengeClosed,
    ChallengeOpened,
    ColumnOpened,
    CommitmentOpened,
    DemandUnanswered,
    OffenceProven,
    ProposalStruck,
    QuestionUnanswered,
    SeatAccused,
    SeatsJudged,
    SeedAnswered,
    SeedDemanded,
    TreeAnswered,
    TreeQuestioned,
    ValidatorSlashed,
)

BEACONS_MAX = 64
"""Beacon requests remembered; an older one is long past its deadline."""

CONVICTIONS_MAX = 64
"""Convictions remembered whose stake nobody took yet."""


@dataclass(frozen=True, slots=True)
class ValidatorKeys:
    signer: Address
    peer: PeerId


@dataclass(frozen=True, slots=True)
class BeaconRound:
    """An open beacon request and who has answered it."""

    request: int
    members: tuple[int, ...]
    deadline: int
    revealed: frozenset[int] = frozenset()

    def is_settled(self, timestamp: int) -> bool:
        """Tell whether the request is decided, for better or worse."""
        return self.is_complete() or timestamp >= self.deadline

    def is_complete(self) -> bool:
        """Tell whether all members have answered; without members one answer decides."""
        return len(self.revealed) >= max(len(self.members), 1)


@dataclass(frozen=True, slots=True)
class AttemptView:
    """The task's attempt in progress; each field appears with its event."""

    opened: RoundOpened | None = None
    drawn: CommitteeDrawn | None = None
    accepted: SetAccepted | None = None
    proposal: ProposalAccepted | None = None
    roll: frozenset[int] = frozenset()
    slashed: int = 0
    """Bitmap of the seats convicted in this attempt."""
    struck: ProposalStruck | None = None
    """The newest strike; its views follow."""
    held: bool = False
    """An answer is due on chain."""
    window_end: int = 0
    """End of the challenge window once its clock stood still; 0 before."""
    ended_at: int | None = None
    """Block time of the end of the attempt before, while no other has been opened."""
    docket: Docket = field(default_factory=Docket)

    def dispute(self, event: DisputeEvent) -> "AttemptView":
        return replace(self, docket=self.docket.apply(event))

    def strike(self, event: ProposalStruck) -> "AttemptView":
        """Return the attempt whose proposal fell."""
        roots = self.proposal.mask_roots if self.proposal else ()
        docket = self.docket.struck(roots, self.slashed)
        return replace(self, proposal=None, struck=event, held=False, window_end=0, docket=docket)


@dataclass(frozen=True, slots=True)
class ChainView:
    """What one task's participants must know of the chain as of one block."""

    task: int
    number: int = 0
    timestamp: int = 0
    created: TaskCreated | None = None
    validators: Mapping[int, ValidatorKeys] = field(default_factory=lambda: MappingProxyType({}))
    beacons: Mapping[int, BeaconRound] = field(default_factory=lambda: MappingProxyType({}))
    """The newest requests by number: tasks share the beacon, and each asks in its own time."""
    attempt: AttemptView = AttemptView()
    settled: RoundSettled | None = None
    paused: bool = False
    convictions: tuple[OffenceProven, ...] = ()

    @property
    def terms(self) -> TaskTerms | None:
        return self.created.terms if self.created else None

    @property
    def model_root(self) -> Digest | None:
        if self.settled:
            return self.settled.model_root
        return self.created.model_root if self.created else None

    @property
    def seated(self) -> frozenset[PeerId]:
        """Return the peers of the committee that was drawn for the attempt in progress."""
        committee = self.attempt.drawn.committee if self.attempt.drawn else ()
        return frozenset(self.validators[one].peer for one in committee if one in self.validators)

    def after(self, block: Block) -> "ChainView":
        """Return the view after ``block``."""
        view = replace(self, number=block.number, timestamp=block.timestamp)
        for event in block.events:
            view = view.apply(event)
        return view

    def apply(self, event: LedgerEvent) -> "ChainView":
        match event:
            case ValidatorRegistered():
                return self
            case ValidatorKeysSet(validator, signer, peer):
                keys = {**self.validators, validator: ValidatorKeys(signer, peer)}
                return replace(self, validators=MappingProxyType(keys))
            case BeaconRequested(request, members, deadline):
                return self._ask(BeaconRound(request, members, deadline))
            case BeaconRevealed(request, member):
                return self._reveal(request, member)
            case BeaconClockStarted(request, deadline):
                return self._start_clock(request, deadline)
            case ValidatorSlashed():
                left = tuple(c for c in self.convictions if c.conviction != event.conviction)
                return replace(self, convictions=left)
            case TreeAnswered() | QuestionUnanswered():
                return replace(self, attempt=self.attempt.dispute(event))
            case _:
                return self._apply_task(event) if event.task == self.task else self

    def _ask(self, beacon: BeaconRound) -> "ChainView":
        beacons = {**self.beacons, beacon.request: beacon}
        while len(beacons) > BEACONS_MAX:
            del beacons[min(beacons)]
        return replace(self, beacons=MappingProxyType(beacons))

    def _reveal(self, request: int, member: int) -> "ChainView":
        beacon = self.beacons.get(request)
        if beacon is None:
            return self
        answered = replace(beacon, revealed=beacon.revealed | {member})
        return replace(self, beacons=MappingProxyType({**self.beacons, request: answered}))

    def _start_clock(self, request: int, deadline: int) -> "ChainView":
        beacon = self.beacons.get(request)
        if beacon is None:
            return self
        started = replace(beacon, deadline=deadline)
        return replace(self, beacons=MappingProxyType({**self.beacons, request: started}))

    def _apply_task(self, event: LedgerEvent) -> "ChainView":
        attempt = self.attempt
        match event:
            case TaskCreated():
                # A task is created once; an endpoint may make up another.
                return self if self.created else replace(self, created=event)
            case RoundOpened():
                return replace(self, attempt=AttemptView(opened=event))
            case CommitteeDrawn():
                return replace(self, attempt=AttemptView(opened=attempt.opened, drawn=event))
            case SetAccepted():
                return replace(self, attempt=replace(attempt, accepted=event))
            case RollCalled():
                roll = attempt.roll | {event.seat}
                return replace(self, attempt=replace(attempt, roll=roll))
            case ProposalAccepted():
                return replace(self, attempt=replace(attempt, proposal=event, window_end=0))
            case SeatsJudged(slashed=seats, absent=absent):
                slashed, docket = attempt.slashed | seats, attempt.docket.judged(absent)
                judged = replace(attempt, slashed=slashed, docket=docket)
                return replace(self, attempt=judged)
            case ProposalStruck():
                return replace(self, attempt=attempt.strike(event))
            case AttemptHeld():
                return replace(self, attempt=replace(attempt, held=True))
            case AttemptReleased(window_end=end):
                return replace(self, attempt=replace(attempt, held=False, window_end=end))
            case RoundSettled():
                return replace(self, settled=event, attempt=AttemptView(ended_at=self.timestamp))
            case AttemptAborted():
                return replace(self, attempt=AttemptView(ended_at=self.timestamp))
            case TaskPaused():
                return replace(self, paused=True)
            case TaskResumed():
                return replace(self, paused=False)
            case OffenceProven():
                convictions = (*self.convictions, event)[-CONVICTIONS_MAX:]
                return replace(self, convictions=convictions)
            case ChallengeClosed():
                is_ours = attempt.drawn is not None and attempt.drawn.ctx == event.ctx
                return replace(self, attempt=attempt.dispute(event)) if is_ours else self
            case (
                ChallengeOpened()
                | ColumnOpened()
                | SeedDemanded()
                | SeedAnswered()
                | DemandUnanswered()
                | SeatAccused()
                | CommitmentOpened()
                | TreeQuestioned()
            ):
                return replace(self, attempt=attempt.dispute(event))
            case _:
                # Of the others the attempt's state does not depend on any.
                return self


class ChainFold:
    """Keeps the final view and those above it; a reorganisation replaces only the latter."""

    def __init__(self, task: int) -> None:
        self._final = ChainView(task)
        self._pending: list[ChainView] = []
        self._doubted: Digest | None = None

    @property
    def final(self) -> ChainView:
        """The final view; a draw that is doubted is not in it, nor is what followed from it."""
        attempt = self._final.attempt
        if attempt.drawn is None or attempt.drawn.ctx != self._doubted:
            return self._final
        return replace(self._final, attempt=AttemptView(opened=attempt.opened))

    @property
    def tip(self) -> ChainView:
        return self._pending[-1] if self._pending else self._final

    def advance(self, progress: ChainProgress) -> None:
        """Take in new blocks; final blocks leave the pending ones."""
        if progress.undone_to is not None:
            assert progress.undone_to >= self._final.number
            self._pending = [view for view in self._pending if view.number <= progress.undone_to]
        for block in progress.blocks:
            self._pending.append(self.tip.after(block))
        while self._pending and self._pending[0].number <= progress.final:
            self._final = self._pending.pop(0)
        self._doubted = progress.doubted
