"""One value has exactly one encoding: msgpack arrays [version, kind, fields...].

Shortest integers, no maps, no floats, no nil, no text; trailing bytes are an error.
"""

from dataclasses import fields
from typing import Any

import msgpack

from flocknode.errors import FlockError
from flocknode.messages.wire import MESSAGES, Message

WIRE_VERSION = 1
_BY_KIND = {message.KIND: message for message in MESSAGES}
_SIZE_MAX = max(message.SIZE_MAX for message in MESSAGES)


class CodecError(FlockError):
    """Bytes that no honest peer sends."""


def encode(message: Message) -> bytes:
    """Return the canonical bytes of ``message``."""
    values = [getattr(message, field.name) for field in fields(message)]
    packed: bytes = msgpack.packb([WIRE_VERSION, message.KIND, *values], use_bin_type=True)
    assert len(packed) <= message.SIZE_MAX
    return packed


def decode(data: bytes) -> Message:
    """Return the message that ``data`` encodes; raise :class:`CodecError` on anything else."""
    if len(data) > _SIZE_MAX:
        raise CodecError(f"{len(data)} bytes are more than any message has")
    array = _unpack(data)
    if len(array) < 2 or array[0] != WIRE_VERSION or type(array[1]) is not int:
        raise CodecError("not a message of this version")
    kind = _BY_KIND.get(array[1])
    if kind is None:
        raise CodecError(f"unknown kind {array[1]}")
    if len(data) > kind.SIZE_MAX:
        raise CodecError(f"{len(data)} bytes are too many for {kind.__name__}")
    return _construct(kind, array[2:], data)


def _unpack(data: bytes) -> tuple[Any, ...]:
    try:
        value = msgpack.unpackb(data, use_list=False, raw=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise CodecError("not msgpack") from error
    if type(value) is not tuple:
        raise CodecError("not an array")
    return value


def _construct(kind: type[Message], values: tuple[Any, ...], data: bytes) -> Message:
    if len(values) != len(kind.SHAPE):
        raise CodecError(f"{kind.__name__} has {len(kind.SHAPE)} fields, not {len(values)}")
    for field, shape, value in zip(fields(kind), kind.SHAPE, values, strict=True):
        if not shape(value):
            raise CodecError(f"{kind.__name__}.{field.name} is out of shape")
    message = kind(*values)
    if encode(message) != data:
        raise CodecError("not the canonical encoding")
    return message
