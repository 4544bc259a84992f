"""Identifiers and units shared by every layer."""

from typing import NewType

Address = NewType("Address", bytes)
"""20 bytes: the Ethereum address of a secp256k1 key."""

Digest = NewType("Digest", bytes)
"""32 bytes: SHA-256 for data and trees, Keccak-256 for everything that EIP-712 signs."""

PeerId = NewType("PeerId", bytes)
"""The libp2p peer id (multihash bytes) of an Ed25519 network key."""

Seconds = NewType("Seconds", float)
"""Unix time or a span of it; deadlines on the chain are whole seconds."""

Wei = NewType("Wei", int)

ZERO_DIGEST = Digest(bytes(32))
