"""Length-prefixed frames on a byte stream."""

import struct
from collections.abc import Iterator

from flocknode.p2p.faults import OversizedError

PAYLOAD_BYTES_MAX = 64 * 1024
"""What travels inline with a header; anything longer is pulled as a blob."""
FRAME_BYTES_MAX = 96 * 1024
"""A payload with room for the header that carries it."""

_PREFIX = struct.Struct(">I")


def framed(payload: bytes) -> bytes:
    """Prefix ``payload`` with its length as four big-endian bytes."""
    if len(payload) > FRAME_BYTES_MAX:
        raise OversizedError(len(payload), FRAME_BYTES_MAX)
    return _PREFIX.pack(len(payload)) + payload


class Unframer:
    """Collects bytes and gives back whole payloads."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the payloads that ``data`` completes; raises ``OversizedError`` at a long prefix.

        A prefix is refused before any byte of its payload is kept, so at most one frame and one
        read are ever held.
        """
        self._buffer += data
        while len(self._buffer) >= _PREFIX.size:
            (size,) = _PREFIX.unpack_from(self._buffer)
            if size > FRAME_BYTES_MAX:
                raise OversizedError(size, FRAME_BYTES_MAX)
            end = _PREFIX.size + size
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[_PREFIX.size : end])
            del self._buffer[:end]
            yield payload
