"""Streams and sessions of ours: with the library's at the other end, and with none that behaves."""

import os
import tracemalloc

import pytest
import trio
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError
from memory_pipes import Pipe, connected, opened
from network_world import eventually, link, node, running, stranger

from flocknode.p2p.frames import Flag, Unpacker, data_header, go_away, ping, window_update
from flocknode.p2p.links import WRITE_SECONDS
from flocknode.p2p.muxed import CREDIT_SECONDS, WINDOW_BYTES, Connection, MuxedStream
from flocknode.p2p.yamux import SEND_SECONDS, STREAMS_MAX

ECHO = "/flock/echo/1"
DATA = os.urandom(3 * WINDOW_BYTES + 17)


async def echo(stream):
    left = len(DATA)
    while left:
        data = await stream.read_some()
        left -= len(data)
        await stream.write(data)
    await stream.close()


async def deaf(_stream):
    await trio.sleep_forever()


def echoing(number):
    each = node(number)
    each._host.serve(ECHO, echo)
    return each


async def exchanged(stream):
    """Write ``DATA`` and return what comes back."""
    back = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.write, DATA)
        while len(back) < len(DATA):
            back += await stream.read(1 << 16)
    return back


def connection(each):
    (one,) = each._host.raw.get_network().get_connections()
    return one.muxed_conn


async def joined(a, b):
    link(a, b)
    await eventually(lambda: a.linked() == {b.peer})
    return connection(a), connection(b)


async def test_library_at_the_other_end_gets_its_megabyte_back():
    a = echoing(1)
    async with running(a), stranger(9, a) as open_stream:
        with trio.fail_after(10):
            assert await exchanged(await open_stream(ECHO)) == DATA


async def test_both_ends_of_ours_exchange_on_many_streams_at_once():
    a, b = node(1), echoing(2)

    async def exchange():
        stream = await a._host.open_stream(b.peer, ECHO)
        assert await exchanged(stream._muxed) == DATA
        await stream.close()

    async with running(a, b):
        ours, theirs = await joined(a, b)
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(exchange)
        await eventually(lambda: len(ours._streams) == len(theirs._streams) == 1)
        assert ours._slots.value in (STREAMS_MAX, STREAMS_MAX - 1)


async def test_writer_that_is_cancelled_leaves_the_connection_whole():
    a, b = node(1), echoing(2)
    b._host.serve("/flock/deaf/1", deaf)
    async with running(a, b):
        await joined(a, b)
        unheard = await a._host.open_stream(b.peer, "/flock/deaf/1")
        with trio.move_on_after(0.2) as scope:
            await unheard.write(bytes(16 * WINDOW_BYTES))
        assert scope.cancelled_caught
        stream = await a._host.open_stream(b.peer, ECHO)
        with trio.fail_after(10):
            assert await exchanged(stream._muxed) == DATA


async def test_reader_that_pauses_for_as_long_as_a_link_waits_gets_everything(autojump_clock):
    """No limit on the whole write, which takes minutes; the library resets it after 5 s."""
    data, back = os.urandom(8 * WINDOW_BYTES), b""
    async with connected() as ends, trio.open_nursery() as nursery:
        ours, theirs = await opened(*ends)
        nursery.start_soon(ours.write, data)
        began = autojump_clock.current_time()
        while len(back) < len(data):
            await trio.sleep(WRITE_SECONDS - 1)
            back += await theirs.read()
        assert back == data
        assert autojump_clock.current_time() - began > 5 * CREDIT_SECONDS


async def test_writer_gives_up_on_a_peer_that_gives_no_credit(autojump_clock):
    async with connected() as ends:
        ours, _ = await opened(*ends)
        began = autojump_clock.current_time()
        with pytest.raises(MuxedStreamError, match="reads nothing"):
            await ours.write(bytes(2 * WINDOW_BYTES))
        assert autojump_clock.current_time() - began == CREDIT_SECONDS


async def test_peer_that_speaks_and_takes_nothing_is_cut_off(autojump_clock):
    """It is heard, so no ping tells, and all that waits for it would wait for ever."""

    async def sends_nothing(_pieces):
        await trio.sleep_forever()

    async def speak(theirs):
        while True:
            theirs._push((window_update(999, 1),))
            theirs._heard.set()
            await trio.sleep(1)

    async with connected() as (ours, theirs), trio.open_nursery() as nursery:
        stream, _ = await opened(ours, theirs)
        ours.secured_conn.send = sends_nothing
        nursery.start_soon(speak, theirs)
        began = autojump_clock.current_time()
        with trio.fail_after(2 * SEND_SECONDS):
            await stream.write(bytes(1_000))
            while not ours.is_closed:  # noqa: ASYNC110  # what is waited for has no event
                await trio.sleep(1)
        assert autojump_clock.current_time() - began >= SEND_SECONDS
        nursery.cancel_scope.cancel()


async def test_reader_of_a_stream_that_is_closed_beside_it_is_woken():
    async def close_later(stream):
        await trio.sleep(0.05)
        await stream.close()

    async with connected() as ends, trio.open_nursery() as nursery:
        ours, _ = await opened(*ends)
        nursery.start_soon(close_later, ours)
        with trio.fail_after(2), pytest.raises(MuxedStreamEOF):
            await ours.read()


async def test_unread_bytes_of_a_stream_come_before_its_end_and_none_after_a_reset():
    a, b = node(1), node(2)
    endings = ["close", "reset"]

    async def say_and_end(stream):
        await stream.write(b"last words")
        await trio.sleep(0.05)
        await getattr(stream, endings.pop(0))()

    b._host.serve("/flock/ends/1", say_and_end)
    async with running(a, b):
        await joined(a, b)
        for words in (b"last words", b""):
            stream = await a._host.open_stream(b.peer, "/flock/ends/1")
            await trio.sleep(0.3)
            assert stream.held == len(words)
            if words:
                assert await stream._muxed.read() == words
            with pytest.raises(MuxedStreamError):
                await stream._muxed.read()


