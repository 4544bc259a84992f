"""Handshakes under way: who makes room for whom."""

from contextlib import ExitStack

from flocknode.p2p.handshakes import HANDSHAKES_MAX, Handshakes


async def test_host_that_begins_most_makes_room_and_others_are_left_alone():
    handshakes = Handshakes()
    with ExitStack() as under_way:
        honest = under_way.enter_context(handshakes.one_from("honest"))
        crowd = [
            under_way.enter_context(handshakes.one_from("crowd")) for _ in range(HANDSHAKES_MAX + 9)
        ]
        assert not honest.cancel_called
        assert [scope.cancel_called for scope in crowd[:11]] == [True] * 10 + [False]
    assert not handshakes._under_way
