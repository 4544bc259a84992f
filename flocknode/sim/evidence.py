"""What proofs rest on: the accepted proposal, signatures of seats, openings of trees."""

from typing import Final

from flocknode.crypto.errors import SignatureError
from flocknode.crypto.hashing import mask_roots_hash
from flocknode.crypto.merkle import LEAF_BYTES, TreeKind, verify_path
from flocknode.crypto.signing import SIGNATURE_BYTES, recover
from flocknode.messages.statements import (
    RECORD_BYTES,
    MaskRoot,
    Propose,
    Statement,
    statement_digest,
)
from flocknode.model.terms import TaskTerms
from flocknode.primitives import Address, Digest
from flocknode.protocol.proofs import ProposalStatement
from flocknode.sim.abi import bits, require
from flocknode.sim.state import Phase, Round, Transaction

PROPOSAL_PHASES: Final = {Phase.PROPOSED, Phase.DISPUTED}
SET_PHASES: Final = {Phase.INCLUDED, Phase.DEMANDED, *PROPOSAL_PHASES}
DIGEST_BYTES: Final = 32


def attempt_of(tx: Transaction, task: int) -> Round:
    """Return the attempt in progress; a task without one reads as an empty attempt."""
    return tx.state.rounds.get(task) or Round(Digest(bytes(DIGEST_BYTES)))


def terms_of(tx: Transaction, task: int) -> TaskTerms:
    return tx.state.tasks[task].specification.terms


def column_seats(terms: TaskTerms, column: int) -> int:
    """Return the bitmap of a column's seats."""
    return sum(1 << seat for seat in range(terms.seats) if seat % terms.columns == column)


def is_accepted(attempt: Round, it: ProposalStatement) -> bool:
    """Tell whether the statement, with just these seats, is the proposal that stands."""
    stands = attempt.proposal
    if stands is None or attempt.phase not in PROPOSAL_PHASES:
        return False
    words = (stands.view, stands.mask_roots, stands.aggregate_root, stands.model_root)
    return words == (it.view, it.mask_roots, it.aggregate_root, it.model_root) and (
        stands.seats == it.seats
    )


def propose_of(attempt: Round, it: ProposalStatement) -> Propose:
    assert attempt.accepted is not None
    return Propose(
        ctx=attempt.ctx,
        view=it.view,
        inclusion_root=attempt.accepted.inclusion_root,
        mask_roots_hash=mask_roots_hash(it.mask_roots),
        aggregate_root=it.aggregate_root,
        model_root=it.model_root,
    )


def mask_root_of(attempt: Round, column: int, root: Digest, words: int) -> MaskRoot:
    assert attempt.accepted is not None
    return MaskRoot(attempt.ctx, column, attempt.accepted.inclusion_root, root, words)


def require_signed(
    tx: Transaction, attempt: Round, seats: int, statement: Statement, signatures: bytes
) -> None:
    """Refuse unless every seat of the bitmap signed ``statement``."""
    signers = [attempt.signers[seat] for seat in bits(seats)]
    require(len(signatures) == SIGNATURE_BYTES * len(signers), "SignaturesLength")
    for place, signer in enumerate(signers):
        signature = signatures[place * SIGNATURE_BYTES : (place + 1) * SIGNATURE_BYTES]
        require(signer_of(tx, statement, signature) == signer, "SignaturesWrongSigner")


def signer_of(tx: Transaction, statement: Statement, signature: bytes) -> Address | None:
    """Return who signed, or None where nobody can have."""
    try:
        return recover(statement_digest(tx.rules.domain, statement), signature)
    except SignatureError:
        return None


def open_leaf(
    root: Digest,
    kind: TreeKind,
    byte_length: int,
    position: int,
    opening: bytes,
    leaf_bytes: int = LEAF_BYTES,
) -> bytes:
    """Return the leaf of an opening; refuse one that does not lead to ``root``."""
    count = -(-byte_length // leaf_bytes)
    require(position < count, "TreesPosition")
    length = min(leaf_bytes, byte_length - position * leaf_bytes)
    siblings = path_length(position, count)
    require(len(opening) == length + DIGEST_BYTES * siblings, "TreesLength")
    path = digests(opening[length:])
    is_leaf = verify_path(root, kind, byte_length, position, opening[:length], path, leaf_bytes)
    require(is_leaf, "TreesWrongRoot")
    return opening[:length]


def open_record(attempt: Round, count: int, position: int, opening: bytes) -> bytes:
    """Return the record at a position under the accepted set's root."""
    assert attempt.accepted is not None
    root, length = attempt.accepted.inclusion_root, RECORD_BYTES * count
    return open_leaf(root, TreeKind.INCLUSION, length, position, opening, RECORD_BYTES)


def digests(data: bytes) -> list[Digest]:
    return [Digest(data[i : i + DIGEST_BYTES]) for i in range(0, len(data), DIGEST_BYTES)]


def path_length(position: int, width: int) -> int:
    """Count the siblings of a node; a promoted one has none on its level."""
    length = 0
    while width > 1:
        length += position ^ 1 < width
        width, position = (width + 1) >> 1, position >> 1
    return length


def word_at(leaf: bytes, index: int, width: int, *, signed: bool = False) -> int:
    """Return the little-endian word of ``width`` bits at ``index``."""
    size = width // 8
    return int.from_bytes(leaf[index * size : (index + 1) * size], "little", signed=signed)
