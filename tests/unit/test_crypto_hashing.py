from hashlib import sha256

import pytest
from eth_hash.auto import keccak

from flocknode.crypto.errors import EncodingError
from flocknode.crypto.hashing import (
    capsules_hash,
    committee_hash,
    mask_commitment,
    mask_roots_hash,
    seed_commitment,
    seeds_hash,
)

CTX, TRAINER, SEED, ROOT = b"c" * 32, b"t" * 20, b"s" * 32, b"r" * 32


def word(number):
    return number.to_bytes(32, "big")


def test_seed_commitment_is_five_words():
    words = b"flock/seed/v1" + bytes(19) + CTX + bytes(12) + TRAINER + word(2) + SEED
    assert len(words) == 5 * 32
    assert seed_commitment(CTX, TRAINER, 2, SEED) == sha256(words).digest()


def test_mask_commitment_is_four_words():
    words = b"flock/mask/v1" + bytes(19) + CTX + word(14) + ROOT
    assert mask_commitment(CTX, 14, ROOT) == sha256(words).digest()


def test_lists_are_hashed_in_order():
    assert seeds_hash([ROOT, SEED]) == sha256(ROOT + SEED).digest()
    assert mask_roots_hash([ROOT, SEED]) == keccak(ROOT + SEED)


def test_capsules_carry_their_lengths():
    assert capsules_hash([b"ab", b""]) == sha256(b"\0\2ab\0\0").digest()
    assert capsules_hash([b"ab", b""]) != capsules_hash([b"", b"ab"])


def test_capsule_too_long_for_its_length_is_refused():
    with pytest.raises(EncodingError):
        capsules_hash([bytes(1 << 16)])


def test_committee_hash_is_two_words_a_seat():
    expected = keccak(word(7) + bytes(12) + TRAINER + word(3) + bytes(12) + b"u" * 20)
    assert committee_hash([7, 3], [TRAINER, b"u" * 20]) == expected
