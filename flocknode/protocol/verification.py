"""Recompute a settled round from the chain's events and public bytes, trusting nobody.

Shared by every watcher: the inputs are events of the contracts and blobs named by roots.
"""

from dataclasses import dataclass
from typing import Protocol

from flocknode.aggregation.ring import unmask
from flocknode.aggregation.step import model_root, server_step
from flocknode.crypto.errors import SignatureError
from flocknode.crypto.hashing import mask_commitment
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.signing import recover
from flocknode.errors import FlockError
from flocknode.messages.limits import TRAINERS_MAX
from flocknode.messages.statements import RECORD_BYTES, Header, statement_digest
from flocknode.model.stages import MaskedDelta, MaskSum
from flocknode.model.words import model_words, ring_words, words_bytes
from flocknode.primitives import Address, Digest
from flocknode.protocol.ledger import ProposalAccepted, SetAccepted
from flocknode.protocol.seating import Seating

_SIGNATURE_BYTES = 65


class VerificationError(FlockError):
    """Public bytes do not lead to what the chain says; ``root`` names the blob at fault, if any."""

    def __init__(self, message: str, root: Digest | None = None) -> None:
        super().__init__(message)
        self.root = root


class Blobs(Protocol):
    """Bytes by root, not yet compared with it."""

    def get(self, root: Digest, /) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class SettledRound:
    """What the chain says about one settled round."""

    seating: Seating
    accepted: SetAccepted
    proposal: ProposalAccepted
    slashed: int = 0
    """Bitmap of the seats that were convicted in this attempt before the proposal."""


def verify_consent(settled: SettledRound) -> None:
    """Check that a set and a proposal had the seats they need, and fit each other and the draw.

    The contracts refuse others; whoever does not trust them has it from the events themselves.
    """
    seating, accepted, proposal = settled.seating, settled.accepted, settled.proposal
    terms, drawn = seating.terms, seating.drawn
    attempt = (drawn.task, drawn.round, drawn.attempt)
    for event in (accepted, proposal):
        _require((event.task, event.round, event.attempt) == attempt, "the attempt of a result")
        _require(event.seats >> terms.seats == 0, "the seats of a result")
    included = {seat for seat in seating.seats if accepted.seats >> seat & 1}
    _require(seating.has_column_majorities(included), "a majority of every column included")
    _require(len(accepted.commitments) == len(included), "one commitment of each seat")
    _require(accepted.trainers.bit_count() >= terms.trainers_min, "enough trainers")
    is_frozen = drawn.frozen_trainers in {0, accepted.trainers}
    _require(is_frozen, "the set that a spent attempt had frozen")
    _require(proposal.seats & settled.slashed == 0, "nobody agrees who was convicted before")
    quorum = terms.proposal_quorum(settled.slashed)
    _require(proposal.seats.bit_count() >= quorum, "two thirds of the others agree")
    _require(len(proposal.mask_roots) == terms.columns, "a mask root for each column")


def verify_mask_roots(settled: SettledRound) -> None:
    """Check each column's mask root against what its seats had committed to with the set.

    At least one seat of the column committed to it, so it was fixed before anyone opened a sum.
    Not a majority: after ``root_deadline`` one seat's root may count, and who committed to another
    may have signed nothing.
    """
    seating, accepted = settled.seating, settled.accepted
    seats = [seat for seat in seating.seats if accepted.seats >> seat & 1]
    commitments = dict(zip(seats, accepted.commitments, strict=True))
    for column, root in enumerate(settled.proposal.mask_roots):
        held = [
            mask_commitment(seating.ctx, seat, root) == commitments[seat]
            for seat in seating.column(column)
            if seat in commitments
        ]
        _require(any(held), f"the mask root that column {column} had committed to")


def read_record(record: bytes) -> tuple[Header, bytes]:
    """Return the header and signature of one leaf of an inclusion tree."""
    words = [record[start : start + 32] for start in range(0, 256, 32)]
    header = Header(
        Digest(words[0]),
        int.from_bytes(words[1], "big"),
        Address(words[2][12:]),
        Digest(words[3]),
        int.from_bytes(words[4], "big"),
        int.from_bytes(words[5], "big"),
        Digest(words[6]),
        Digest(words[7]),
    )
    return header, record[256:]


