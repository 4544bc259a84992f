"""Repairs of libp2p 0.8.1 that have no other handle than its own names.

Each cost a measured share of the CPU of 24 hosts in one process.
"""

from collections.abc import Sequence

import trio
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException
from libp2p.io.trio import TrioTCPStream
from libp2p.network import swarm
from libp2p.protocol_muxer.exceptions import MultiselectClientError, MultiselectCommunicatorError
from libp2p.protocol_muxer.multiselect_client import MULTISELECT_PROTOCOL_ID, MultiselectClient
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.pubsub import gossipsub, pubsub
from libp2p.utils.varint import encode_delim

READ_AHEAD_BYTES = 1 << 16

NEGOTIATE_SECONDS = 10

_receive = TrioTCPStream.read
_select = MultiselectClient.select_one_of


async def _read_ahead(stream: TrioTCPStream, n: int | None = None) -> bytes:
    """Read from the socket once for the many small pieces in which handshakes ask."""
    ahead: bytearray = stream.__dict__.setdefault("ahead", bytearray())
    if n == 0:
        return b""
    if not ahead:
        if n is not None and n >= READ_AHEAD_BYTES:
            data: bytes = await _receive(stream, n)
            return data
        ahead += await _receive(stream, READ_AHEAD_BYTES)
    piece = bytes(ahead[:n])
    del ahead[: len(piece)]
    return piece


async def _select_at_once(
    client: MultiselectClient,
    protocols: Sequence[TProtocol],
    communicator: MultiselectCommunicator,
    negotiate_timeout: int = NEGOTIATE_SECONDS,
) -> TProtocol:
    """Send the only protocol in question along with the greeting: one round trip, not two."""
    if len(protocols) != 1:
        return await _select(client, protocols, communicator, negotiate_timeout)
    offered = [MULTISELECT_PROTOCOL_ID, protocols[0]]
    try:
        with trio.fail_after(negotiate_timeout):
            data = b"".join(encode_delim(line.encode()) for line in offered)
            await communicator.read_writer.write(data)
            answers = [await communicator.read() for _ in offered]
    except (trio.TooSlowError, IOException, MultiselectCommunicatorError) as fault:
        raise MultiselectClientError(f"no agreement on {protocols[0]}: {fault}") from fault
    if answers != offered:
        raise MultiselectClientError(f"{protocols[0]} refused")
    return protocols[0]


def _ignore_record(*_: object) -> bool:
    """Pass over the address that a peer signs into every message: nobody here dials it."""
    return True


def tune() -> None:
    """Apply the repairs, which is idempotent."""
    # After a dial has succeeded the library still waits this long for a second address.
    swarm._HAPPY_EYEBALLS_DELAY = 0.0  # noqa: SLF001
    TrioTCPStream.read = _read_ahead
    MultiselectClient.select_one_of = _select_at_once
    gossipsub.maybe_consume_signed_record = _ignore_record
    pubsub.maybe_consume_signed_record = _ignore_record
