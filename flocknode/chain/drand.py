"""drand's rounds: verified and, for a consortium's own key, signed.

Scheme bls-unchained-g1-rfc9380: BLS signatures on BLS12-381 in G1 under a key in G2, over SHA-256
of the round's number (https://drand.love/docs/specification). DrandBeacon checks the same.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, compress_G2, decompress_G1, decompress_G2
from py_ecc.bls.typing import G1Compressed, G1Uncompressed, G2Compressed, G2Uncompressed
from py_ecc.fields import optimized_bls12_381_FQ12
from py_ecc.optimized_bls12_381.optimized_curve import (
    G2,
    curve_order,
    is_inf,
    multiply,
    neg,
    normalize,
)
from py_ecc.optimized_bls12_381.optimized_pairing import final_exponentiate, pairing

from flocknode.chain.errors import RoundNotVerified
from flocknode.chain.keystore import read_secret, write_secret
from flocknode.errors import ConfigurationError, UsageError
from flocknode.primitives import Digest

DST: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"
SIGNATURE_BYTES: Final = 48
KEY_BYTES: Final = 96
ROUND_MAX: Final = (1 << 64) - 1
_FIELD_BYTES: Final = 48
_WORD_BYTES: Final = 64
_SECRET_BYTES: Final = 32
# py_ecc annotates the hash's constructor with the type of what it returns.
_SHA256: Any = sha256
_DRAWN_BYTES: Final = 48
"""So many bytes modulo the group's order are uniform to 2^-128."""


@dataclass(frozen=True, slots=True)
class DrandNetwork:
    """A drand network, or whoever holds a key of its shape."""

    public_key: bytes
    """A point of G2, compressed to 96 bytes."""
    genesis: int
    """When round 1 was published, in Unix seconds."""
    period: int
    """Seconds from one round to the next."""
    dst: bytes = DST

    def published_at(self, round_number: int) -> int:
        return self.genesis + (round_number - 1) * self.period


QUICKNET: Final = DrandNetwork(
    public_key=bytes.fromhex(
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d"
        "1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8"
        "991ef5ece45a"
    ),
    genesis=1_692_803_367,
    period=3,
)
"""The League of Entropy's network of this scheme; the constants are those of drand-client."""


def verify_round(network: DrandNetwork, round_number: int, signature: bytes) -> Digest:
    """Return a round's randomness as drand publishes it, SHA-256 of the compressed signature.

    Raises RoundNotVerified for any but the one signature that the key gives this round. Takes 0.5
    seconds of CPU.
    """
    point = _signature_point(round_number, signature)
    key = _key_point(network.public_key)
    pairs = ((G2, point), (neg(key), _message_point(network.dst, round_number)))
    product = optimized_bls12_381_FQ12.one()
    for key_side, signature_side in pairs:
        product *= pairing(key_side, signature_side, final_exponentiate=False)
    if final_exponentiate(product) != optimized_bls12_381_FQ12.one():
        raise RoundNotVerified(round_number, "another key or another round made the signature")
    return Digest(sha256(signature).digest())


def proof_bytes(round_number: int, signature: bytes) -> bytes:
    """Return a signature as DrandBeacon takes it: x and y of 48 bytes each."""
    x, y = normalize(_signature_point(round_number, signature))
    return b"".join(int(c).to_bytes(_FIELD_BYTES, "big") for c in (x, y))


def g2_words(public_key: bytes) -> bytes:
    """Return a key as EIP-2537 encodes a point of G2: x.c0, x.c1, y.c0, y.c1, 64 bytes each."""
    x, y = normalize(_key_point(public_key))
    return b"".join(int(c).to_bytes(_WORD_BYTES, "big") for c in (*x.coeffs, *y.coeffs))


def create_round_key(path: Path) -> bytes:
    """Draw a consortium's key from the operating system into a new file; return its public half."""
    scalar = int.from_bytes(os.urandom(_DRAWN_BYTES), "big") % (curve_order - 1) + 1
    write_secret(path, scalar.to_bytes(_SECRET_BYTES, "big").hex().encode() + b"\n")
    return _public_key(scalar)


def load_round_key(path: Path) -> tuple[int, bytes]:
    """Read a consortium's key; return its scalar and its public half."""
    try:
        secret = bytes.fromhex(read_secret(path).decode("ascii").strip())
    except ValueError:
        secret = b""
    scalar = int.from_bytes(secret, "big")
    if len(secret) != _SECRET_BYTES or not 0 < scalar < curve_order:
        # The cause is not quoted: it could hold a part of the file.
        raise ConfigurationError(f"{path} holds no drand key", "restore it from a backup")
    return scalar, _public_key(scalar)


def sign_round(scalar: int, round_number: int, dst: bytes = DST) -> bytes:
    """Return a round's signature, compressed.

    Not in constant time: sign where nobody can measure, and no round before it is due.
    """
    point = multiply(_message_point(dst, round_number), scalar)
    return int(compress_G1(point)).to_bytes(SIGNATURE_BYTES, "big")


def _message_point(dst: bytes, round_number: int) -> G1Uncompressed:
    if not 0 < round_number <= ROUND_MAX:
        raise UsageError(f"there is no round {round_number}", "rounds count from 1, in 64 bits")
    message = sha256(round_number.to_bytes(8, "big")).digest()
    return hash_to_G1(message, dst, _SHA256)


def _signature_point(round_number: int, signature: bytes) -> G1Uncompressed:
    """Decompress a signature; infinity and points outside the subgroup are nobody's signature."""
    if len(signature) != SIGNATURE_BYTES:
        raise RoundNotVerified(round_number, f"a signature has 48 bytes, not {len(signature)}")
    try:
        point = decompress_G1(G1Compressed(int.from_bytes(signature, "big")))
    except ValueError as error:
        raise RoundNotVerified(round_number, "the signature is no point of the curve") from error
    if is_inf(point) or not is_inf(multiply(point, curve_order)):
        raise RoundNotVerified(round_number, "the signature is no point of the group")
    return point


@lru_cache(maxsize=8)
def _key_point(public_key: bytes) -> G2Uncompressed:
    refused = ConfigurationError("that is no drand public key", "copy it again from the network")
    if len(public_key) != KEY_BYTES:
        raise refused
    halves = (public_key[:_FIELD_BYTES], public_key[_FIELD_BYTES:])
    try:
        high, low = (int.from_bytes(half, "big") for half in halves)
        point = decompress_G2(G2Compressed((high, low)))
    except ValueError as error:
        raise refused from error
    if is_inf(point) or not is_inf(multiply(point, curve_order)):
        raise refused
    return point


def _public_key(scalar: int) -> bytes:
    high, low = compress_G2(multiply(G2, scalar))
    return b"".join(int(half).to_bytes(_FIELD_BYTES, "big") for half in (high, low))
