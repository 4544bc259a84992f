import copy
import pickle
from contextlib import suppress

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from flocknode.crypto.errors import KeyMaterialError, SignatureError
from flocknode.crypto.signing import GROUP_ORDER, SigningKey, new_signing_key, recover

SECRET = bytes(31) + b"\x07"
KEY = SigningKey(SECRET)
DIGEST = b"d" * 32
SIGNATURE = KEY.sign_digest(DIGEST)


def with_s(signature, s, v):
    return signature[:32] + s.to_bytes(32, "big") + bytes([v])


def test_address_and_signature_are_those_of_an_independent_implementation():
    account = Account.from_key(SECRET)
    assert KEY.address == bytes.fromhex(account.address[2:])
    assert account.unsafe_sign_hash(DIGEST).signature == SIGNATURE


@given(st.binary(min_size=32, max_size=32))
def test_signature_recovers_to_its_signer(digest):
    assert recover(digest, KEY.sign_digest(digest)) == KEY.address


def test_new_keys_differ():
    assert new_signing_key().address != new_signing_key().address


def test_second_signature_with_high_s_is_refused():
    s = int.from_bytes(SIGNATURE[32:64], "big")
    malleated = with_s(SIGNATURE, GROUP_ORDER - s, 55 - SIGNATURE[64])
    with pytest.raises(SignatureError):
        recover(DIGEST, malleated)


@pytest.mark.parametrize("v", [0, 1, 26, 29, 30, 255])
def test_v_other_than_27_and_28_is_refused(v):
    with pytest.raises(SignatureError):
        recover(DIGEST, SIGNATURE[:64] + bytes([v]))


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        SIGNATURE[:64],
        SIGNATURE + b"\0",
        bytes(64) + b"\x1b",
        with_s(SIGNATURE, 0, 27),
        GROUP_ORDER.to_bytes(32, "big") + SIGNATURE[32:],
        b"\xff" * 64 + b"\x1b",
    ],
)
def test_malformed_signature_is_refused(signature):
    with pytest.raises(SignatureError):
        recover(DIGEST, signature)


@given(st.binary(max_size=70) | st.binary(min_size=64, max_size=64).map(lambda b: b + b"\x1b"))
def test_garbage_recovers_to_a_stranger_or_is_refused(signature):
    with suppress(SignatureError):
        assert recover(DIGEST, signature) != KEY.address


@pytest.mark.parametrize(
    "secret", [b"", bytes(32), bytes(31), GROUP_ORDER.to_bytes(32, "big"), b"\xff" * 32]
)
def test_what_is_no_scalar_is_no_key(secret):
    with pytest.raises(KeyMaterialError):
        SigningKey(secret)


def test_key_does_not_leak():
    assert SECRET.hex() not in repr(KEY)
    assert KEY.address.hex() in repr(KEY)
    for leak in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            leak(KEY)
