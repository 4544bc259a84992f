"""How a node brings up offences and duties: the calls of the slashing and the duty manager.

Field for field as in ``contracts/src/interfaces``. An opening is a leaf and the siblings of its way
to the top, bottom up, one after another; ``crypto.merkle.tree_opening`` makes it.
"""

from dataclasses import dataclass
from enum import IntEnum

from flocknode.messages.statements import Context
from flocknode.primitives import Address, Digest, Wei
from flocknode.protocol.verdicts import Offence


class EvidenceSlot(IntEnum):
    """The slots whose double use is an offence."""

    SEAT_KEY = 0
    INCLUDE = 1
    MASK_ROOT = 2
    PROPOSE = 3


@dataclass(frozen=True, slots=True)
class ProposalStatement:
    """A PROPOSE and who signed it; of the accepted one the signatures stay empty."""

    task: int
    view: int
    mask_roots: tuple[Digest, ...]
    aggregate_root: Digest
    model_root: Digest
    seats: int
    signatures: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SetStatement:
    """The words of the accepted set, as ``SetAccepted`` gave them."""

    view: int
    inclusion_root: Digest
    trainers: int
    weight: int
    seats: int
    commitments: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class ProveEquivocation:
    """Two statements of one slot: their members' words, and the signatures."""

    context: Context
    slot: EvidenceSlot
    first: bytes
    second: bytes
    first_signature: bytes
    second_signature: bytes


@dataclass(frozen=True, slots=True)
class ProveBadInclusion:
    task: int
    count: int
    """Leaves that the inclusion root holds."""
    position: int
    opening: bytes
    roster: bytes = b""
    """Opening of the roster's leaf at the record's index, or nothing."""


@dataclass(frozen=True, slots=True)
class ProveWeight:
    """The accepted set, and all leaves of the roster, whose weights give another D."""

    task: int
    set: SetStatement
    roster: bytes


@dataclass(frozen=True, slots=True)
class OpenChallenge:
    proposal: ProposalStatement
    seat: int
    root: Digest
    """The seat's own."""
    signature: bytes
    """Of its MASK_ROOT."""
    bond: Wei


@dataclass(frozen=True, slots=True)
class OpenedContribution:
    """What an opening of column j says of one trainer; ``others`` are the other columns' H(s)."""

    trainer: Address
    root: Digest
    capsules_hash: Digest
    signature: bytes
    seed: bytes
    others: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class OpenSeeds:
    proposal: ProposalStatement
    column: int
    group: int
    """Of 32 bytes of the mask sum."""
    contributions: tuple[OpenedContribution, ...]
    used: bytes
    """Opening of the proposal's root."""
    own: bytes
    """Opening of the challenger's root; nothing where the column is open already."""
    accused: int
    accused_signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class CloseChallenge:
    task: int
    ctx: Digest


@dataclass(frozen=True, slots=True)
class SummedHeader:
    trainer: Address
    root: Digest
    seeds_hash: Digest
    capsules_hash: Digest
    signature: bytes


@dataclass(frozen=True, slots=True)
class ProveAggregate:
    """Contributions ``first`` to ``first + 2^level``; the last batch brings ``closing``."""

    proposal: ProposalStatement
    coordinate: int
    first: int
    level: int
    headers: tuple[SummedHeader, ...]
    path: tuple[Digest, ...]
    openings: tuple[bytes, ...]
    closing: tuple[bytes, ...] = ()
    """Openings of the mask roots in column order, then of the aggregate."""


@dataclass(frozen=True, slots=True)
class ProveStep:
    proposal: ProposalStatement
    set: SetStatement
    coordinate: int
    model: bytes
    aggregate: bytes
    next: bytes


@dataclass(frozen=True, slots=True)
class Punish:
    """Take the stake of the convicted; the words are those of ``OffenceProven``."""

    task: int
    round: int
    attempt: int
    offence: Offence
    ctx: Digest
    validators: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DemandSeed:
    task: int
    seat: int
    position: int
    bond: Wei


@dataclass(frozen=True, slots=True)
class AnswerDemand:
    task: int
    position: int
    opening: bytes
    others: tuple[Digest, ...]
    seed: bytes


@dataclass(frozen=True, slots=True)
class CloseDemand:
    task: int
    ctx: Digest
    position: int


@dataclass(frozen=True, slots=True)
class Accuse:
    task: int
    seat: int
    bond: Wei


@dataclass(frozen=True, slots=True)
class OpenCommitment:
    task: int
    seat: int
    root: Digest
    signature: bytes


@dataclass(frozen=True, slots=True)
class CloseAccusation:
    task: int
    ctx: Digest
    seat: int


@dataclass(frozen=True, slots=True)
class AskTree:
    proposal: ProposalStatement
    tree: int
    level: int
    index: int
    node: Digest
    path: tuple[Digest, ...]
    bond: Wei


@dataclass(frozen=True, slots=True)
class AnswerTree:
    question: Digest
    answer: bytes


@dataclass(frozen=True, slots=True)
class CloseQuestion:
    question: Digest


SlashingCall = (
    ProveEquivocation
    | ProveBadInclusion
    | ProveWeight
    | OpenChallenge
    | OpenSeeds
    | CloseChallenge
    | ProveAggregate
    | ProveStep
    | Punish
)
DutyCall = (
    DemandSeed
    | AnswerDemand
    | CloseDemand
    | Accuse
    | OpenCommitment
    | CloseAccusation
    | AskTree
    | AnswerTree
    | CloseQuestion
)
