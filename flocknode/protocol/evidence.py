"""What a proof needs beside bytes: requests of the core, which the vault's side turns into calls.

Nothing here is a decision: ``challenge.py`` decides which of these to ask for.
"""

from dataclasses import dataclass

from flocknode.crypto.merkle import LEAF_BYTES, TreeKind
from flocknode.messages.statements import RECORD_BYTES
from flocknode.primitives import Digest, Wei
from flocknode.protocol.inclusion_set import InclusionSet
from flocknode.protocol.ledger import ProposalAccepted, SetAccepted
from flocknode.protocol.proofs import ProposalStatement, SetStatement
from flocknode.protocol.seating import Seating

UNPRICED = Wei(0)
"""The bond of a call as the core makes it: whoever sends it knows what the contracts ask."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the chain was given for a node of the disputed tree."""

    level: int
    index: int
    data: bytes


@dataclass(frozen=True, slots=True)
class MaskProof:
    """Disprove the proposal's root of the own column by its seeds."""

    proposal: ProposalStatement
    chosen: InclusionSet
    column: int
    own_root: Digest
    signers: int
    """Bitmap of the column's seats whose MASK_ROOT names the proposal's root."""
    signatures: tuple[bytes, ...]
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class AggregateProof:
    """Disprove an aggregate where it differs from the one under ``right_root``."""

    proposal: ProposalStatement
    chosen: InclusionSet
    right_root: Digest
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class StepProof:
    """Disprove a model where it differs from the one under ``right_root``."""

    proposal: ProposalStatement
    accepted: SetAccepted
    right_root: Digest
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class PublicStepProof:
    """Disprove a model where it is not the step of the proposal's own aggregate."""

    proposal: ProposalStatement
    accepted: SetAccepted


@dataclass(frozen=True, slots=True)
class RecordProof:
    """Find a record in the accepted set that no honest seat signs for."""

    accepted: SetAccepted


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a tree, ``level`` levels above its leaves."""

    root: Digest
    kind: TreeKind
    byte_length: int
    leaf_bytes: int
    level: int
    index: int


@dataclass(frozen=True, slots=True)
class TreeAnswer:
    """Give what lies under a node that the chain asks for."""

    question: Digest
    node: Node


@dataclass(frozen=True, slots=True)
class SeedAnswer:
    """Give the seed that the chain asks this column for."""

    chosen: InclusionSet
    position: int
    column: int


ProofRequest = (
    MaskProof | AggregateProof | StepProof | PublicStepProof | RecordProof | TreeAnswer | SeedAnswer
)


def accepted_statement(proposal: ProposalAccepted) -> ProposalStatement:
    """Return the proposal that stands, whose signatures the chain knows."""
    return ProposalStatement(
        proposal.task,
        proposal.view,
        proposal.mask_roots,
        proposal.aggregate_root,
        proposal.model_root,
        proposal.seats,
    )


def set_statement(accepted: SetAccepted) -> SetStatement:
    return SetStatement(
        accepted.view,
        accepted.inclusion_root,
        accepted.trainers,
        accepted.weight,
        accepted.seats,
        accepted.commitments,
    )


def tree_of(
    seating: Seating, accepted: SetAccepted, proposal: ProposalAccepted, tree: int
) -> tuple[Digest, TreeKind, int, int] | None:
    """Return root, kind, length and leaf length of a tree that a question may name."""
    columns, words = seating.terms.columns, seating.terms.integers.words
    vector = seating.vector_bytes
    if tree < columns:
        return proposal.mask_roots[tree], TreeKind.MASK_SUM, vector, LEAF_BYTES
    others = (
        (proposal.aggregate_root, TreeKind.AGGREGATE, vector, LEAF_BYTES),
        (proposal.model_root, TreeKind.MODEL, 4 * words, LEAF_BYTES),
        (
            accepted.inclusion_root,
            TreeKind.INCLUSION,
            RECORD_BYTES * accepted.trainers.bit_count(),
            RECORD_BYTES,
        ),
    )
    return others[tree - columns] if tree - columns < len(others) else None


def levels_of(byte_length: int, leaf_bytes: int) -> int:
    """Return the level of a tree's top."""
    return (-(-byte_length // leaf_bytes) - 1).bit_length()
