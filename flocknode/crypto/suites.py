"""Sealing suites: a task names one, and all its keys and capsules are of it."""

from dataclasses import dataclass
from typing import Final

from flocknode.crypto import hybrid_sealing, sealing
from flocknode.crypto.eip712 import encode_words
from flocknode.crypto.errors import KeyMaterialError
from flocknode.crypto.hybrid_sealing import HybridSealingKey, seal_hybrid
from flocknode.crypto.sealing import SUITE_X25519, SealingKey, seal
from flocknode.primitives import Address, Digest

CAPSULE_TAG: Final = b"flock/capsule/v1".ljust(32, b"\0")
SUITE_MLKEM768_X25519: Final = 2

AnySealingKey = SealingKey | HybridSealingKey


@dataclass(frozen=True, slots=True)
class Suite:
    """A way to seal seeds. The number stands in messages, the name in configurations."""

    number: int
    name: str
    public_bytes: int
    capsule_bytes: int
    in_header: bool
    """Whether capsules travel in the header; else by column, as blobs that the header names."""


X25519: Final = Suite(
    SUITE_X25519, "x25519", sealing.PUBLIC_KEY_BYTES, sealing.CAPSULE_BYTES, in_header=True
)
MLKEM768_X25519: Final = Suite(
    SUITE_MLKEM768_X25519,
    "mlkem768-x25519",
    hybrid_sealing.PUBLIC_KEY_BYTES,
    hybrid_sealing.CAPSULE_BYTES,
    in_header=False,
)
SUITES: Final = {suite.name: suite for suite in (X25519, MLKEM768_X25519)}


@dataclass(frozen=True, slots=True)
class CapsulePlace:
    """Whose seed, for which column, sealed to which seat, in which attempt."""

    ctx: Digest
    trainer: Address
    column: int
    seat: int

    def info(self, suite: Suite) -> bytes:
        """Return what a capsule binds: six words."""
        place = (self.ctx, self.trainer, self.column, self.seat, suite.number)
        return encode_words((CAPSULE_TAG, *place))


def new_key(suite: Suite) -> AnySealingKey:
    """Draw a seat's key for one attempt."""
    return SealingKey.generate() if suite is X25519 else HybridSealingKey.generate()


def read_key(number: int, secret: bytes) -> AnySealingKey:
    """Return the key whose secret was exported under the suite ``number``."""
    if number == X25519.number:
        return SealingKey(secret)
    if number == MLKEM768_X25519.number:
        return HybridSealingKey(secret)
    raise KeyMaterialError(f"no sealing suite {number}")


def suite_of(key: AnySealingKey) -> Suite:
    return X25519 if isinstance(key, SealingKey) else MLKEM768_X25519


def seal_seed(suite: Suite, public: bytes, seed: bytes, place: CapsulePlace) -> bytes:
    """Seal a 32-byte seed to a seat's public key; ``KeyMaterialError`` for a key that is none."""
    if suite is X25519:
        # A sealed box binds nothing; the seed's commitment, which the opener checks, does.
        return seal(public, seed)
    return seal_hybrid(public, seed, place.info(suite))


def open_capsule(key: AnySealingKey, capsule: bytes, place: CapsulePlace) -> bytes:
    """Return the 32-byte seed in ``capsule``, or raise ``CapsuleError``."""
    match key:
        case SealingKey():
            return key.open(capsule)
        case HybridSealingKey():
            return key.open(capsule, place.info(MLKEM768_X25519))
