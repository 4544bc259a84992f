"""drand's rounds in Python, against a published one."""

import stat
from dataclasses import replace
from hashlib import sha256

import pytest

from flocknode.chain.drand import (
    QUICKNET,
    DrandNetwork,
    RoundNotVerified,
    create_round_key,
    g2_words,
    load_round_key,
    proof_bytes,
    sign_round,
    verify_round,
)
from flocknode.errors import ConfigurationError, UsageError

ROUND = 1000
SIGNATURE = bytes.fromhex(
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125"
    "e342b73a8dd2bacbe47e4b6b63ed5e39"
)
RANDOMNESS = "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"
"""As drand published it for this round."""
INFINITY = bytes([0xC0]) + bytes(47)
OUTSIDE = bytes([0x80]) + bytes(46) + bytes([4])
"""x = 4: on the curve and not in the group."""


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_published_round_verifies():
    assert verify_round(QUICKNET, ROUND, SIGNATURE).hex() == RANDOMNESS


def test_rounds_are_published_by_the_networks_clock():
    assert QUICKNET.published_at(1) == QUICKNET.genesis
    assert QUICKNET.published_at(ROUND) == QUICKNET.genesis + 999 * 3


@pytest.mark.parametrize(
    ("number", "signature"),
    [
        (ROUND + 1, SIGNATURE),
        (ROUND, flipped(SIGNATURE, 5)),  # the other root of y
        (ROUND, flipped(SIGNATURE, 200)),
        (ROUND, flipped(SIGNATURE, 7)),  # not compressed
        (ROUND, INFINITY),
        (ROUND, OUTSIDE),
        (ROUND, SIGNATURE[:-1]),
        (ROUND, SIGNATURE + b"\x00"),
    ],
)
def test_any_other_round_or_signature_is_refused(number, signature):
    with pytest.raises(RoundNotVerified, match=f"round {number}"):
        verify_round(QUICKNET, number, signature)


@pytest.mark.parametrize("number", [0, -1, 1 << 64])
def test_rounds_count_from_one_in_64_bits(number):
    with pytest.raises(UsageError, match="no round"):
        verify_round(QUICKNET, number, SIGNATURE)


@pytest.mark.parametrize(
    "key", [b"", QUICKNET.public_key[:-1], bytes([0xC0]) + bytes(95), bytes(96)]
)
def test_bytes_that_are_no_key_are_refused(key):
    with pytest.raises(ConfigurationError, match="no drand public key"):
        verify_round(replace(QUICKNET, public_key=key), ROUND, SIGNATURE)


def test_a_consortium_signs_rounds_with_a_key_of_its_own(tmp_path):
    path = tmp_path / "rounds.key"
    public = create_round_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    scalar, again = load_round_key(path)
    assert again == public
    signature = sign_round(scalar, 7)
    network = DrandNetwork(public, genesis=1, period=1)
    assert verify_round(network, 7, signature) == sha256(signature).digest()
    with pytest.raises(RoundNotVerified):
        verify_round(QUICKNET, 7, signature)


@pytest.mark.parametrize("content", ["", "00" * 32, "ff" * 32, "zz", "01" * 31])
def test_a_file_without_a_key_is_refused_and_not_quoted(tmp_path, content):
    path = tmp_path / "rounds.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="holds no drand key") as caught:
        load_round_key(path)
    assert caught.value.__context__ is None or content not in str(caught.value.__context__)


def test_points_are_written_as_the_contract_reads_them():
    point = proof_bytes(ROUND, SIGNATURE)
    assert len(point) == 96
    assert bytes([point[0] | 0xA0]) + point[1:48] == SIGNATURE
    words = g2_words(QUICKNET.public_key)
    assert len(words) == 256
    # The compressed key holds x.c1 with two flags, then x.c0.
    assert bytes([words[80] | 0x80]) + words[81:128] + words[16:64] == QUICKNET.public_key
