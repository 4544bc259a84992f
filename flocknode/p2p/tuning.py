"""Repairs of libp2p 0.8.1 that have no other handle than its own names.

Each cost a measured share of the CPU of 24 hosts in one process.
"""

from libp2p.io.trio import TrioTCPStream
from libp2p.network import swarm
from libp2p.pubsub import gossipsub, pubsub
from libp2p.stream_muxer.yamux.yamux import YamuxStream

READ_AHEAD_BYTES = 1 << 16

_receive = TrioTCPStream.read


async def _read_ahead(stream: TrioTCPStream, n: int | None = None) -> bytes:
    """Read from the socket once for the many small pieces in which noise and yamux ask."""
    ahead: bytearray = stream.__dict__.setdefault("ahead", bytearray())
    if n == 0:
        return b""
    if not ahead:
        ahead += await _receive(stream, READ_AHEAD_BYTES)
    piece = bytes(ahead[:n])
    del ahead[: len(piece)]
    return piece


async def _credit_in_batches(stream: YamuxStream, *, bytes_read: int = 0) -> None:
    """Give credit back when half the window is used up, as go-yamux does.

    The library sends a window update after every read, also of the single bytes of which it reads
    each length prefix: three frames more for every message.
    """
    del bytes_read
    buffered = len(stream.conn.stream_buffers.get(stream.stream_id, b""))
    used = stream.target_recv_window - stream.recv_window - buffered
    if used >= stream.target_recv_window // 2:
        credit = stream._grow_to_delta(buffered) + stream._apply_autotune_epoch(buffered)  # noqa: SLF001
        await stream.send_window_update(credit)


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
    YamuxStream._auto_tune_and_send_window_update = _credit_in_batches  # noqa: SLF001
