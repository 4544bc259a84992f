"""secp256k1 signatures in the one form that the contracts accept: r, s, v with a low s."""

import os
from functools import lru_cache
from typing import Final, Self

import coincurve
from eth_hash.auto import keccak

from flocknode.crypto.errors import KeyMaterialError, SignatureError
from flocknode.primitives import Address, Digest

SIGNATURE_BYTES: Final = 65
SIGNATURES_MAX: Final = 8_192
"""Remembered with their signers: what a full committee and roster sign; about 250 bytes each."""
GROUP_ORDER: Final = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
_V_OFFSET: Final = 27


class SigningKey:
    """A secp256k1 key. Only the signing component may hold one; see the signing protection."""

    __slots__ = ("_key", "address")

    def __init__(self, secret: bytes) -> None:
        """Take 32 bytes; raise ``KeyMaterialError`` unless they are a scalar of the group."""
        if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < GROUP_ORDER:
            raise KeyMaterialError("a signing key is 32 bytes between zero and the group order")
        self._key = coincurve.PrivateKey(secret)
        self.address = _address(self._key.public_key)

    def __repr__(self) -> str:
        return f"SigningKey(address=0x{self.address.hex()})"

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        raise TypeError("a signing key is never pickled")

    def sign_digest(self, digest: Digest) -> bytes:
        """Return the 65 bytes r, s, v over a 32-byte digest, deterministically (RFC 6979)."""
        compact: bytes = self._key.sign_recoverable(digest, hasher=None)
        return compact[:64] + bytes([compact[64] + _V_OFFSET])


def new_signing_key() -> SigningKey:
    """Draw a key from the operating system."""
    return SigningKey(os.urandom(32))


@lru_cache(maxsize=SIGNATURES_MAX)
def recover(digest: Digest, signature: bytes) -> Address:
    """Return who signed ``digest``; raise ``SignatureError`` for anything but r, s, v with low s.

    A high s is refused because it would give every statement a second valid signature. What is
    said again, or to another node of this process, costs no curve arithmetic.
    """
    if len(digest) != 32 or len(signature) != SIGNATURE_BYTES:
        raise SignatureError(f"a signature of {len(signature)} bytes")
    s = int.from_bytes(signature[32:64], "big")
    recovery = signature[64] - _V_OFFSET
    if s > GROUP_ORDER // 2 or recovery not in (0, 1):
        raise SignatureError("a high s or a v other than 27 and 28")
    try:
        public = coincurve.PublicKey.from_signature_and_message(
            signature[:64] + bytes([recovery]), digest, hasher=None
        )
    except ValueError as error:
        raise SignatureError("r and s recover to no key") from error
    return _address(public)


def _address(public: coincurve.PublicKey) -> Address:
    uncompressed: bytes = public.format(compressed=False)
    return Address(keccak(uncompressed[1:])[-20:])
