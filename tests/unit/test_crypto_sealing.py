import pickle
from hashlib import sha256

import pytest

from flocknode.crypto.errors import CapsuleError, KeyMaterialError
from flocknode.crypto.sealing import (
    CAPSULE_BYTES,
    SUITE_X25519,
    SealingKey,
    seal,
    sealing_key_hash,
)

SEED = bytes(range(32))


def test_only_the_sealed_to_key_opens():
    key, other = SealingKey.generate(), SealingKey.generate()
    capsule = seal(key.public, SEED)
    assert len(capsule) == CAPSULE_BYTES == 80
    assert key.open(capsule) == SEED
    with pytest.raises(CapsuleError):
        other.open(capsule)


def test_two_capsules_of_one_seed_differ():
    key = SealingKey.generate()
    assert seal(key.public, SEED) != seal(key.public, SEED)


def test_exported_secret_opens_the_same_capsules():
    key = SealingKey.generate()
    assert SealingKey(key.export_secret()).open(seal(key.public, SEED)) == SEED


@pytest.mark.parametrize("position", [0, 31, 32, 63, 64, 79])
def test_flipped_bit_does_not_open(position):
    key = SealingKey.generate()
    capsule = bytearray(seal(key.public, SEED))
    capsule[position] ^= 1
    with pytest.raises(CapsuleError):
        key.open(bytes(capsule))


@pytest.mark.parametrize("length", [0, 47, 48, 79, 81, 4096])
def test_capsule_of_another_length_is_refused(length):
    with pytest.raises(CapsuleError):
        SealingKey.generate().open(bytes(length))


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32), b"\x01" + bytes(31)])
def test_key_of_wrong_length_or_low_order_is_refused(public):
    with pytest.raises(KeyMaterialError):
        seal(public, SEED)


def test_key_does_not_leak():
    key = SealingKey.generate()
    assert key.export_secret().hex() not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_key_hash_names_suite_and_key():
    assert sealing_key_hash(SUITE_X25519, b"p" * 32) == sha256(b"\x01" + b"p" * 32).digest()
