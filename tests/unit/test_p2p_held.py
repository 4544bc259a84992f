"""Frames that wait for a link."""

from flocknode.p2p.held import HELD_BYTES_MAX, HELD_SECONDS, HeldFrames
from flocknode.primitives import PeerId

A, B = PeerId(b"a"), PeerId(b"b")


def test_frames_of_a_peer_are_given_up_once_and_in_order():
    held = HeldFrames()
    for number in range(4):
        held.put((A, B)[number % 2], bytes([number]), number / 10)
    assert held.take(A, 1) == [b"\0", b"\2"]
    assert held.take(A, 1) == []
    assert held.take(B, 1) == [b"\1", b"\3"]


def test_frames_that_were_said_long_ago_are_not_said():
    held = HeldFrames()
    held.put(A, b"old", 0.0)
    held.put(A, b"new", HELD_SECONDS)
    assert held.take(A, HELD_SECONDS + 0.1) == [b"new"]


def test_the_oldest_frames_give_way_to_new_ones():
    held = HeldFrames()
    frame = bytes(HELD_BYTES_MAX // 4)
    for number in range(6):
        held.put(A, bytes([number]) + frame[1:], 0.0)
    assert [kept[0] for kept in held.take(A, 0.0)] == [2, 3, 4, 5]
    assert held.take(A, 0.0) == []
    held.put(B, frame, 0.0)
    assert held.take(B, 0.0) == [frame]
