"""What the contracts tell a node (events) and what a node asks of them (calls).

The chain adapter decodes logs into these events and encodes these calls; ``sim.ledger`` is the
executable reference of the same rules. Field for field as in ``contracts/src/interfaces``.
"""

from dataclasses import dataclass

from flocknode.model.terms import TaskTerms
from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.proofs import DutyCall, SlashingCall
from flocknode.protocol.verdicts import TasklessVerdictEvent, VerdictEvent


@dataclass(frozen=True, slots=True)
class ValidatorRegistered:
    validator: int
    owner: Address
    organisation: Digest


@dataclass(frozen=True, slots=True)
class ValidatorKeysSet:
    validator: int
    signer: Address
    peer: PeerId


@dataclass(frozen=True, slots=True)
class BeaconRequested:
    """The members named must reveal the next layer of their hash onion.

    It fails at ``deadline``, which ``BeaconClockStarted`` brings forward.
    """

    request: int
    members: tuple[int, ...]
    deadline: int


@dataclass(frozen=True, slots=True)
class BeaconRevealed:
    request: int
    member: int


@dataclass(frozen=True, slots=True)
class BeaconClockStarted:
    """Half of the members have answered; the others have until ``deadline``."""

    request: int
    deadline: int


@dataclass(frozen=True, slots=True)
class TaskCreated:
    task: int
    terms: TaskTerms
    configuration: Digest
    """SHA-256 of the task's configuration file."""
    model_root: Digest
    roster_root: Digest


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """An attempt waits for its draw. ``request`` is the beacon request it will be drawn by."""

    task: int
    round: int
    attempt: int
    model_root: Digest
    request: int


@dataclass(frozen=True, slots=True)
class CommitteeDrawn:
    task: int
    round: int
    attempt: int
    model_root: Digest
    seed: Digest
    ctx: Digest
    committee: tuple[int, ...]
    """Validator ids by seat: seat p sits in column p mod k at place p div k."""
    signers: tuple[Address, ...]
    drawn_at: int
    frozen_trainers: int
    """Roster bitmap that a spent attempt of this model root left as the only one accepted, or 0."""


@dataclass(frozen=True, slots=True)
class SetAccepted:
    task: int
    round: int
    attempt: int
    view: int
    inclusion_root: Digest
    trainers: int
    weight: int
    seats: int
    """Bitmap of the seats whose INCLUDE was submitted."""
    commitments: tuple[Digest, ...]
    """Mask commitments of those seats, in seat order."""
    accepted_at: int

    def commitment_of(self, seat: int) -> Digest | None:
        """Return what a seat committed to; None if its INCLUDE was not submitted."""
        if not self.seats >> seat & 1:
            return None
        return self.commitments[(self.seats & ((1 << seat) - 1)).bit_count()]


@dataclass(frozen=True, slots=True)
class RollCalled:
    task: int
    round: int
    attempt: int
    seat: int


@dataclass(frozen=True, slots=True)
class ProposalAccepted:
    task: int
    round: int
    attempt: int
    view: int
    mask_roots: tuple[Digest, ...]
    aggregate_root: Digest
    model_root: Digest
    seats: int
    accepted_at: int


@dataclass(frozen=True, slots=True)
class RoundSettled:
    task: int
    round: int
    attempt: int
    model_root: Digest
    settled_at: int


@dataclass(frozen=True, slots=True)
class AttemptAborted:
    task: int
    round: int
    attempt: int
    spent: bool
    """A set was frozen: its sum counts as known to somebody."""
    no_shows: int
    """Bitmap of the seats without an INCLUDE on chain."""


@dataclass(frozen=True, slots=True)
class TaskPaused:
    task: int
    round: int


@dataclass(frozen=True, slots=True)
class TaskResumed:
    task: int
    round: int


LedgerEvent = (
    ValidatorRegistered
    | ValidatorKeysSet
    | BeaconRequested
    | BeaconRevealed
    | BeaconClockStarted
    | TaskCreated
    | RoundOpened
    | CommitteeDrawn
    | SetAccepted
    | RollCalled
    | ProposalAccepted
    | RoundSettled
    | AttemptAborted
    | TaskPaused
    | TaskResumed
    | VerdictEvent
    | TasklessVerdictEvent
)


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    digest: Digest
    parent: Digest
    timestamp: int
    events: tuple[LedgerEvent, ...]


@dataclass(frozen=True, slots=True)
class ChainProgress:
    """New blocks in order. ``undone`` blocks above ``undone_to`` left the chain before them."""

    undone_to: int | None
    blocks: tuple[Block, ...]
    final: int
    """Number of the newest final block."""
    doubted: Digest | None = None
    """``ctx`` of a final draw that the node's endpoints do not agree on, or not yet."""


@dataclass(frozen=True, slots=True)
class OpenRound:
    """Start the task's first round, or the next one after the last settled."""

    task: int


@dataclass(frozen=True, slots=True)
class Reveal:
    """Answer a beacon request; the preimage is filled in by the beacon duty's key holder."""

    request: int


@dataclass(frozen=True, slots=True)
class Draw:
    task: int


@dataclass(frozen=True, slots=True)
class IncludeSet:
    task: int
    round: int
    attempt: int
    view: int
    inclusion_root: Digest
    trainers: int
    weight: int
    seats: int
    commitments: tuple[Digest, ...]
    signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AnswerRollCall:
    task: int
    round: int
    attempt: int
    seat: int
    view: int
    inclusion_root: Digest
    trainers: int
    weight: int
    commitment: Digest
    signature: bytes


@dataclass(frozen=True, slots=True)
class ProposeModel:
    task: int
    round: int
    attempt: int
    view: int
    mask_roots: tuple[Digest, ...]
    aggregate_root: Digest
    model_root: Digest
    seats: int
    signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Settle:
    task: int


@dataclass(frozen=True, slots=True)
class Poke:
    """Take the exit that is due: abort, void or pause."""

    task: int


RoundCall = OpenRound | Draw | IncludeSet | AnswerRollCall | ProposeModel | Settle | Poke
Call = RoundCall | Reveal | SlashingCall | DutyCall