@pytest.mark.parametrize(
    "bytes_",
    [
        b"\x01" + data_header(1, 0)[1:],  # a version that there is not
        b"\x00\x04" + data_header(1, 0)[2:],  # a type that there is not
        window_update(0, 0, Flag.SYN),
        window_update(1, 0, Flag.SYN),  # a's own link
        window_update(2, 0, Flag.SYN) * 2,
        window_update(2, 0, Flag.SYN) + data_header(2, WINDOW_BYTES + 1),
        go_away(0),
    ],
    ids=["version", "type", "stream 0", "number of ours", "number taken", "window", "goodbye"],
)
async def test_peer_that_breaks_the_rules_loses_its_connection(bytes_):
    a, b = node(1), node(2)
    async with running(a, b):
        ours, theirs = await joined(a, b)
        theirs._push((bytes_,))
        await eventually(lambda: ours.is_closed and theirs.is_closed)
        await eventually(lambda: a.linked() == {b.peer})  # on a new one


async def test_forged_message_ends_the_session():
    a, b = node(1), node(2)
    async with running(a, b):
        ours, theirs = await joined(a, b)
        await theirs.secured_conn._raw.write((100).to_bytes(2, "big") + os.urandom(100))
        await eventually(lambda: ours.is_closed)


async def test_frames_for_streams_that_are_over_are_passed_over():
    a, b = node(1), echoing(2)
    async with running(a, b):
        ours, theirs = await joined(a, b)
        theirs._push((data_header(999, 5), b"hello", window_update(998, 1), ping(7, Flag.ACK)))
        stream = await a._host.open_stream(b.peer, ECHO)
        assert await exchanged(stream._muxed) == DATA
        assert not ours.is_closed


async def test_peer_that_asks_and_never_reads_is_cut_off(monkeypatch):
    monkeypatch.setattr("flocknode.p2p.yamux.QUEUED_BYTES_MAX", 1_200)
    monkeypatch.setattr("flocknode.p2p.yamux.ANSWERS_BYTES_MAX", 1_200)
    a, b = node(1), node(2)

    async def sends_nothing(_pieces):
        await trio.sleep_forever()

    async with running(a, b):
        ours, theirs = await joined(a, b)
        ours.secured_conn.send = sends_nothing
        theirs._push(tuple(ping(number, Flag.SYN) for number in range(1_000)))
        await eventually(lambda: ours.is_closed)


async def test_more_streams_than_a_connection_may_have_are_refused():
    a, b = node(1), node(2)
    async with running(a, b):
        ours, theirs = await joined(a, b)
        first = 2 if theirs._next % 2 == 0 else 1_001
        theirs._push(
            tuple(window_update(first + 2 * i, 0, Flag.SYN) for i in range(3 * STREAMS_MAX))
        )
        await trio.sleep(0.5)
        assert len(ours._streams) <= 2 * STREAMS_MAX
        assert not ours.is_closed


@pytest.mark.parametrize("size", [1, 5, 12, 13, 70])
def test_frames_are_the_same_whatever_pieces_they_come_in(size):
    wire = data_header(1, 20) + bytes(range(20)) + window_update(3, 9) + data_header(5, 0)
    frames, body = [], b""
    unpacker = Unpacker()
    for start in range(0, len(wire), size):
        for frame, part in unpacker.feed(wire[start : start + size]):
            if part is None:
                frames.append((frame.stream, frame.value, frame.credit))
            else:
                body += part
    assert frames == [(1, 20, 0), (3, 9, 9), (5, 0, 0)]
    assert body == bytes(range(20))
    assert not unpacker.is_in_body


class Nowhere(Connection):
    """A connection that swallows what its streams send."""

    send_now = forget = lambda *_: None
    send = open_stream = accept_stream = start = close = None
    is_initiator = is_established = is_closed = True
    get_transport_addresses = get_connection_type = get_remote_address = lambda _: None

    def __init__(self):
        pass


@pytest.mark.parametrize("size", [61, 4_096, 65_537, 1 << 20])
async def test_sealed_messages_open_whatever_pieces_they_come_in(monkeypatch, size):
    whole = Pipe.read

    async def cut(pipe, n=None):
        return await whole(pipe, min(n or size, size))

    monkeypatch.setattr(Pipe, "read", cut)
    async with connected() as (ours, theirs), trio.open_nursery() as nursery:
        sender, receiver = await opened(ours, theirs)
        nursery.start_soon(sender.write, DATA)
        receiver.widen(len(DATA))
        came = bytearray()
        while len(came) < len(DATA):
            came += await receiver.read()
        assert came == DATA


async def test_small_parts_of_large_messages_do_not_keep_these_in_memory():
    stream = MuxedStream(Nowhere(), 1)
    tracemalloc.start()
    try:
        for number in range(2_000):
            stream.deliver(memoryview(bytes([number % 256]) * 65_000)[:2])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert await stream.read(4_000) == b"".join(bytes([i % 256]) * 2 for i in range(2_000))


async def test_bytes_that_come_one_by_one_take_no_more_memory_than_they_are_worth():
    stream = MuxedStream(Nowhere(), 1)
    tracemalloc.start()
    for number in range(1 << 14):
        stream.deliver(memoryview(bytes([number % 256])))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 4 << 14
    assert await stream.read() == bytes(range(256)) * 64
