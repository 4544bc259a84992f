import msgpack
import pytest

from flocknode.messages import codec
from flocknode.messages.codec import CodecError, decode, encode
from flocknode.messages.limits import GOSSIP_MESSAGE_MAX, LINK_MESSAGE_MAX
from flocknode.messages.wire import (
    GOSSIPED,
    MESSAGES,
    AttestationMessage,
    IncludeOffer,
    IncludeVote,
    ModelWords,
    WantContributions,
    WantKeys,
)

CTX = bytes(range(32))
WANT = WantKeys(CTX)
# fixarray of 3, version 1, kind 13, bin8 of 32 bytes.
WANT_BYTES = b"\x93\x01\x0d\xc4\x20" + CTX


def refusal(data):
    with pytest.raises(CodecError) as caught:
        decode(data)
    return str(caught.value)


def test_bytes_of_a_message_are_fixed():
    assert encode(WANT) == WANT_BYTES
    assert decode(WANT_BYTES) == WANT


def test_kinds_are_distinct():
    assert len({message.KIND for message in MESSAGES}) == len(MESSAGES)
    assert [message.KIND for message in MESSAGES] == list(range(1, 17))


def test_limits_fit_their_transports():
    assert all(message.SIZE_MAX <= LINK_MESSAGE_MAX for message in MESSAGES)
    assert all(message.SIZE_MAX <= GOSSIP_MESSAGE_MAX for message in GOSSIPED)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdc\x00\x03" + WANT_BYTES[1:],
        b"\x93\xcc\x01" + WANT_BYTES[2:],
        b"\x93\x01\xcd\x00\x0d" + WANT_BYTES[3:],
        b"\x93\x01\x0d\xc5\x00\x20" + CTX,
        b"\x93\x01\xd0\x0d" + WANT_BYTES[3:],
    ],
    ids=["long array", "long version", "long kind", "long bytes", "signed kind"],
)
def test_longer_encoding_of_the_same_value_is_refused(data):
    assert refusal(data) == "not the canonical encoding"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not msgpack"),
        (b"\xc1", "not msgpack"),
        (b"\x93\x01", "not msgpack"),
        (WANT_BYTES + b"\0", "not msgpack"),
        (b"\x91" * 5_000 + b"\x01", "not msgpack"),
        (b"\x01", "not an array"),
        (b"\x80", "not an array"),
        (b"\x90", "not a message of this version"),
        (b"\x93\x02" + WANT_BYTES[2:], "not a message of this version"),
        # True equals 1 in Python, but it is another byte.
        (b"\x93\xc3" + WANT_BYTES[2:], "not the canonical encoding"),
        (b"\x93\x01\xc3" + WANT_BYTES[3:], "not a message of this version"),
        (b"\x93\x01\x63" + WANT_BYTES[3:], "unknown kind 99"),
        (b"\x92\x01\x0d", "WantKeys has 1 fields, not 0"),
        (b"\x93\x01\x0d\xa1a", "WantKeys.ctx is out of shape"),
        (b"\x93\x01\x0d\xc4\x1f" + CTX[:31], "WantKeys.ctx is out of shape"),
    ],
    ids=str,
)
def test_bytes_that_are_no_message_are_refused(data, why):
    assert refusal(data) == why


def test_oversized_message_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr(codec, "_unpack", lambda _: pytest.fail("unpacked"))
    assert refusal(bytes(LINK_MESSAGE_MAX + 1)).startswith("98305 bytes are more than any")


def test_each_kind_has_its_own_limit():
    data = msgpack.packb([1, WantKeys.KIND, bytes(60)])
    assert len(data) > WantKeys.SIZE_MAX
    assert refusal(data) == f"{len(data)} bytes are too many for WantKeys"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (AttestationMessage(CTX, 21, 1, (), bytes(65)), "seat"),
        (AttestationMessage(CTX, -1, 1, (), bytes(65)), "seat"),
        (AttestationMessage(CTX, True, 1, (), bytes(65)), "seat"),
        (AttestationMessage(CTX, 0, 1 << 32, (), bytes(65)), "sequence"),
        (AttestationMessage(CTX, 0, 1, (CTX,) * 257, bytes(65)), "headers"),
        (AttestationMessage(CTX, 0, 1, (CTX[:31],), bytes(65)), "headers"),
        (AttestationMessage(CTX, 0, 1, (), bytes(64)), "signature"),
        (IncludeOffer(CTX, 256, ()), "view"),
        (WantContributions(CTX, (b"",)), "headers"),
        (IncludeVote(CTX, 0, 0, CTX, bytes(33), 1, CTX, bytes(65)), "trainers"),
        (IncludeVote(CTX, 0, 0, CTX, b"", (1 << 32) + 1, CTX, bytes(65)), "weight"),
        (ModelWords(CTX, bytes(64_001)), "words"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_field_out_of_its_bounds_is_refused(message, field):
    name = type(message).__name__
    assert refusal(encode(message)) == f"{name}.{field} is out of shape"


def test_largest_attestation_fits():
    full = AttestationMessage(CTX, 20, 0xFFFFFFFF, (CTX,) * 256, bytes(65))
    assert decode(encode(full)) == full
