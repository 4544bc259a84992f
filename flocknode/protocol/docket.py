"""What the contracts wait for in one attempt: a fold over their events about disputes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from flocknode.primitives import Digest
from flocknode.protocol.verdicts import (
    ChallengeClosed,
    ChallengeOpened,
    ColumnOpened,
    CommitmentOpened,
    DemandUnanswered,
    QuestionUnanswered,
    SeatAccused,
    SeedAnswered,
    SeedDemanded,
    TreeAnswered,
    TreeQuestioned,
)

QUESTIONS_MAX = 1024
"""Questions remembered of one proposal; the contract opens fewer."""

DisputeEvent = (
    ChallengeOpened
    | ChallengeClosed
    | ColumnOpened
    | SeedDemanded
    | SeedAnswered
    | DemandUnanswered
    | SeatAccused
    | CommitmentOpened
    | TreeQuestioned
    | TreeAnswered
    | QuestionUnanswered
)


@dataclass(frozen=True, slots=True)
class Docket:
    """Open matters of an attempt, and what is left of closed ones."""

    challenge: ChallengeOpened | None = None
    tried: int = 0
    """Bitmap of the seats that had their one challenge."""
    opened_column: int | None = None
    demands: tuple[SeedDemanded, ...] = ()
    given: tuple[SeedAnswered, ...] = ()
    """Seeds that answered a demand."""
    accused: tuple[SeatAccused, ...] = ()
    was_accused: int = 0
    """Bitmap: a seat is accused once in an attempt."""
    commitments: int = 0
    """Bitmap of the seats whose MASK_ROOT is on chain."""
    questions: tuple[TreeQuestioned, ...] = ()
    answers: Mapping[TreeQuestioned, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """What was answered about the proposal that stands."""
    withheld: frozenset[int] = frozenset()
    """Trees of the proposal about which a question went unanswered."""
    banned: frozenset[Digest] = frozenset()
    """Mask roots of struck proposals whose bytes nobody gave."""
    out_of_turn: int = 0
    """Bitmap of the seats convicted when a proposal fell last: their views are skipped since."""

    def struck(self, mask_roots: tuple[Digest, ...], slashed: int) -> "Docket":
        """Return what is left after a strike: nothing about the proposal that fell."""
        withheld = {root for tree, root in enumerate(mask_roots) if tree in self.withheld}
        return replace(
            self,
            challenge=None,
            questions=(),
            answers=MappingProxyType({}),
            withheld=frozenset(),
            banned=self.banned | withheld,
            out_of_turn=slashed,
        )

    def judged(self, absent: int) -> "Docket":
        """Return what is left once seats were found to have missed a duty."""
        return replace(self, accused=tuple(a for a in self.accused if not absent >> a.seat & 1))

    def apply(self, event: DisputeEvent) -> "Docket":
        match event:
            case ChallengeOpened():
                return replace(self, challenge=event, tried=self.tried | 1 << event.seat)
            case ChallengeClosed():
                is_same = self.challenge is not None and self.challenge.seat == event.seat
                return replace(self, challenge=None) if is_same else self
            case ColumnOpened():
                return replace(self, opened_column=event.column)
            case SeedDemanded():
                return replace(self, demands=(*self.demands, event))
            case SeedAnswered() | DemandUnanswered():
                left = tuple(d for d in self.demands if d.position != event.position)
                given = (*self.given, event) if isinstance(event, SeedAnswered) else self.given
                return replace(self, demands=left, given=given)
            case SeatAccused():
                was_accused = self.was_accused | 1 << event.seat
                return replace(self, accused=(*self.accused, event), was_accused=was_accused)
            case CommitmentOpened():
                left_open = tuple(a for a in self.accused if a.seat != event.seat)
                known = self.commitments | 1 << event.seat
                return replace(self, accused=left_open, commitments=known)
            case TreeQuestioned():
                return replace(self, questions=(*self.questions, event)[-QUESTIONS_MAX:])
            case TreeAnswered() | QuestionUnanswered():
                return self._close(event)

    def _close(self, event: TreeAnswered | QuestionUnanswered) -> "Docket":
        asked = next((q for q in self.questions if q.question == event.question), None)
        if asked is None:
            # It was about another task, or about a proposal that fell.
            return self
        left = tuple(q for q in self.questions if q is not asked)
        if isinstance(event, QuestionUnanswered):
            return replace(self, questions=left, withheld=self.withheld | {asked.tree})
        answers = MappingProxyType({**self.answers, asked: event.answer})
        return replace(self, questions=left, answers=answers)
