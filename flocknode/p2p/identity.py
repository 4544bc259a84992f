"""The network key of a node, and the addresses of peers."""

from functools import lru_cache

from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.peer.id import ID
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrFault

from flocknode.errors import ConfigurationError
from flocknode.primitives import PeerId

ADDRESSES_READ_MAX = 1_024
"""Addresses kept as they were read: each takes a millisecond."""


def key_pair_of(seed: bytes) -> KeyPair:
    """Return the Ed25519 key pair of a 32-byte ``seed``."""
    return create_new_key_pair(seed)


@lru_cache(maxsize=ADDRESSES_READ_MAX)
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
