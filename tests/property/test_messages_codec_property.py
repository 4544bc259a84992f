import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flocknode.messages.codec import CodecError, decode, encode
from flocknode.messages.wire import MESSAGES
from tests.wire_examples import FIELDS, frames, messages

MANY = settings(max_examples=300, deadline=None)
SOME = settings(max_examples=100, deadline=None)


def test_every_message_has_examples():
    assert set(FIELDS) == set(MESSAGES)


@MANY
@given(messages)
def test_message_comes_back_as_it_was(message):
    data = encode(message)
    assert decode(data) == message
    assert len(data) <= message.SIZE_MAX


@MANY
@given(messages, messages)
def test_different_messages_have_different_bytes(one, other):
    assert (encode(one) == encode(other)) == (one == other)


@MANY
@given(frames, st.data())
def test_flipped_byte_is_refused_or_says_something_else(data, draw):
    """Bytes that decode are the only encoding of what they say."""
    place = draw.draw(st.integers(0, len(data) - 1))
    flip = draw.draw(st.integers(1, 255))
    changed = data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
    try:
        message = decode(changed)
    except CodecError:
        return
    assert message != decode(data)
    assert encode(message) == changed


@MANY
@given(frames, st.binary(min_size=1, max_size=8))
def test_trailing_bytes_are_refused(data, tail):
    with pytest.raises(CodecError):
        decode(data + tail)


@MANY
@given(frames, st.data())
def test_cut_message_is_refused(data, draw):
    with pytest.raises(CodecError):
        decode(data[: draw.draw(st.integers(0, len(data) - 1))])


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@SOME
@given(st.binary(max_size=300) | ANYTHING.map(msgpack.packb))
def test_any_bytes_are_a_message_or_a_codec_error(data):
    try:
        message = decode(data)
    except CodecError:
        return
    assert encode(message) == data


@SOME
@given(st.sampled_from(MESSAGES), st.lists(ANYTHING, max_size=9))
def test_fields_of_another_shape_are_refused(kind, fields):
    data = msgpack.packb([1, kind.KIND, *fields])
    try:
        message = decode(data)
    except CodecError:
        return
    assert encode(message) == data
