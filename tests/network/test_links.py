"""Links: one per pair, in order and whole, and back again after a loss."""

import itertools

import pytest
import trio
from libp2p.network.stream.exceptions import StreamError
from network_world import at, eventually, hear, hears_nothing, link, node, running, stranger

from flocknode.p2p import OversizedError
from flocknode.p2p.framing import FRAME_BYTES_MAX, Unframer, framed
from flocknode.p2p.link import QUEUE_FRAMES_MAX
from flocknode.p2p.links import PROTOCOL, gives_way


def streams_of(a, b) -> int:
    """Count the open link streams between two nodes as ``a`` sees them."""
    return sum(
        stream.get_protocol() == PROTOCOL
        for connection in a._host.raw.get_network().get_connections()
        if connection.muxed_conn.peer_id.to_bytes() == b.peer
        for stream in connection.get_streams()
    )


async def test_frames_arrive_in_order_and_whole_in_both_directions():
    a, b = node(1), node(2)
    async with running(a, b):
        link(a, b)
        await eventually(lambda: b.peer in a.linked() and a.peer in b.linked())
        sizes = [0, 1, 3000, 65_536, FRAME_BYTES_MAX]
        for size in sizes:
            assert a.send(b.peer, bytes(size))
            assert b.send(a.peer, bytes(size))
        for size in sizes:
            for listener, speaker in ((b, a), (a, b)):
                frame = await hear(listener)
                assert (frame.peer, len(frame.payload)) == (speaker.peer, size)
                assert not frame.gossiped
        assert a.counters.bytes_links == sum(sizes) + 4 * len(sizes)


async def test_send_says_no_without_a_link_and_with_a_full_queue():
    a, b = node(1, may_link=lambda _peer: False), node(2)
    async with running(a, b):
        assert not a.send(b.peer, b"nobody there")
        link(a, b)
        await eventually(lambda: b.peer in a.linked())
        accepted = 0
        while a.send(b.peer, b"x"):
            accepted += 1
        assert accepted == QUEUE_FRAMES_MAX
        for _ in range(accepted):
            assert (await hear(b)).payload == b"x"
        assert a.send(b.peer, b"room again")


async def test_frame_that_is_sent_while_its_link_is_made_arrives_at_whoever_dialled():
    a, b = node(1), node(2)
    async with running(a, b):
        link(a, b)
        assert not a.send(b.peer, b"of the dialler")
        assert not b.send(a.peer, b"of the dialled")
        assert (await hear(b)).payload == b"of the dialler"
        assert (await hear(a)).payload == b"of the dialled"


async def test_oversized_frame_is_refused_by_the_sender():
    with pytest.raises(OversizedError):
        framed(bytes(FRAME_BYTES_MAX + 1))


async def test_oversized_frame_ends_the_link_that_brought_it_and_nothing_else():
    a, b = node(1), node(2)
    async with running(a, b):
        link(b, a)
        await eventually(lambda: b.peer in a.linked())
        async with stranger(9, a) as open_stream:
            stream = await open_stream(PROTOCOL)
            await eventually(lambda: len(a.linked()) == 2)
            await stream.write((FRAME_BYTES_MAX + 1).to_bytes(4) + b"x")
            await eventually(lambda: a.linked() == {b.peer})
        assert b.send(a.peer, b"mine holds")
        assert (await hear(a)).payload == b"mine holds"


def test_unframer_gives_the_same_payloads_however_the_bytes_are_cut():
    payloads = [b"", b"a", bytes(1000), b"end"]
    wire = b"".join(map(framed, payloads))
    for step in (1, 3, 7, 1004, len(wire)):
        unframer = Unframer()
        cuts = [wire[i : i + step] for i in range(0, len(wire), step)]
        assert list(itertools.chain.from_iterable(map(unframer.feed, cuts))) == payloads


async def test_link_of_an_unlisted_peer_needs_the_callers_consent():
    a, b = node(1, may_link=lambda _peer: False), node(2)
    async with running(a, b):
        link(b, a)
        await trio.sleep(0.5)
        assert not a.linked()
        link(a, b)
        await eventually(lambda: a.linked() == {b.peer} and b.linked() == {a.peer})
        assert b.send(a.peer, b"now")
        assert (await hear(a)).payload == b"now"


