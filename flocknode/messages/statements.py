"""Everything a signing key signs, as EIP-712 structs. The contracts hash the same types.

All members are static 32-byte words, so a struct hash is Keccak-256 of the type hash and the
members' words (EIP-712, "Definition of encodeData").
"""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import ClassVar

from flocknode.crypto.eip712 import Domain, encode_word, type_hash, typed_digest
from flocknode.crypto.hashing import keccak256
from flocknode.primitives import Address, Digest, PeerId


@dataclass(frozen=True, slots=True)
class Context:
    """Names one attempt; every statement and secret of the attempt binds its digest ``ctx``."""

    TYPE: ClassVar[str] = (
        "Context(uint256 task,uint256 round,uint256 attempt,bytes32 modelRoot,bytes32 seed,"
        "bytes32 committeeHash,bytes32 rosterRoot)"
    )
    task: int
    round: int
    attempt: int
    model_root: Digest
    seed: Digest
    committee_hash: Digest
    roster_root: Digest


@dataclass(frozen=True, slots=True)
class SeatKey:
    """A seat's sealing key for one attempt; ``key_hash`` is SHA-256 of suite byte and key."""

    TYPE: ClassVar[str] = "SeatKey(bytes32 ctx,uint256 seat,bytes32 keyHash)"
    ctx: Digest
    seat: int
    key_hash: Digest


@dataclass(frozen=True, slots=True)
class Header:
    """A trainer's contribution to one attempt; the masked delta itself is named by ``root``."""

    TYPE: ClassVar[str] = (
        "Header(bytes32 ctx,uint256 index,address trainer,bytes32 root,uint256 words,"
        "uint256 width,bytes32 seedsHash,bytes32 capsulesHash)"
    )
    ctx: Digest
    index: int
    trainer: Address
    root: Digest
    words: int
    width: int
    seeds_hash: Digest
    """SHA-256 of the seed commitments H(s_1) .. H(s_k), concatenated."""
    capsules_hash: Digest
    """SHA-256 of the capsules, each preceded by its length as two big-endian bytes."""

    def record(self, signature: bytes) -> bytes:
        """Return the leaf of the inclusion tree: eight words and the 65-byte signature."""
        return b"".join(map(encode_word, members_of(self))) + signature


@dataclass(frozen=True, slots=True)
class Attestation:
    """The header digests a seat holds with seed and vector; grows, never evidence."""

    TYPE: ClassVar[str] = (
        "Attestation(bytes32 ctx,uint256 seat,uint256 sequence,bytes32 headersHash)"
    )
    ctx: Digest
    seat: int
    sequence: int
    headers_hash: Digest
    """SHA-256 of the header digests in roster order, concatenated."""


@dataclass(frozen=True, slots=True)
class Include:
    """A seat's consent to one inclusion set in one view, with its mask root committed."""

    TYPE: ClassVar[str] = (
        "Include(bytes32 ctx,uint256 view,bytes32 inclusionRoot,uint256 trainers,uint256 weight,"
        "bytes32 commitment)"
    )
    ctx: Digest
    view: int
    inclusion_root: Digest
    trainers: int
    """Bitmap of roster indices."""
    weight: int
    """D, the sum of the included roster weights."""
    commitment: Digest
    """SHA-256 of ("flock/mask/v1" padded to 32, ctx, uint256 seat, root of the mask sum)."""


@dataclass(frozen=True, slots=True)
class MaskRoot:
    """A seat opens its commitment: the root of its column's mask sum over the accepted set."""

    TYPE: ClassVar[str] = (
        "MaskRoot(bytes32 ctx,uint256 column,bytes32 inclusionRoot,bytes32 root,uint256 words)"
    )
    ctx: Digest
    column: int
    inclusion_root: Digest
    root: Digest
    words: int


@dataclass(frozen=True, slots=True)
class Propose:
    """A seat's consent to an aggregate and a model that it computed itself."""

    TYPE: ClassVar[str] = (
        "Propose(bytes32 ctx,uint256 view,bytes32 inclusionRoot,bytes32 maskRootsHash,"
        "bytes32 aggregateRoot,bytes32 modelRoot)"
    )
    ctx: Digest
    view: int
    inclusion_root: Digest
    mask_roots_hash: Digest
    """Keccak-256 of the columns' mask roots, concatenated in column order."""
    aggregate_root: Digest
    model_root: Digest


@dataclass(frozen=True, slots=True)
class KeyConsent:
    """A signing key serves an owner's validator under one peer id; StakeRegistry verifies it.

    It proves that the key is held by whoever registers it, so that nobody can take another's.
    """

    TYPE: ClassVar[str] = "KeyConsent(address owner,bytes32 organisation,bytes32 peerHash)"
    owner: Address
    organisation: Digest
    peer_hash: Digest
    """Keccak-256 of the peer id's bytes."""


DIGESTS_MAX = 8_192
"""Remembered with their statements, some 500 bytes each: what every check begins with."""
RECORD_BYTES = 8 * 32 + 65
"""Length of a leaf of the inclusion tree."""

Statement = Context | SeatKey | Header | Attestation | Include | MaskRoot | Propose


def members_of(statement: Statement | KeyConsent) -> tuple[int | bytes, ...]:
    """Return the members in their order; ``astuple`` would copy each of them deeply."""
    return tuple(getattr(statement, field.name) for field in fields(statement))


@lru_cache(maxsize=DIGESTS_MAX)
def statement_digest(domain: Domain, statement: Statement | KeyConsent) -> Digest:
    """Return the EIP-712 digest that a key signs."""
    return typed_digest(domain, type_hash(statement.TYPE), members_of(statement))


def consent_digest(domain: Domain, owner: Address, organisation: Digest, peer: PeerId) -> Digest:
    """Return what a signing key signs to serve a validator; the domain is StakeRegistry's."""
    return statement_digest(domain, KeyConsent(owner, organisation, keccak256(peer)))
