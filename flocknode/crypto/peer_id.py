"""The name of a peer: its Ed25519 network key as a libp2p peer id.

Published form: https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
"""

from functools import lru_cache
from typing import Final

import base58
from nacl.signing import SigningKey

from flocknode.primitives import PeerId

SEED_BYTES: Final = 32
PEERS_NAMED_MAX: Final = 1_024
"""Texts kept of peers: base58 takes a third of a millisecond."""
_IDENTITY: Final = bytes([0x00, 36])
"""The multihash of 36 bytes that are their own hash."""
_ED25519_KEY: Final = bytes([0x08, 1, 0x12, 32])
"""The protobuf of a public key: its type, then 32 bytes."""


def peer_of(seed: bytes) -> PeerId:
    """Return the peer id of the network key of a 32-byte ``seed``."""
    assert len(seed) == SEED_BYTES, "an Ed25519 seed has 32 bytes"
    return PeerId(_IDENTITY + _ED25519_KEY + SigningKey(seed).verify_key.encode())


@lru_cache(maxsize=PEERS_NAMED_MAX)
def peer_text(peer: PeerId) -> str:
    """Return the base58 form of ``peer`` for logs and addresses."""
    return base58.b58encode(peer).decode("ascii")
