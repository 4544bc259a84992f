"""The hashes of the protocol: one function for each place where bytes are bound to a purpose.

SHA-256 where a contract recomputes bulk or secrets, Keccak-256 where it hashes calldata words.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from eth_hash.auto import keccak

from flocknode.crypto.eip712 import encode_words
from flocknode.crypto.errors import EncodingError
from flocknode.primitives import Address, Digest

SEED_TAG: Final = b"flock/seed/v1".ljust(32, b"\0")
MASK_TAG: Final = b"flock/mask/v1".ljust(32, b"\0")


def sha256(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).digest())


def keccak256(data: bytes) -> Digest:
    return Digest(keccak(data))


def seed_commitment(ctx: Digest, trainer: Address, column: int, seed: bytes) -> Digest:
    """Return H(s_j): SHA-256 of five words, which bind the 32-byte seed to one place."""
    return _sha256_words(SEED_TAG, ctx, trainer, column, seed)


def mask_commitment(ctx: Digest, seat: int, root: Digest) -> Digest:
    """Return a seat's commitment to the root of its column's mask sum."""
    return _sha256_words(MASK_TAG, ctx, seat, root)


def seeds_hash(commitments: Iterable[Digest]) -> Digest:
    """Return SHA-256 of H(s_1) .. H(s_k), concatenated in column order."""
    return sha256(b"".join(commitments))


def capsules_hash(capsules: Iterable[bytes]) -> Digest:
    """Return SHA-256 of the capsules in seat order, an absent one being empty.

    Each is preceded by its length as two big-endian bytes, so that no two lists share a hash.
    """
    digest = hashlib.sha256()
    for capsule in capsules:
        if len(capsule) >= 1 << 16:
            raise EncodingError(f"a capsule of {len(capsule)} bytes")
        digest.update(len(capsule).to_bytes(2, "big") + capsule)
    return Digest(digest.digest())


def headers_hash(headers: Iterable[Digest]) -> Digest:
    """Return SHA-256 of header digests, concatenated in roster order."""
    return sha256(b"".join(headers))


def committee_hash(validators: Sequence[int], signers: Sequence[Address]) -> Digest:
    """Return Keccak-256 over (uint256 validator, uint256 signer) of every seat in order."""
    return keccak256(b"".join(map(encode_words, zip(validators, signers, strict=True))))


def mask_roots_hash(roots: Iterable[Digest]) -> Digest:
    """Return Keccak-256 of the columns' mask roots, concatenated in column order."""
    return keccak256(b"".join(roots))


def _sha256_words(*words: int | bytes) -> Digest:
    return sha256(encode_words(words))
