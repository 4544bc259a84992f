"""Rules of acceptance for everything a peer sends, one line each with its verdict.

ACCEPT is to return; IGNORE is nobody's fault; REJECT is the sender's and costs it score.
"""

from dataclasses import dataclass
from typing import TypeVar

from flocknode.crypto.errors import SignatureError
from flocknode.crypto.hashing import capsules_hash, headers_hash, seeds_hash, sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.sealing import sealing_key_hash
from flocknode.crypto.signing import recover
from flocknode.errors import FlockError
from flocknode.messages.codec import CodecError, decode
from flocknode.messages.statements import Statement, statement_digest
from flocknode.messages.wire import (
    AttestationBundle,
    AttestationMessage,
    ContributionHeader,
    IncludeVote,
    MaskRootMessage,
    ProposeVote,
    SeatKeyBundle,
    SeatKeyMessage,
)
from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.capsule_slips import present_seats
from flocknode.protocol.seating import Seating

Part = TypeVar("Part", SeatKeyMessage, AttestationMessage)


class GossipIgnore(FlockError):
    """Neither deliver nor forward; the sender is not at fault."""


class GossipReject(FlockError):
    """Neither deliver nor forward; the sender is penalised."""


@dataclass(frozen=True, slots=True)
class ValidContribution:
    """A header that passed every rule."""

    header: ContributionHeader
    digest: Digest
    """SHA-256 of ``record``: a trainer can sign one header in many ways, and the leaves differ."""
    record: bytes
    """The inclusion leaf: the header's EIP-712 words and its signature."""


def require_ctx(ctx: Digest, seating: Seating | None) -> Seating:
    """Return the attempt that ``ctx`` names."""
    # [IGNORE] The message belongs to the attempt in progress.
    if seating is None or ctx != seating.ctx:
        raise GossipIgnore("not the attempt in progress")
    return seating


def require_signature(
    seating: Seating, statement: Statement, signature: bytes, signer: Address
) -> None:
    digest = statement_digest(seating.domain, statement)
    # [REJECT] The signature is well-formed and the signer's.
    try:
        valid = recover(digest, signature) == signer
    except SignatureError as error:
        raise GossipReject("malformed signature") from error
    if not valid:
        raise GossipReject("signature of somebody else")


def require_seat(seat: int, seating: Seating) -> int:
    # [REJECT] The seat exists.
    if seat not in seating.seats:
        raise GossipReject("no such seat")
    return seat


def check_seat_key(message: SeatKeyMessage, seating: Seating) -> SeatKeyMessage:
    require_seat(message.seat, seating)
    statement = message.statement(sealing_key_hash(message.suite, message.key))
    require_signature(seating, statement, message.signature, seating.signer_of(message.seat))
    # [REJECT] The key is of the task's suite, and of its length.
    if (message.suite, len(message.key)) != (seating.suite.number, seating.suite.public_bytes):
        raise GossipReject("a key of another suite")
    return message


def check_bundle(bundle: SeatKeyBundle, seating: Seating) -> tuple[SeatKeyMessage, ...]:
    """Return the sealing keys of a bundle, each checked as if it had come alone."""
    keys: list[SeatKeyMessage] = []
    for data in bundle.keys:
        key = _open_part(data, SeatKeyMessage, seating)
        # [REJECT] A bundle names each seat once, in the order of seats.
        if keys and key.seat <= keys[-1].seat:
            raise GossipReject("a bundle out of order")
        keys.append(check_seat_key(key, seating))
    # [REJECT] A bundle holds a majority of every column: less is of no use to a trainer.
    if not seating.has_column_majorities({key.seat for key in keys}):
        raise GossipReject("a bundle for too few seats")
    return tuple(keys)


def _open_part(data: bytes, kind: type[Part], seating: Seating) -> Part:
    # [REJECT] Every part of a bundle is of the bundle's kind and of this attempt.
    try:
        part = decode(data)
    except CodecError as error:
        raise GossipReject("undecodable part of a bundle") from error
    if not isinstance(part, kind) or part.ctx != seating.ctx:
        raise GossipReject("stranger in a bundle")
    return part


