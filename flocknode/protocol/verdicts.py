"""What the contracts tell of offences and duties; ``proofs`` has the calls that bring them up.

Field for field as in ``contracts/src/interfaces``.
"""

from dataclasses import dataclass
from enum import IntEnum

from flocknode.primitives import Address, Digest


class Offence(IntEnum):
    """The acts that cost stake."""

    EQUIVOCATION = 0
    BAD_INCLUSION = 1
    WRONG_MASK_SUM = 2
    WRONG_AGGREGATE = 3
    WRONG_STEP = 4
    MISSED_DUTY = 5


# Events of the round manager.


@dataclass(frozen=True, slots=True)
class SeatsJudged:
    task: int
    round: int
    attempt: int
    slashed: int
    """Bitmap of the seats convicted now; they no longer count for a proposal."""
    absent: int
    """Bitmap of the seats that missed a duty."""


@dataclass(frozen=True, slots=True)
class ProposalStruck:
    """The accepted proposal fell; view ``next_view`` proposes over the same set."""

    task: int
    round: int
    attempt: int
    next_view: int
    opens_at: int
    void_deadline: int


@dataclass(frozen=True, slots=True)
class AttemptHeld:
    """An answer is due: no proposal is accepted, or the challenge window stands still."""

    task: int
    round: int
    attempt: int


@dataclass(frozen=True, slots=True)
class AttemptReleased:
    task: int
    round: int
    attempt: int
    window_end: int
    """When the challenge window ends now; 0 if nothing is proposed."""


# Events of the slashing manager.


@dataclass(frozen=True, slots=True)
class OffenceProven:
    """A proof held; ``Punish`` takes the stake."""

    conviction: Digest
    task: int
    round: int
    attempt: int
    offence: Offence
    ctx: Digest
    seats: int
    validators: tuple[int, ...]
    finder: Address


@dataclass(frozen=True, slots=True)
class ValidatorSlashed:
    conviction: Digest
    validator: int
    finder: Address
    offence: Offence
    amount: int


@dataclass(frozen=True, slots=True)
class ChallengeOpened:
    """A seat may open its column's seeds from ``opens_at`` until ``deadline``."""

    task: int
    round: int
    attempt: int
    column: int
    seat: int
    opens_at: int
    deadline: int


@dataclass(frozen=True, slots=True)
class ChallengeClosed:
    task: int
    ctx: Digest
    seat: int
    bond_to: Address
    """Twenty zero bytes if the bond went to the task's gas pool."""


@dataclass(frozen=True, slots=True)
class ColumnOpened:
    """The column's seeds are public: anyone can compute its mask sum."""

    task: int
    round: int
    attempt: int
    column: int


# Events of the duty manager.


@dataclass(frozen=True, slots=True)
class SeedDemanded:
    task: int
    round: int
    attempt: int
    position: int
    """Of the contribution in the set."""
    column: int
    seat: int
    deadline: int


@dataclass(frozen=True, slots=True)
class SeedAnswered:
    task: int
    round: int
    attempt: int
    position: int
    column: int
    seed: Digest


@dataclass(frozen=True, slots=True)
class DemandUnanswered:
    task: int
    round: int
    attempt: int
    position: int
    column: int


@dataclass(frozen=True, slots=True)
class SeatAccused:
    """``seat`` is to put its MASK_ROOT on chain before ``deadline``."""

    task: int
    round: int
    attempt: int
    seat: int
    deadline: int


@dataclass(frozen=True, slots=True)
class CommitmentOpened:
    task: int
    round: int
    attempt: int
    seat: int
    column: int
    root: Digest


@dataclass(frozen=True, slots=True)
class DutyMissed:
    task: int
    round: int
    attempt: int
    validator: int
    second: bool


@dataclass(frozen=True, slots=True)
class TreeQuestioned:
    """A node under a root of the proposal is asked for, or it is struck at ``deadline``."""

    question: Digest
    task: int
    round: int
    attempt: int
    tree: int
    """0..k-1 the mask roots, k the aggregate, k + 1 the model, k + 2 the inclusion tree."""
    level: int
    index: int
    node: Digest
    """Zero for the top."""
    deadline: int


@dataclass(frozen=True, slots=True)
class TreeAnswered:
    question: Digest
    answerer: Address
    answer: bytes


@dataclass(frozen=True, slots=True)
class QuestionUnanswered:
    question: Digest


VerdictEvent = (
    SeatsJudged
    | ProposalStruck
    | AttemptHeld
    | AttemptReleased
    | OffenceProven
    | ChallengeOpened
    | ChallengeClosed
    | ColumnOpened
    | SeedDemanded
    | SeedAnswered
    | DemandUnanswered
    | SeatAccused
    | CommitmentOpened
    | DutyMissed
    | TreeQuestioned
)
"""Events that name their task."""
TasklessVerdictEvent = ValidatorSlashed | TreeAnswered | QuestionUnanswered