def verify_set(settled: SettledRound, records: bytes) -> tuple[Header, ...]:
    """Return the headers of the accepted set, each checked; raise ``VerificationError``."""
    accepted = settled.accepted
    count = accepted.trainers.bit_count()
    _require(len(records) == count * RECORD_BYTES, "the inclusion records' length")
    root = tree_root(TreeKind.INCLUSION, records, RECORD_BYTES)
    _require(root == accepted.inclusion_root, "the inclusion root")
    starts = range(0, len(records), RECORD_BYTES)
    leaves = [records[start : start + RECORD_BYTES] for start in starts]
    headers = tuple(verify_record(settled.seating, leaf) for leaf in leaves)
    indices = [header.index for header in headers]
    _require(indices == sorted(set(indices)), "the order of the headers")
    _require(sum(1 << index for index in indices) == accepted.trainers, "the roster bitmap")
    weight = settled.seating.roster.weight_of(accepted.trainers)
    _require(weight == accepted.weight, "the set's weight")
    return headers


def verify_model(settled: SettledRound, headers: tuple[Header, ...], blobs: Blobs) -> bytes:
    """Recompute R and W_{t+1} from ``blobs``; return the new model's bytes.

    ``blobs`` holds the included vectors, the mask sums and W_t by root.
    """
    terms = settled.seating.terms.integers
    words, width = terms.words, terms.width
    length = settled.seating.vector_bytes
    vectors = [_blob(blobs, header.root, TreeKind.MASKED_VECTOR, length) for header in headers]
    mask_roots = settled.proposal.mask_roots
    sums = [_blob(blobs, root, TreeKind.MASK_SUM, length) for root in mask_roots]
    aggregate = unmask(
        [MaskedDelta(ring_words(data, words, width)) for data in vectors],
        [MaskSum(ring_words(data, words, width)) for data in sums],
    )
    aggregate_root = tree_root(TreeKind.AGGREGATE, words_bytes(aggregate.words))
    _require(aggregate_root == settled.proposal.aggregate_root, "the aggregate root")
    before = _blob(blobs, settled.seating.drawn.model_root, TreeKind.MODEL, 4 * words)
    after = server_step(model_words(before, words), aggregate, settled.accepted.weight, terms)
    _require(model_root(after) == settled.proposal.model_root, "the model root")
    return bytes(words_bytes(after))


def find_bad_record(
    seating: Seating, accepted: SetAccepted, records: bytes
) -> tuple[int, int | None] | None:
    """Return the position of a record that no honest seat signs for, or None if all are sound.

    With it comes the roster index to open where the record names another trainer than the roster.
    ``records`` are the leaves under the accepted root.
    """
    indices = [i for i in range(TRAINERS_MAX) if accepted.trainers >> i & 1]
    if len(records) != len(indices) * RECORD_BYTES:
        return (0, None) if len(records) >= RECORD_BYTES else None
    for position, index in enumerate(indices):
        leaf = records[position * RECORD_BYTES : (position + 1) * RECORD_BYTES]
        try:
            header = verify_record(seating, leaf)
        except VerificationError:
            return position, _roster_index(seating, leaf, index)
        if header.index != index:
            return position, None
    return None


def _roster_index(seating: Seating, leaf: bytes, index: int) -> int | None:
    """Return ``index`` if the record's trainer is not the one that the roster has there."""
    entries = seating.roster.entries
    trainer = read_record(leaf)[0].trainer
    return index if index < len(entries) and entries[index].trainer != trainer else None


def verify_record(seating: Seating, leaf: bytes) -> Header:
    """Return the header of one leaf, signed for this attempt by a trainer of the roster."""
    header, signature = read_record(leaf)
    _require(len(signature) == _SIGNATURE_BYTES, "a signature's length")
    _require(header.record(signature) == leaf, "a leaf's encoding")
    _require(header.ctx == seating.ctx, "a header's context")
    entries = seating.roster.entries
    _require(header.index < len(entries), "a header's index")
    _require(entries[header.index].trainer == header.trainer, "a header's trainer")
    integers = seating.terms.integers
    shape = (header.words, header.width)
    _require(shape == (integers.words, integers.width), "a vector's shape")
    try:
        signer = recover(statement_digest(seating.domain, header), signature)
    except SignatureError as error:
        raise VerificationError("a header's signature is malformed") from error
    _require(signer == header.trainer, "a header's signature")
    return header


def _blob(blobs: Blobs, root: Digest, kind: TreeKind, length: int) -> bytes:
    data = blobs.get(root)
    _require(bool(data), f"bytes of {root.hex()[:8]} are there", root)
    assert data is not None
    _require(tree_root(kind, data) == root, f"the bytes of {root.hex()[:8]}", root)
    _require(len(data) == length, f"the length of {root.hex()[:8]}", root)
    return data


def _require(holds: bool, what: str, root: Digest | None = None) -> None:
    if not holds:
        raise VerificationError(f"does not hold: {what}", root)
