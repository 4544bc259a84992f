"""What the chain has decided in one attempt, and what it waits for: a fold over its events."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from flocknode.primitives import Digest
from flocknode.protocol.dispute_ledger import (
    AttemptHeld,
    AttemptReleased,
    AttemptVerdict,
    ChallengeClosed,
    ChallengeOpened,
    ColumnOpened,
    CommitmentOpened,
    DemandUnanswered,
    ProposalStruck,
    QuestionUnanswered,
    SeatAccused,
    SeatsJudged,
    SeedAnswered,
    SeedDemanded,
    TreeAnswered,
    TreeQuestioned,
)

QUESTIONS_MAX = 1024
"""Questions remembered of one proposal; the contract opens fewer."""


@dataclass(frozen=True, slots=True)
class Docket:
    """Verdicts and open matters of an attempt."""

    slashed: int = 0
    """Bitmap of the seats convicted so far."""
    turn: ProposalStruck | None = None
    """The newest strike: since then later views propose."""
    out_of_turn: int = 0
    """``slashed`` when that strike fell: whose views are skipped from then on."""
    is_held: bool = False
    window_end: int | None = None
    """End of the challenge window, where its clock stood still."""
    challenge: ChallengeOpened | None = None
    tried: int = 0
    """Bitmap of the seats that had their one challenge."""
    opened_column: int | None = None
    demands: tuple[SeedDemanded, ...] = ()
    accused: tuple[SeatAccused, ...] = ()
    was_accused: int = 0
    """Bitmap: a seat is accused once in an attempt."""
    commitments: int = 0
    """Bitmap of the seats whose MASK_ROOT is on chain."""
    questions: tuple[TreeQuestioned, ...] = ()
    answers: Mapping[TreeQuestioned, bytes] = field(default_factory=lambda: MappingProxyType({}))
    withheld: frozenset[int] = frozenset()
    """Trees of the proposal about which a question went unanswered."""

    def apply(self, event: AttemptVerdict) -> "Docket":
        """Return the docket after ``event``; a strike leaves nothing open about its proposal."""
        match event:
            case SeatsJudged():
                return replace(self, slashed=self.slashed | event.slashed)
            case ProposalStruck():
                return Docket(
                    self.slashed,
                    turn=event,
                    out_of_turn=self.slashed,
                    tried=self.tried,
                    opened_column=self.opened_column,
                    accused=self.accused,
                    was_accused=self.was_accused,
                    commitments=self.commitments,
                )
            case AttemptHeld():
                return replace(self, is_held=True)
            case AttemptReleased():
                return replace(self, is_held=False, window_end=event.window_end or None)
            case ChallengeOpened():
                return replace(self, challenge=event, tried=self.tried | 1 << event.seat)
            case ChallengeClosed():
                is_same = self.challenge is not None and self.challenge.seat == event.seat
                return replace(self, challenge=None) if is_same else self
            case ColumnOpened():
                return replace(self, opened_column=event.column, challenge=None)
            case SeedDemanded() | SeedAnswered() | DemandUnanswered():
                return self._demand(event)
            case SeatAccused():
                was_accused = self.was_accused | 1 << event.seat
                return replace(self, accused=(*self.accused, event), was_accused=was_accused)
            case CommitmentOpened():
                left = tuple(a for a in self.accused if a.seat != event.seat)
                return replace(
                    self, accused=left, commitments=self.commitments | 1 << event.seat
                )
            case TreeQuestioned() | TreeAnswered() | QuestionUnanswered():
                return self._question(event)

    def question(self, question: Digest) -> TreeQuestioned | None:
        return next((q for q in self.questions if q.question == question), None)

    def _demand(self, event: SeedDemanded | SeedAnswered | DemandUnanswered) -> "Docket":
        if isinstance(event, SeedDemanded):
            return replace(self, demands=(*self.demands, event))
        left = tuple(d for d in self.demands if d.position != event.position)
        return replace(self, demands=left)

    def _question(self, event: TreeQuestioned | TreeAnswered | QuestionUnanswered) -> "Docket":
        if isinstance(event, TreeQuestioned):
            return replace(self, questions=(*self.questions, event)[-QUESTIONS_MAX:])
        asked = self.question(event.question)
        if asked is None:
            return self
        left = tuple(q for q in self.questions if q is not asked)
        if isinstance(event, QuestionUnanswered):
            return replace(self, questions=left, withheld=self.withheld | {asked.tree})
        answers = MappingProxyType({**self.answers, asked: event.answer})
        return replace(self, questions=left, answers=answers)
