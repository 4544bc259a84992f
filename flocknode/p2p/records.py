"""Where a peer listens, signed by the key that its id is made of: anyone may pass it on."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from libp2p.crypto.ed25519 import Ed25519PublicKey
from multiaddr import Multiaddr
from multiaddr.exceptions import Error as MultiaddrFault

from flocknode.crypto.hashing import sha256
from flocknode.crypto.peer_id import peer_of
from flocknode.p2p.faults import NetworkError
from flocknode.p2p.identity import key_pair_of
from flocknode.primitives import Digest, PeerId

PEER_BYTES = 38
ED25519_PREFIX = bytes([0x00, 36, 0x08, 1, 0x12, 32])
"""An identity multihash of 36 bytes: a protobuf key of type Ed25519 with 32 bytes."""
ADDRESSES_MAX = 4
ADDRESS_BYTES_MAX = 96
RECORD_BYTES_MAX = PEER_BYTES + 8 + 1 + ADDRESSES_MAX * (1 + ADDRESS_BYTES_MAX) + 64
PROTOCOLS = (["ip4", "tcp"], ["ip6", "tcp"], ["dns4", "tcp"], ["dns6", "tcp"], ["dns", "tcp"])
CHECKED_MAX = 1_024
UNSPECIFIED = ("/ip4/0.0.0.0/", "/ip6/::/")
_TAG = b"flocknode/peer-record/1\0"
_HEAD = struct.Struct(f">{PEER_BYTES}sQB")


class RecordError(NetworkError):
    """Bytes that are no record, or not signed by the peer that they name."""


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """Addresses of ``peer``; a higher ``sequence`` replaces a lower one."""

    peer: PeerId
    sequence: int
    addresses: tuple[str, ...]
    signature: bytes

    @classmethod
    def sign(cls, seed: bytes, sequence: int, addresses: Iterable[str]) -> Self:
        """Make the record of the network key of ``seed``."""
        peer, kept = peer_of(seed), tuple(addresses)[:ADDRESSES_MAX]
        signed = _TAG + _body(peer, sequence, kept)
        return cls(peer, sequence, kept, key_pair_of(seed).private_key.sign(signed))

    @classmethod
    @lru_cache(maxsize=CHECKED_MAX)
    def from_bytes(cls, data: bytes) -> Self:
        """Decode and check a record; raises ``RecordError``.

        Peers pass the same records on again and again: each is checked once.
        """
        try:
            peer, sequence, count = _HEAD.unpack_from(data)
            addresses, offset = [], _HEAD.size
            for _ in range(count):
                size = data[offset]
                addresses.append(data[offset + 1 : offset + 1 + size].decode("ascii"))
                offset += 1 + size
        except (struct.error, IndexError, UnicodeDecodeError) as fault:
            raise RecordError("malformed peer record") from fault
        body, signature = data[:offset], data[offset:]
        record = cls(PeerId(peer), sequence, tuple(addresses), signature)
        record._check(body)
        return record

    def to_bytes(self) -> bytes:
        return _body(self.peer, self.sequence, self.addresses) + self.signature

    @property
    def key(self) -> Digest:
        """Return where the peer stands in the space of keys."""
        return key_of(self.peer)

    def _check(self, body: bytes) -> None:
        # [REJECT] A record has one to four addresses, each one that can be dialled over TCP.
        if not 1 <= len(self.addresses) <= ADDRESSES_MAX or not all(
            map(is_address, self.addresses)
        ):
            raise RecordError("peer record without addresses of the known form")
        # [REJECT] The peer's own key has signed it.
        if not self.peer.startswith(ED25519_PREFIX) or len(self.signature) != 64:
            raise RecordError("peer record without a signature")
        public = Ed25519PublicKey.from_bytes(self.peer[len(ED25519_PREFIX) :])
        if not public.verify(_TAG + body, self.signature):
            raise RecordError("peer record signed by somebody else")


def key_of(peer: PeerId) -> Digest:
    return sha256(peer)


def is_address(text: str) -> bool:
    """Tell whether ``text`` is an IP address or name with a TCP port that can be dialled."""
    if len(text) > ADDRESS_BYTES_MAX or text.startswith(UNSPECIFIED):
        return False
    try:
        return [protocol.name for protocol in Multiaddr(text).protocols()] in PROTOCOLS
    except (MultiaddrFault, ValueError):
        return False


def _body(peer: PeerId, sequence: int, addresses: tuple[str, ...]) -> bytes:
    packed = b"".join(bytes([len(text)]) + text.encode("ascii") for text in addresses)
    return _HEAD.pack(peer, sequence, len(addresses)) + packed
