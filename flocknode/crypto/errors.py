"""What may be wrong with keys, signatures, capsules and trees that somebody else made."""

from flocknode.errors import FlockError


class CryptoError(FlockError):
    """Root of this layer's errors."""


class EncodingError(CryptoError):
    """A value does not fit the 32-byte word that it should become."""


class KeyMaterialError(CryptoError):
    """Bytes that are no key: wrong length, or a scalar or point outside the group."""


class SignatureError(CryptoError):
    """A signature that is malformed, malleable or recovers to no key. Fault: its sender."""


class CapsuleError(CryptoError):
    """A capsule that does not open to exactly 32 bytes. Fault: the trainer that sealed it."""


class TreeError(CryptoError):
    """Bytes over which there is no tree, or a leaf that the tree does not have."""
