"""Frames of yamux, as hashicorp/yamux's ``spec.md`` describes them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from flocknode.p2p.faults import NetworkError

_HEADER = struct.Struct(">BBHII")
_VERSION = 0


class Kind(IntEnum):
    DATA = 0
    WINDOW_UPDATE = 1
    PING = 2
    GO_AWAY = 3


class Flag(IntFlag):
    NONE = 0
    SYN = 1
    ACK = 2
    FIN = 4
    RST = 8


class FrameFault(NetworkError):
    """A peer does not speak yamux."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A header: ``value`` is a body's length, a credit, a ping's number or an error code."""

    kind: Kind
    flags: int
    stream: int
    value: int

    @property
    def credit(self) -> int:
        return self.value if self.kind is Kind.WINDOW_UPDATE else 0


def data_header(stream: int, size: int) -> bytes:
    """Return what goes before ``size`` bytes."""
    return _HEADER.pack(_VERSION, Kind.DATA, 0, stream, size)


def window_update(stream: int, credit: int, flags: Flag = Flag.NONE) -> bytes:
    return _HEADER.pack(_VERSION, Kind.WINDOW_UPDATE, flags, stream, credit)


def ping(number: int, flags: Flag) -> bytes:
    return _HEADER.pack(_VERSION, Kind.PING, flags, 0, number)


def go_away(code: int) -> bytes:
    return _HEADER.pack(_VERSION, Kind.GO_AWAY, 0, 0, code)


class Unpacker:
    """Cuts what comes into headers and parts of bodies, whatever the pieces it comes in."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._body: Frame | None = None
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[Frame, memoryview | None]]:
        """Yield each header alone, then the parts of its body, of which the last may be empty.

        Raises ``FrameFault`` at a header that none of these is.
        """
        view = memoryview(data)
        while view:
            if self._body is not None:
                part = view[: self._left]
                self._left -= len(part)
                view = view[len(part) :]
                frame = self._body
                if not self._left:
                    self._body = None
                yield frame, part
                continue
            taken = _HEADER.size - len(self._header)
            self._header += view[:taken]
            view = view[taken:]
            if len(self._header) == _HEADER.size:
                frame = _parse(self._header)
                self._header.clear()
                if frame.kind is Kind.DATA and frame.value:
                    self._body, self._left = frame, frame.value
                yield frame, None

    @property
    def is_in_body(self) -> bool:
        """Tell whether more of a body is to come."""
        return self._body is not None


def _parse(header: bytearray) -> Frame:
    version, kind, flags, stream, value = _HEADER.unpack(header)
    if version != _VERSION or kind > Kind.GO_AWAY:
        raise FrameFault(f"version {version}, type {kind}")
    return Frame(Kind(kind), flags, stream, value)
