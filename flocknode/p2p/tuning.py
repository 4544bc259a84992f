"""Repairs of libp2p 0.8.1 that have no other handle than its own names.

Each cost a measured share of the CPU of 24 hosts in one process.
"""

from libp2p.io.trio import TrioTCPStream
from libp2p.network import swarm
from libp2p.pubsub import gossipsub, pubsub

READ_AHEAD_BYTES = 1 << 16

_receive = TrioTCPStream.read


async def _read_ahead(stream: TrioTCPStream, n: int | None = None) -> bytes:
    """Read from the socket once for the many small pieces in which handshakes ask."""
    ahead: bytearray = stream.__dict__.setdefault("ahead", bytearray())
    if n == 0:
        return b""
    if not ahead:
        if n is not None and n > READ_AHEAD_BYTES:
            data: bytes = await _receive(stream, n)
            return data
        ahead += await _receive(stream, READ_AHEAD_BYTES)
    piece = bytes(ahead[:n])
    del ahead[: len(piece)]
    return piece


def _ignore_record(*_: object) -> bool:
    """Pass over the address that a peer signs into every message: nobody here dials it."""
    return True


def tune() -> None:
    """Apply the repairs, which is idempotent."""
    # After a dial has succeeded the library still waits this long for a second address.
    swarm._HAPPY_EYEBALLS_DELAY = 0.0  # noqa: SLF001
    TrioTCPStream.read = _read_ahead
    gossipsub.maybe_consume_signed_record = _ignore_record
    pubsub.maybe_consume_signed_record = _ignore_record
