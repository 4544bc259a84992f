"""Whatever a peer does to a message, a machine refuses it before it costs much.

Each claim is made for every kind, at a moment of a simulated round when a real machine hears a real
message. Work is counted where the libraries are called: curve arithmetic, trees over vectors,
keystreams, opened capsules.
"""

from dataclasses import fields, replace
from random import Random

import msgpack
import pytest

from flocknode.crypto.suites import MLKEM768_X25519
from flocknode.messages.codec import CodecError, decode, encode
from flocknode.messages.wire import (
    MESSAGES,
    AttestationMessage,
    Contribution,
    ContributionHeader,
    IncludeVote,
    MaskRootMessage,
    ModelWords,
    ProposeVote,
    SeatKeyBundle,
    SeatKeyMessage,
    SeedMessage,
)
from flocknode.primitives import PeerId
from flocknode.protocol.attempt import header_of
from flocknode.protocol.effects import OpenCapsule, Penalise, Remember
from tests.property.hostile_world import moments

SIGNED_BY_SEATS = (SeatKeyMessage, AttestationMessage, IncludeVote, MaskRootMessage, ProposeVote)
BUNDLES = ("keys", "attestations")
"""Fields that hold several signed messages."""
SIGNED = tuple(
    kind
    for kind in MESSAGES
    if kind is Contribution or {"signature", *BUNDLES} & {field.name for field in fields(kind)}
)
FLIPS = 100
STRANGER = PeerId(b"stranger")
OTHER_CTX = bytes(range(32))

kinds = pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
signed_kinds = pytest.mark.parametrize("kind", SIGNED, ids=lambda kind: kind.__name__)


@pytest.fixture(scope="module")
def heard():
    return moments()


@pytest.fixture(scope="module")
def heard_in_the_second_suite():
    return moments(MLKEM768_X25519)


def assert_refused(answer):
    assert answer.refused or all(isinstance(effect, Penalise) for effect in answer.effects)


def flipped(data, seed):
    """Yield copies of ``data`` with one byte changed: every byte of a short one, some of others."""
    chance = Random(seed)
    places = range(len(data))
    for place in places if len(data) <= FLIPS else chance.sample(places, FLIPS):
        flip = chance.randrange(1, 256)
        yield data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]


def with_ctx(message, ctx):
    if isinstance(message, Contribution):
        return replace(message, header=encode(replace(header_of(message), ctx=ctx)))
    return replace(message, ctx=ctx)


def signatures_in(message):
    return max(len(getattr(message, name, ())) for name in BUNDLES) or 1


@kinds
def test_honest_message_is_heard(heard, kind):
    moment = heard[kind].fresh()
    answer = moment.hear(moment.data)
    assert not any(isinstance(effect, Penalise) for effect in answer.effects)
    assert answer.costly["signatures"] <= signatures_in(moment.message)
    assert answer.costly["keystreams"] == answer.costly["capsules"] == 0


@signed_kinds
def test_flipped_byte_of_a_signed_message_is_refused_before_vector_work(heard, kind):
    has_vector = getattr(heard[kind].message, "vector", b"")
    for data in flipped(heard[kind].data, kind.KIND):
        answer = heard[kind].fresh().hear(data)
        assert_refused(answer)
        assert answer.costly["signatures"] <= signatures_in(heard[kind].message)
        # A flip in the inline vector itself shows in its tree, which comes after the signature.
        of_vector = bool(has_vector) and not _is_intact(data, heard[kind].message)
        assert answer.costly["trees"] <= of_vector
        assert answer.costly["keystreams"] == answer.costly["capsules"] == 0


@pytest.mark.parametrize(
    "kind", [SeatKeyMessage, SeatKeyBundle, Contribution], ids=lambda kind: kind.__name__
)
def test_flipped_byte_and_replay_under_the_second_suite(heard_in_the_second_suite, kind):
    moment = heard_in_the_second_suite[kind]
    for data in flipped(moment.data, kind.KIND):
        answer = moment.fresh().hear(data)
        assert_refused(answer)
        assert answer.costly["signatures"] <= signatures_in(moment.message)
        assert answer.costly["keystreams"] == answer.costly["capsules"] == 0
    again = moment.fresh()
    again.hear(again.data)
    assert not again.hear(again.data).costly


