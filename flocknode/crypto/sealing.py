"""Capsules: a 32-byte seed sealed to a seat's key of one attempt (X25519 sealed box, libsodium).

A sealed box carries no associated data; the seed's commitment H(s_j), which the opener must
check, binds context, trainer and column instead.
"""

from typing import Final, Self

from nacl.exceptions import CryptoError as SodiumError
from nacl.public import PrivateKey, PublicKey, SealedBox

from flocknode.crypto.errors import CapsuleError, KeyMaterialError
from flocknode.crypto.hashing import sha256
from flocknode.primitives import Digest

SUITE_X25519: Final = 1
PUBLIC_KEY_BYTES: Final = 32
SEED_BYTES: Final = 32
CAPSULE_BYTES: Final = 80
"""The sender's one-time key (32), the seed (32), the tag (16)."""


class SealingKey:
    """A seat's key for one attempt; destroyed when the attempt is final."""

    __slots__ = ("_private", "public")

    def __init__(self, secret: bytes) -> None:
        """Take the 32 secret bytes that ``export_secret`` returned."""
        if len(secret) != 32:
            raise KeyMaterialError("a sealing key is 32 bytes")
        self._private = PrivateKey(secret)
        self.public = bytes(self._private.public_key)

    def __repr__(self) -> str:
        return f"SealingKey(public={self.public.hex()})"

    def __reduce__(self) -> tuple[type[Self], tuple[bytes]]:
        raise TypeError("a sealing key is never pickled")

    @classmethod
    def generate(cls) -> Self:
        """Draw a key from libsodium."""
        return cls(bytes(PrivateKey.generate()))

    def export_secret(self) -> bytes:
        """Return the secret, which belongs in the attempt's encrypted file and nowhere else."""
        return bytes(self._private)

    def open(self, capsule: bytes) -> bytes:
        """Return the 32-byte seed in ``capsule``, or raise ``CapsuleError``."""
        if len(capsule) != CAPSULE_BYTES:
            raise CapsuleError(f"a capsule of {len(capsule)} bytes")
        try:
            return SealedBox(self._private).decrypt(capsule)
        except SodiumError as error:
            raise CapsuleError("a capsule that this key does not open") from error


def seal(public: bytes, seed: bytes) -> bytes:
    """Seal a 32-byte seed to a seat's public key.

    Raises ``KeyMaterialError`` for a key of the wrong length or of low order, whose box anybody
    could open. Fault: the seat.
    """
    assert len(seed) == SEED_BYTES
    if len(public) != PUBLIC_KEY_BYTES:
        raise KeyMaterialError(f"a sealing key of {len(public)} bytes")
    try:
        return SealedBox(PublicKey(public)).encrypt(seed)
    except SodiumError as error:
        raise KeyMaterialError("a sealing key of low order") from error


def sealing_key_hash(suite: int, public: bytes) -> Digest:
    """Return SHA-256 of the suite byte and the public key, as ``SeatKey.key_hash`` names it."""
    return sha256(bytes([suite]) + public)