def check_header(header: ContributionHeader, seating: Seating) -> ValidContribution:
    terms = seating.terms
    entries = seating.roster.entries
    # [REJECT] The sender stands in the roster under this index.
    if header.index >= len(entries) or entries[header.index].trainer != header.trainer:
        raise GossipReject("not in the roster")
    # [REJECT] The vector has the task's length and width.
    if (header.words, header.width) != (terms.integers.words, terms.integers.width):
        raise GossipReject("vector of another shape")
    # [REJECT] There is a seed commitment for every column and a capsule for every seat, or, where
    # capsules travel apart, a slip for every column.
    announced = terms.seats if seating.suite.in_header else terms.columns
    if len(header.commitments) != terms.columns or len(header.capsules) != announced:
        raise GossipReject("commitments or capsules missing")
    statement = header.statement(seeds_hash(header.commitments), capsules_hash(header.capsules))
    require_signature(seating, statement, header.signature, header.trainer)
    # [REJECT] A majority of every column can open its capsule.
    if not seating.has_column_majorities(present_seats(header.capsules, seating)):
        raise GossipReject("capsules for too few seats")
    # [IGNORE] After a spent attempt only its trainers count until the model changes.
    frozen = seating.drawn.frozen_trainers
    if frozen and not frozen >> header.index & 1:
        raise GossipIgnore("not in the frozen set")
    record = statement.record(header.signature)
    return ValidContribution(header, sha256(record), record)


def check_vector(vector: bytes, root: Digest, kind: TreeKind, length: int) -> bytes:
    # [REJECT] Inline bytes are exactly the announced ones.
    if len(vector) != length or tree_root(kind, vector) != root:
        raise GossipReject("bytes of another root")
    return vector


def check_attestation(message: AttestationMessage, seating: Seating) -> AttestationMessage:
    require_seat(message.seat, seating)
    check_named_once(message.headers)
    statement = message.statement(headers_hash(message.headers))
    require_signature(seating, statement, message.signature, seating.signer_of(message.seat))
    return message


def open_attestations(bundle: AttestationBundle, seating: Seating) -> list[AttestationMessage]:
    """Return the attestations of a bundle; each is still to be checked if it says anything new."""
    return [_open_part(data, AttestationMessage, seating) for data in bundle.attestations]


def check_named_once(headers: tuple[Digest, ...]) -> tuple[Digest, ...]:
    # [REJECT] An attestation, an offer and a question name a header once.
    if len(set(headers)) != len(headers):
        raise GossipReject("a header named twice")
    return headers


def require_member(sender: PeerId, seating: Seating) -> None:
    # [IGNORE] Questions come from a seat or a trainer of the task; answers are longer than they.
    if sender not in seating.members:
        raise GossipIgnore("a question of a stranger")


def check_include_vote(vote: IncludeVote, seating: Seating) -> IncludeVote:
    require_seat(vote.seat, seating)
    require_signature(seating, vote.statement(), vote.signature, seating.signer_of(vote.seat))
    return vote


def check_mask_root(message: MaskRootMessage, seating: Seating) -> MaskRootMessage:
    require_seat(message.seat, seating)
    # [REJECT] A mask sum has the length of a delta.
    if message.words != seating.terms.integers.words:
        raise GossipReject("mask sum of another length")
    statement = message.statement(seating.column_of(message.seat))
    require_signature(seating, statement, message.signature, seating.signer_of(message.seat))
    if message.vector:
        check_vector(message.vector, message.root, TreeKind.MASK_SUM, seating.vector_bytes)
    return message


def check_propose_vote(vote: ProposeVote, seating: Seating) -> ProposeVote:
    require_seat(vote.seat, seating)
    require_signature(seating, vote.statement(), vote.signature, seating.signer_of(vote.seat))
    return vote