@pytest.mark.parametrize("attempt", range(3))
async def test_simultaneous_dial_leaves_one_link_and_loses_nothing(attempt):
    a, b = node(10 + attempt), node(20 + attempt)
    async with running(a, b):
        link(a, b)
        link(b, a)
        await eventually(lambda: bool(a.linked() and b.linked()))
        assert a.send(b.peer, b"from a")
        assert b.send(a.peer, b"from b")
        assert (await hear(b)).payload == b"from a"
        assert (await hear(a)).payload == b"from b"
        await eventually(lambda: streams_of(a, b) == streams_of(b, a) == 1)
        assert a.linked() == {b.peer}
        assert b.linked() == {a.peer}


def test_both_ends_keep_the_same_one_of_two_links_opened_at_once():
    # The lower peer sees its own link as "ours"; the higher one sees the same link as not ours.
    for first_by_lower in (True, False):
        lower_replaces = gives_way(
            newer_is_ours=not first_by_lower,
            older_is_ours=first_by_lower,
            we_are_lower=True,
            age=0,
        )
        higher_replaces = gives_way(
            newer_is_ours=first_by_lower,
            older_is_ours=not first_by_lower,
            we_are_lower=False,
            age=0,
        )
        assert lower_replaces is higher_replaces is (not first_by_lower)


def test_peer_that_opens_a_second_link_has_lost_its_first():
    for lower in (True, False):
        assert gives_way(newer_is_ours=False, older_is_ours=False, we_are_lower=lower, age=0)
    assert gives_way(newer_is_ours=False, older_is_ours=True, we_are_lower=True, age=6)
    assert not gives_way(newer_is_ours=False, older_is_ours=True, we_are_lower=True, age=1)


async def test_of_two_that_keep_one_another_only_the_lower_dials():
    a, b = sorted((node(1), node(2)), key=lambda each: each.peer)
    async with running(a, b):
        for each in (a, b):
            each.know(at(a, b))
        b.keep([a.peer, b.peer])
        await trio.sleep(0.3)
        assert not b.linked()
        a.keep([a.peer, b.peer])
        await eventually(lambda: a.linked() == {b.peer} and b.linked() == {a.peer})
        assert len(b._host.raw.get_network().get_connections()) == 1


async def test_link_reopens_after_the_peer_restarts():
    a = node(1)
    async with running(a):
        b = node(2)
        async with running(b):
            link(a, b)
            await eventually(lambda: a.linked() == {b.peer})
            listen = b.address.rsplit("/p2p/", 1)[0]
        await eventually(lambda: not a.linked())
        again = node(2, listen)
        async with running(again):
            await eventually(lambda: again.linked() == {a.peer} and a.linked() == {b.peer})
            assert a.send(b.peer, b"welcome back")
            assert (await hear(again)).payload == b"welcome back"


async def test_peer_that_is_no_longer_kept_is_let_go():
    a, b = node(1, may_link=lambda _peer: False), node(2)
    async with running(a, b):
        link(a, b)
        await eventually(lambda: b.linked() == {a.peer})
        a.keep([])
        await eventually(lambda: not a.linked() and not b.linked())
        assert await hears_nothing(b, 0.1)


async def test_flood_is_slowed_down_and_not_punished():
    a, b = node(1), node(2)
    frames = 4_500  # 500 above the burst, at 500 a second: no sooner than after a second
    async with running(a, b):
        link(a, b)
        await eventually(lambda: b.peer in a.linked())
        started = trio.current_time()
        sent = 0
        for heard in range(frames):
            while sent < frames and a.send(b.peer, b"f"):
                sent += 1
            frame = await hear(b)
            assert frame.payload == b"f", heard
        assert trio.current_time() - started > 0.5
        assert a.linked() == {b.peer}


async def test_raising_handler_ends_its_stream_and_not_the_host():
    async def fails(stream):
        await stream.read_exact(1)
        raise ZeroDivisionError

    a, b = node(1), node(2)
    a._host.serve("/flock/fails/1", fails)
    async with running(a, b):
        async with stranger(9, a) as open_stream:
            stream = await open_stream("/flock/fails/1")
            await stream.write(b"x")
            with pytest.raises(StreamError):
                await stream.read(1)
        link(b, a)
        await eventually(lambda: b.linked() == {a.peer})
