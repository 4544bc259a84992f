"""Who is let in, who is thrown out, and for how long."""

import contextlib
import gc
from pathlib import Path

import pytest
import trio
import trio.testing
from libp2p.host.exceptions import StreamFailure
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamError
from network_world import TOPIC, at, eventually, hear, link, meet, node, running, stranger

from flocknode.messages.verdict import Verdict
from flocknode.node.memory import MemoryBans
from flocknode.p2p import PeerUnreachableError
from flocknode.p2p.framing import FRAME_BYTES_MAX
from flocknode.p2p.links import PROTOCOL
from flocknode.p2p.quota import STREAMS_PER_PEER_MAX

FAULTS = 5
"""So many at once get a peer banned."""


async def test_stranger_is_refused_at_connection_time_once_members_are_known():
    a, b = node(1), node(2)
    a.admit(frozenset({b.peer}))
    async with running(a, b):
        with pytest.RaisesGroup(SwarmException, flatten_subgroups=True):
            async with stranger(9, a):
                pass
        assert not a._host.connected()
        link(b, a)
        await eventually(lambda: a.linked() == {b.peer})


async def test_who_is_no_member_any_more_is_let_go():
    a, b, c = node(1), node(2), node(3)
    async with running(a, b, c):
        link(b, a)
        link(c, a)
        await eventually(lambda: a.linked() == {b.peer, c.peer})
        a.admit(frozenset({c.peer}))
        await eventually(lambda: a._host.connected() == a.linked() == {c.peer})


async def test_no_member_is_dialled_neither():
    a, b = node(1), node(2)
    async with running(a, b):
        a.admit(frozenset())
        a.know(at(b))
        with pytest.raises(PeerUnreachableError, match="no member"):
            await a._host.connect(b.peer)


async def test_faults_of_every_kind_end_in_a_ban_that_outlives_connection_and_restart():
    bans = MemoryBans()
    a, b = node(1, bans=bans), node(2)
    async with running(a, b):
        link(b, a)
        await eventually(lambda: a.linked() == {b.peer})
        for _ in range(FAULTS):
            a.penalise(b.peer, "a message that does not decode")
        await eventually(lambda: not a._host.connected() and not a.linked())
        with pytest.raises(PeerUnreachableError):
            await dial(b, a)
        await eventually(lambda: bool(bans.load()))
    reborn, b = node(1, bans=bans), node(2)
    async with running(reborn, b):
        with pytest.raises(PeerUnreachableError):
            await dial(b, reborn)
    forgiving, b = node(1), node(2)
    async with running(forgiving, b):
        await dial(b, forgiving)


async def test_ban_ends_a_connection_that_lies_idle():
    a = node(1)
    async with running(a), stranger(7, a):
        await trio.testing.wait_all_tasks_blocked(0.2)  # a stream of a banned peer ends it, too
        (peer,) = a._host.connected()
        for _ in range(FAULTS):
            a.penalise(peer, "a message that does not decode")
        await eventually(lambda: not a._host.connected())


async def dial(a, b):
    a.know(at(b))
    await a._host.connect(b.peer)
    await trio.sleep(0.2)  # the refusal comes after the dialler's own handshake
    if not a._host.is_connected(b.peer):
        raise PeerUnreachableError(b.peer, "closed at once")


async def test_refused_gossip_and_oversized_frames_count_as_the_same_faults():
    a, b = node(1, validate=lambda *_: Verdict.REJECT), node(2)
    async with running(a, b):
        await meet(a, b)
        await b.publish(TOPIC, b"refused")
        await eventually(lambda: a.score(b.peer, TOPIC) < 0)
        async with stranger(2, a) as open_stream:
            for _ in range(FAULTS - 1):
                stream = await open_stream(PROTOCOL)
                with contextlib.suppress(StreamError):
                    await stream.write((FRAME_BYTES_MAX + 1).to_bytes(4) + b"x")
                await trio.sleep(0.1)
            await eventually(lambda: not a._gate.admits(b.peer))
        await eventually(lambda: not a._host.connected())


async def test_gossip_that_is_no_protobuf_is_a_fault_of_its_sender():
    a, b = node(1), node(2)
    async with running(a, b), stranger(9, a) as open_stream:
        for _ in range(FAULTS):
            with contextlib.suppress(StreamError, SwarmException):
                stream = await open_stream("/meshsub/1.1.0")
                await stream.write(b"\x28" + b"\xff" * 40)
                await trio.sleep(0.05)
        await eventually(lambda: not a._host.connected())


async def test_streams_beyond_a_peers_quota_are_reset_and_others_go_on():
    a, b = node(1), node(2)
    waiting = []

    async def wait(stream):
        waiting.append(stream)
        await trio.sleep_forever()

    a._host.serve("/flock/wait/1", wait)
    async with running(a, b), stranger(9, a) as open_stream:
        opened = 0
        with contextlib.suppress(Exception):  # whatever the library makes of a reset
            with trio.move_on_after(10):
                for _ in range(300):
                    await open_stream("/flock/wait/1")
                    opened += 1
        assert len(waiting) <= STREAMS_PER_PEER_MAX <= opened + 1
        link(b, a)
        await eventually(lambda: b.peer in a.linked() and a.peer in b.linked())
        assert b.send(a.peer, b"unharmed")
        assert (await hear(a)).payload == b"unharmed"


async def test_nothing_is_served_but_what_this_project_serves():
    a = node(1)
    async with running(a), stranger(9, a) as open_stream:
        for protocol in ("/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0"):
            with pytest.raises(StreamFailure, match="failed to open"):
                await open_stream(protocol)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_peers_that_are_thrown_out_or_refused_leave_no_descriptor_behind():
    a, b = node(1), node(2)
    gc.disable()
    try:
        async with running(a, b):
            b.know(at(a))
            counts = []
            for _ in range(6):
                a.admit(frozenset({b.peer}))
                await b._host.connect(a.peer)
                a.admit(frozenset())
                await eventually(lambda: not a._host.connected() and not b._host.connected())
                with contextlib.suppress(PeerUnreachableError):
                    await b._host.connect(a.peer)
                await trio.sleep(0.3)
                counts.append(descriptors())
            assert counts[-1] <= counts[1]
    finally:
        gc.enable()


async def test_peer_that_is_banned_while_it_connects_is_not_served():
    """A peer may wait between noise and the multiplexer until the ban has ended the others."""
    a, b = node(1), node(2)
    async with running(a, b):
        turned_away = []
        expel = a._host._expel
        a._host._expel = lambda peer: turned_away.append(peer) or expel(peer)
        multiplexers = a._host.raw.get_network().upgrader.muxer_multistream
        waiting, go_on = trio.Event(), trio.Event()
        select = multiplexers.select_transport

        async def select_later(connection):
            waiting.set()
            await go_on.wait()
            return await select(connection)

        multiplexers.select_transport = select_later
        link(b, a)
        await waiting.wait()
        for _ in range(5):
            a.penalise(b.peer, "five faults")
        go_on.set()
        await eventually(lambda: b.peer in turned_away)
        await eventually(lambda: not a._host.connected())
        assert not a.linked()
