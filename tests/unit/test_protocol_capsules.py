"""Capsules that travel apart: slips in the header, slices by column, one pull for each header."""

from dataclasses import replace

import pytest

from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.sealing import sealing_key_hash
from flocknode.crypto.suites import MLKEM768_X25519
from flocknode.messages.codec import encode
from flocknode.messages.limits import GOSSIP_MESSAGE_MAX
from flocknode.messages.wire import Contribution, SeatKeyMessage
from flocknode.primitives import PeerId
from flocknode.protocol.capsule_slips import Slip, present_seats, read_slip, write_slips
from flocknode.protocol.capsules import CapsuleOpener
from flocknode.protocol.effects import Fetch, OpenCapsule
from flocknode.protocol.gossip_rules import GossipReject, check_bundle, check_header, check_seat_key
from tests.consortium import consortium, sign

US = consortium(suite=MLKEM768_X25519)
SEATING = US.seating
SEAT = 4
"""The second place of column 1, whose seats are 1, 4, 7."""
SENDER = PeerId(b"seat 0")
TRAINER = PeerId(b"trainer 0")
CAPSULES = tuple(bytes([seat]) * MLKEM768_X25519.capsule_bytes for seat in range(9))


def without(*seats):
    return tuple(b"" if seat in seats else capsule for seat, capsule in enumerate(CAPSULES))


def test_slip_names_the_present_seats_and_the_bytes_of_its_column_only():
    slips = write_slips(without(4), SEATING)
    assert len(slips) == 3
    slip, data = slips[1]
    assert data == CAPSULES[1] + CAPSULES[7]
    assert read_slip(slip, 1, SEATING) == Slip(tree_root(TreeKind.CAPSULES, data), (1, 7))
    assert present_seats([slip for slip, _ in slips], SEATING) == set(range(9)) - {4}


def test_column_without_capsules_has_a_slip_that_names_nobody():
    slip, data = write_slips(without(1, 4, 7), SEATING)[1]
    assert data == b""
    assert read_slip(slip, 1, SEATING) is None


@pytest.mark.parametrize("slip", [b"", bytes(32), bytes(33), bytes(32) + b"\x08", bytes(34)])
def test_slip_that_names_no_seat_of_its_column_says_nothing(slip):
    assert read_slip(slip, 1, SEATING) is None


def test_header_with_slips_is_valid_and_small():
    valid = US.valid(0)
    assert [len(slip) for slip in valid.header.capsules] == [33] * 3
    assert len(encode(valid.header)) < 600


@pytest.mark.parametrize(
    ("capsules", "why"),
    [
        (US.valid(0).header.capsules[:2], "commitments or capsules missing"),
        (CAPSULES[:3], "capsules for too few seats"),
        (US.announced(without(0, 3)), "capsules for too few seats"),
        ((b"",) * 3, "capsules for too few seats"),
    ],
    ids=["two slips", "capsules", "one seat of a column", "empty"],
)
def test_header_without_a_majority_of_every_column_is_rejected(capsules, why):
    header = US.signed(replace(US.valid(0).header, capsules=capsules))
    with pytest.raises(GossipReject, match=why):
        check_header(header, SEATING)


def test_seat_pulls_its_columns_slice_once_and_opens_its_own_piece():
    opener, valid = CapsuleOpener(SEATING, SEAT), US.valid(0)
    slip = read_slip(valid.header.capsules[1], 1, SEATING)
    (fetch,) = opener.open(valid, SENDER)
    assert fetch == Fetch(slip.root, TreeKind.CAPSULES, 3 * 1168, (TRAINER, SENDER))
    assert opener.open(valid, SENDER) == []
    (opening,) = opener.held(slip.root)
    assert isinstance(opening, OpenCapsule)
    assert (opening.capsule, opening.slice.root, opening.slice.place) == (b"", slip.root, 1)
    assert opener.held(slip.root) == []


def test_slice_that_could_not_be_pulled_is_pulled_again_with_the_next_copy():
    opener, valid = CapsuleOpener(SEATING, SEAT), US.valid(0)
    (fetch,) = opener.open(valid, SENDER)
    opener.fetch_failed(fetch.root)
    assert opener.held(fetch.root) == []
    assert opener.open(valid, SENDER) == [fetch]


def test_seat_that_a_slip_leaves_out_pulls_nothing():
    valid = check_header(US.header(0, absent=(SEAT,)), SEATING)
    assert CapsuleOpener(SEATING, SEAT).open(valid, SENDER) == []
    assert CapsuleOpener(SEATING, 7).open(valid, SENDER)[0].length == 2 * 1168


def test_two_headers_with_one_slice_are_both_opened():
    opener, valid = CapsuleOpener(SEATING, SEAT), US.valid(0)
    header = US.signed(replace(valid.header, root=US.valid(1).header.root))
    other = check_header(header, SEATING)
    (fetch,) = opener.open(valid, SENDER)
    assert opener.open(other, SENDER) == []
    assert [opening.header for opening in opener.held(fetch.root)] == [valid.digest, other.digest]


@pytest.mark.parametrize(("suite", "length"), [(1, 32), (1, 1216), (2, 32), (2, 1215), (3, 1216)])
def test_key_of_another_suite_is_rejected(suite, length):
    message = SeatKeyMessage(US.ctx, SEAT, suite, bytes(length), bytes(65))
    statement = message.statement(sealing_key_hash(suite, message.key))
    signed = replace(message, signature=sign(US.seats[SEAT], statement))
    with pytest.raises(GossipReject, match="a key of another suite"):
        check_seat_key(signed, SEATING)


def test_messages_of_the_largest_committee_fit_their_limits():
    large = consortium(7, 3, suite=MLKEM768_X25519)
    bundle = large.bundle()
    assert len(check_bundle(bundle, large.seating)) == 21
    assert len(encode(bundle)) <= GOSSIP_MESSAGE_MAX
    header = encode(large.valid(0).header)
    assert encode(Contribution(header, bytes(64_000)))
