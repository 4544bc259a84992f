"""Both sealing suites, against fixed capsules and against HPKE as its documents write it."""

import json
import pickle
from dataclasses import replace
from hashlib import sha256, shake_128
from pathlib import Path

import pytest

from flocknode.crypto.errors import CapsuleError, KeyMaterialError
from flocknode.crypto.hybrid_sealing import HybridSealingKey, seal_hybrid
from flocknode.crypto.suites import (
    CAPSULE_TAG,
    MLKEM768_X25519,
    SUITES,
    X25519,
    CapsulePlace,
    new_key,
    open_capsule,
    read_key,
    seal_seed,
    suite_of,
)
from tests.hybrid_hpke import ENC_BYTES, Context, decapsulate, public_bytes

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
SEED = bytes(range(32))
PLACE = CapsulePlace(sha256(b"ctx").digest(), sha256(b"trainer").digest()[:20], 2, 5)
OTHER_PLACES = {
    "ctx": replace(PLACE, ctx=sha256(b"another").digest()),
    "trainer": replace(PLACE, trainer=sha256(b"another").digest()[:20]),
    "column": replace(PLACE, column=1),
    "seat": replace(PLACE, seat=8),
}

both = pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)


@pytest.fixture(scope="module")
def published():
    content = json.loads((VECTORS / "hpke_mlkem768_x25519.json").read_text("utf-8"))
    names = ("skRm", "pkRm", "enc", "info", "encryptions")
    return {name: bytes.fromhex(content[name]) for name in names}


@pytest.mark.parametrize("vector", json.loads((VECTORS / "capsules.json").read_text("utf-8")))
def test_fixed_capsule_opens(vector):
    known = {
        name: bytes.fromhex(value) if isinstance(value, str) and name != "name" else value
        for name, value in vector.items()
    }
    suite = SUITES[known["name"]]
    key = read_key(known["suite"], known["secret"])
    place = CapsulePlace(known["ctx"], known["trainer"], known["column"], known["seat"])
    assert suite_of(key) == suite
    assert key.public == known["public"]
    assert place.info(suite) == known["info"]
    assert open_capsule(key, known["capsule"], place) == known["seed"]


def test_info_is_six_words():
    words = (CAPSULE_TAG, PLACE.ctx, bytes(12) + PLACE.trainer, *(n.to_bytes(32) for n in (2, 5)))
    assert PLACE.info(MLKEM768_X25519) == b"".join((*words, (2).to_bytes(32)))


def test_written_out_hpke_gives_the_published_ciphertexts(published):
    assert public_bytes(published["skRm"]) == published["pkRm"]
    context = Context(decapsulate(published["skRm"], published["enc"]), published["info"])
    source = shake_128(b"").digest(2_000 * 256)
    sealed, at = b"", 0
    for number in range(1_000):
        parts = []
        for _ in range(2):
            parts.append(source[at + 1 : at + 1 + source[at]])
            at += 1 + source[at]
        sealed += context.seal(number, parts[1], aad=parts[0])
    assert shake_128(sealed).digest(16) == published["encryptions"]


def test_library_opens_what_written_out_hpke_seals(published):
    key = HybridSealingKey(published["skRm"])
    assert key.public == published["pkRm"]
    shared = decapsulate(published["skRm"], published["enc"])
    capsule = published["enc"] + Context(shared, b"info").seal(0, SEED)
    assert key.open(capsule, b"info") == SEED


def test_written_out_hpke_opens_what_the_library_seals():
    secret = sha256(b"secret").digest()
    info = PLACE.info(MLKEM768_X25519)
    capsule = seal_hybrid(HybridSealingKey(secret).public, SEED, info)
    context = Context(decapsulate(secret, capsule[:ENC_BYTES]), info)
    assert context.open(0, capsule[ENC_BYTES:]) == SEED


@both
def test_only_the_sealed_to_key_opens(suite):
    key, other = new_key(suite), new_key(suite)
    capsule = seal_seed(suite, key.public, SEED, PLACE)
    assert (len(key.public), len(capsule)) == (suite.public_bytes, suite.capsule_bytes)
    assert open_capsule(key, capsule, PLACE) == SEED
    assert seal_seed(suite, key.public, SEED, PLACE) != capsule
    with pytest.raises(CapsuleError):
        open_capsule(other, capsule, PLACE)


@both
def test_exported_secret_opens_the_same_capsules(suite):
    key = new_key(suite)
    again = read_key(suite.number, key.export_secret())
    assert again.public == key.public
    assert open_capsule(again, seal_seed(suite, key.public, SEED, PLACE), PLACE) == SEED


@pytest.mark.parametrize("name", OTHER_PLACES)
def test_hybrid_capsule_opens_in_its_place_only(name):
    key = new_key(MLKEM768_X25519)
    capsule = seal_seed(MLKEM768_X25519, key.public, SEED, PLACE)
    with pytest.raises(CapsuleError):
        open_capsule(key, capsule, OTHER_PLACES[name])


def test_hybrid_capsule_names_its_suite():
    assert PLACE.info(MLKEM768_X25519) != PLACE.info(X25519)


@both
def test_flipped_bit_or_other_length_does_not_open(suite):
    key = new_key(suite)
    capsule = seal_seed(suite, key.public, SEED, PLACE)
    for position in (0, 31, len(capsule) // 2, len(capsule) - 49, len(capsule) - 1):
        flipped = bytearray(capsule)
        flipped[position] ^= 1
        with pytest.raises(CapsuleError):
            open_capsule(key, bytes(flipped), PLACE)
    for other in (b"", capsule[:-1], capsule + b"\0", bytes(len(capsule)), b"\xff" * len(capsule)):
        with pytest.raises(CapsuleError):
            open_capsule(key, other, PLACE)


@pytest.mark.parametrize(
    "public",
    [b"", bytes(1215), bytes(1217), b"\xff" * 1216, bytes(1216)],
    ids=["empty", "short", "long", "no lattice key", "low order"],
)
def test_hybrid_key_that_is_none_is_refused(public):
    with pytest.raises(KeyMaterialError):
        seal_seed(MLKEM768_X25519, public, SEED, PLACE)


def test_low_order_point_beside_a_good_lattice_key_is_refused():
    good = new_key(MLKEM768_X25519).public
    with pytest.raises(KeyMaterialError):
        seal_seed(MLKEM768_X25519, good[:1184] + bytes(32), SEED, PLACE)


@both
def test_key_does_not_leak(suite):
    key = new_key(suite)
    assert key.export_secret().hex() not in repr(key)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_unknown_suite_is_refused():
    with pytest.raises(KeyMaterialError, match="no sealing suite 3"):
        read_key(3, bytes(32))
