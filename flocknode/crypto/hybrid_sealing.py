"""Capsules that a recorder cannot open with a quantum computer: HPKE with ML-KEM-768 and X25519.

RFC 9180 in base mode with MLKEM768-X25519 (0x647a, draft-ietf-hpke-pq), HKDF-SHA256 and
ChaCha20-Poly1305. A capsule opens while either of the two problems is hard. The info string binds
it to its place.
"""

import hashlib
import os
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from flocknode.crypto.errors import CapsuleError, KeyMaterialError

SECRET_BYTES: Final = 32
LATTICE_KEY_BYTES: Final = 1184
PUBLIC_KEY_BYTES: Final = LATTICE_KEY_BYTES + 32
CAPSULE_BYTES: Final = 1168
"""The encapsulated key (1088 + 32), the seed (32), the tag (16)."""

_HPKE: Final = hpke.Suite(
    hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305
)


class HybridSealingKey:
    """A seat's key for one attempt; destroyed when the attempt is final."""

    __slots__ = ("_private", "_secret", "public")

    def __init__(self, secret: bytes) -> None:
        """Take the 32 secret bytes that ``export_secret`` returned; SHAKE256 expands them."""
        if len(secret) != SECRET_BYTES:
            raise KeyMaterialError("a sealing key is 32 bytes")
        expanded = hashlib.shake_256(secret).digest(96)
        lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        curve = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._secret = secret
        self._private = hpke.MLKEM768X25519PrivateKey(lattice, curve)
        self.public = (
            lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        )

    def __repr__(self) -> str:
        return f"HybridSealingKey(public={self.public[-32:].hex()})"

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        raise TypeError("a sealing key is never pickled")

    @classmethod
    def generate(cls) -> Self:
        """Draw a key from the operating system."""
        return cls(os.urandom(SECRET_BYTES))

    def export_secret(self) -> bytes:
        """Return the secret, which belongs in the attempt's encrypted file and nowhere else."""
        return self._secret

    def open(self, capsule: bytes, info: bytes) -> bytes:
        """Return the 32-byte seed in ``capsule``, or raise ``CapsuleError``."""
        if len(capsule) != CAPSULE_BYTES:
            raise CapsuleError(f"a capsule of {len(capsule)} bytes")
        try:
            return _HPKE.decrypt(capsule, self._private, info)
        except (InvalidTag, ValueError) as error:
            raise CapsuleError("a capsule that this key does not open") from error


def seal_hybrid(public: bytes, seed: bytes, info: bytes) -> bytes:
    """Seal a 32-byte seed to a seat's public key; raise ``KeyMaterialError`` for one that is none.

    Fault: the seat.
    """
    if len(public) != PUBLIC_KEY_BYTES:
        raise KeyMaterialError(f"a sealing key of {len(public)} bytes")
    try:
        lattice = MLKEM768PublicKey.from_public_bytes(public[:LATTICE_KEY_BYTES])
        curve = X25519PublicKey.from_public_bytes(public[LATTICE_KEY_BYTES:])
        return _HPKE.encrypt(seed, hpke.MLKEM768X25519PublicKey(lattice, curve), info)
    except ValueError as error:
        raise KeyMaterialError("a sealing key that is no point or no lattice key") from error
