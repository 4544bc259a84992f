"""Recompute a settled round from the chain's events and public bytes, trusting nobody.

Shared by every watcher: the inputs are events of the contracts and blobs named by roots.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flocknode.aggregation.ring import unmask
from flocknode.aggregation.step import model_root, server_step
from flocknode.crypto.errors import SignatureError
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
    """Public bytes do not lead to what the chain says."""


@dataclass(frozen=True, slots=True)
class SettledRound:
    """What the chain says about one settled round."""

    seating: Seating
    accepted: SetAccepted
    proposal: ProposalAccepted


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
    headers = tuple(_verify_record(settled.seating, leaf) for leaf in leaves)
    indices = [header.index for header in headers]
    _require(indices == sorted(set(indices)), "the order of the headers")
    _require(sum(1 << index for index in indices) == accepted.trainers, "the roster bitmap")
    weight = settled.seating.roster.weight_of(accepted.trainers)
    _require(weight == accepted.weight, "the set's weight")
    return headers


def verify_model(
    settled: SettledRound, headers: tuple[Header, ...], blobs: Mapping[Digest, bytes]
) -> bytes:
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
            header = _verify_record(seating, leaf)
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


def _verify_record(seating: Seating, leaf: bytes) -> Header:
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


def _blob(blobs: Mapping[Digest, bytes], root: Digest, kind: TreeKind, length: int) -> bytes:
    data = blobs.get(root)
    _require(bool(data), f"bytes of {root.hex()[:8]} are there")
    assert data is not None
    _require(tree_root(kind, data) == root, f"the bytes of {root.hex()[:8]}")
    _require(len(data) == length, f"the length of {root.hex()[:8]}")
    return data


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise VerificationError(f"does not hold: {what}")