def _is_intact(data, message):
    try:
        return getattr(decode(data), "vector", message.vector) == message.vector
    except CodecError:
        return True


@pytest.mark.parametrize(
    "kind", [kind for kind in MESSAGES if kind not in SIGNED], ids=lambda kind: kind.__name__
)
def test_flipped_byte_of_an_unsigned_message_costs_no_curve_arithmetic(heard, kind):
    for data in flipped(heard[kind].data, kind.KIND):
        answer = heard[kind].fresh().hear(data)
        assert answer.costly["signatures"] == 0
        assert answer.costly["keystreams"] == answer.costly["capsules"] == 0
        assert answer.costly["trees"] <= (kind is ModelWords)


@pytest.mark.parametrize(
    "kind", [kind for kind in MESSAGES if kind is not ModelWords], ids=lambda kind: kind.__name__
)
def test_message_of_another_context_costs_nothing(heard, kind):
    moment = heard[kind].fresh()
    answer = moment.hear(encode(with_ctx(moment.message, OTHER_CTX)))
    assert_refused(answer)
    assert not answer.costly


@pytest.mark.parametrize("kind", SIGNED_BY_SEATS, ids=lambda kind: kind.__name__)
def test_message_under_the_name_of_another_seat_costs_one_signature(heard, kind):
    moment = heard[kind].fresh()
    other = replace(moment.message, seat=(moment.message.seat + 3) % 9)
    answer = moment.hear(encode(other))
    assert_refused(answer)
    assert answer.effects
    assert answer.costly["signatures"] <= 1
    assert answer.costly["trees"] == 0


@pytest.mark.parametrize("kind", [Contribution, ContributionHeader], ids=lambda kind: kind.__name__)
def test_contribution_under_the_name_of_another_trainer_costs_no_signature(heard, kind):
    moment = heard[kind].fresh()
    message = moment.message
    header = header_of(message) if kind is Contribution else message
    stolen = replace(header, index=(header.index + 1) % 5)
    data = encode(replace(message, header=encode(stolen)) if kind is Contribution else stolen)
    answer = moment.hear(data)
    assert_refused(answer)
    assert not answer.costly


@pytest.mark.parametrize(
    "kind", [kind for kind in MESSAGES if kind not in SIGNED], ids=lambda kind: kind.__name__
)
def test_unsigned_message_of_a_stranger_costs_nothing(heard, kind):
    moment = heard[kind].fresh()
    answer = moment.hear(moment.data, STRANGER)
    assert_refused(answer)
    assert not answer.costly


@kinds
def test_replay_costs_nothing(heard, kind):
    moment = heard[kind].fresh()
    moment.hear(moment.data)
    again = moment.hear(moment.data)
    assert not again.costly
    # A capsule of a mate is kept and tried again until the vault has answered for the first.
    allowed = (OpenCapsule, Remember) if kind is SeedMessage else ()
    assert all(isinstance(effect, allowed) for effect in again.effects)


@kinds
def test_trailing_or_missing_byte_costs_nothing(heard, kind):
    data = heard[kind].data
    for changed in (data + b"\0", data[:-1]):
        answer = heard[kind].hear(changed)
        assert answer.refused == "CodecError"
        assert not answer.costly


@kinds
def test_oversized_message_costs_nothing(heard, kind):
    """More than its kind may have: unpacked, never looked into. More than any: not unpacked."""
    largest = max(message.SIZE_MAX for message in MESSAGES)
    long = msgpack.packb([1, kind.KIND, bytes(min(kind.SIZE_MAX, largest - 16))])
    longest = msgpack.packb([1, kind.KIND, bytes(largest)])
    for data, unpacked in ((long, 1), (longest, 0)):
        answer = heard[kind].hear(data)
        assert answer.refused == "CodecError"
        assert not answer.costly
        assert answer.work["unpacked"] == unpacked
