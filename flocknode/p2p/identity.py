"""The network key of a node and the peer id that names it."""

from functools import lru_cache

from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrFault

from flocknode.errors import ConfigurationError
from flocknode.primitives import PeerId

SEED_BYTES = 32
NAMED_MAX = 1_024
"""Texts kept of peers and their addresses: base58 takes a third of a millisecond."""


def key_pair_of(seed: bytes) -> KeyPair:
    """Return the Ed25519 key pair of a 32-byte ``seed``."""
    assert len(seed) == SEED_BYTES, "an Ed25519 seed has 32 bytes"
    return create_new_key_pair(seed)


def peer_of(seed: bytes) -> PeerId:
    """Return the peer id of the network key of ``seed``."""
    return PeerId(ID.from_pubkey(key_pair_of(seed).public_key).to_bytes())


@lru_cache(maxsize=NAMED_MAX)
def peer_text(peer: PeerId) -> str:
    """Return the base58 form of ``peer`` for logs and addresses."""
    return str(ID(peer))


@lru_cache(maxsize=NAMED_MAX)
def parse_address(text: str) -> tuple[PeerId, str]:
    """Split a multiaddr that ends in ``/p2p/<peer>`` into the peer and the address to dial."""
    try:
        address = Multiaddr(text)
        name = address.value_for_protocol("p2p")
        peer = ID.from_base58(name)
    except (MultiaddrFault, ValueError, TypeError, KeyError) as fault:
        raise ConfigurationError(
            f"{text!r} is not the address of a peer",
            "write it as /ip4/<address>/tcp/<port>/p2p/<peer id>",
        ) from fault
    return PeerId(peer.to_bytes()), str(address.decapsulate(Multiaddr(f"/p2p/{name}")))
