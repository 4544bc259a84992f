"""Gossip between chosen neighbours, also when some of them misbehave."""

import contextlib
import os

import pytest
import trio
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils import encode_varint_prefixed
from network_world import (
    LOOPBACK,
    TOPIC,
    choose,
    drain,
    eventually,
    hear,
    hears_nothing,
    link,
    meet,
    node,
    running,
    stranger,
)

from flocknode.messages.verdict import Verdict
from flocknode.p2p import OversizedError

MESHSUB = "/meshsub/1.1.0"


def rpc(**message) -> bytes:
    body = rpc_pb2.RPC(publish=[rpc_pb2.Message(topicIDs=[TOPIC], **message)])
    return encode_varint_prefixed(body.SerializeToString())


async def test_message_reaches_all_eight_of_a_ring_once():
    ring = [node(i + 1) for i in range(8)]
    async with running(*ring):
        for i, each in enumerate(ring):
            choose(each, ring[(i + 1) % 8])
        await eventually(lambda: all(len(each.mesh(TOPIC)) == 2 for each in ring))
        await ring[0].publish(TOPIC, b"draw")
        for each in ring[1:]:
            frame = await hear(each)
            assert (frame.peer, frame.payload, frame.gossiped) == (ring[0].peer, b"draw", True)
        assert all([await hears_nothing(each, 0.1) for each in ring])
        assert ring[0].counters.gossip_messages == 1
        # A ring of 8 carries a message over each of its edges once, or twice where both ends meet.
        assert 7 * 4 <= sum(each.counters.bytes_gossiped for each in ring) <= 9 * 4


async def test_link_connections_stay_out_of_the_mesh():
    a, b, c = nodes = [node(i + 1) for i in range(3)]
    async with running(*nodes):
        link(a, b, c)
        link(b, c)
        await meet(a, b)
        await eventually(lambda: all(len(each.linked()) == 2 for each in nodes))
        # Two heartbeats pass, in which a subscribed host would be grafted.
        await trio.sleep(2.2)
        assert a.mesh(TOPIC) == {b.peer}
        assert b.mesh(TOPIC) == {a.peer}
        assert c.mesh(TOPIC) == frozenset()


async def test_neighbour_that_is_dropped_leaves_the_mesh_and_may_come_back():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        a.neighbours([])
        await eventually(lambda: not a.mesh(TOPIC) and not b.mesh(TOPIC))
        await meet(a, b)
        await a.publish(TOPIC, b"again")
        assert (await hear(b)).payload == b"again"


async def test_two_that_choose_each_other_hear_each_other():
    a, b = node(1), node(2)
    async with running(a, b):
        choose(a, b)
        choose(b, a)
        await eventually(lambda: bool(a.mesh(TOPIC) and b.mesh(TOPIC)))
        await a.publish(TOPIC, b"to b")
        await b.publish(TOPIC, b"to a")
        assert (await hear(b)).payload == b"to b"
        assert (await hear(a)).payload == b"to a"


@pytest.mark.parametrize(
    "junk",
    [
        encode_varint_prefixed(b"\xff" * 40),
        rpc(data=b"x", from_id=b"\x00", seqno=b"1", key=b"\xff\xff", signature=b"s"),
        rpc(data=b"x", from_id=b"", seqno=b"1", key=b"", signature=b"s"),
        encode_varint_prefixed(bytes(200_000)),
        b"\xff" * 12,
    ],
    ids=["not protobuf", "undecodable key", "no author", "oversized RPC", "endless varint"],
)
async def test_malformed_rpc_does_not_end_the_host(junk):
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        async with stranger(9, a) as open_stream:
            stream = await open_stream(MESHSUB)
            with contextlib.suppress(StreamError):  # the host may reset before it has read all
                await stream.write(junk)
            await trio.sleep(0.1)
        await b.publish(TOPIC, b"still there")
        assert (await hear(a)).payload == b"still there"


async def test_raising_validator_drops_the_message_and_blames_nobody():
    def validate(_author, _topic, payload):
        if payload == b"bad luck":
            raise KeyError(payload)
        return Verdict.ACCEPT

    a, b = node(1, validate=validate), node(2)
    async with running(a, b):
        await meet(a, b)
        await b.publish(TOPIC, b"bad luck")
        await b.publish(TOPIC, b"fine")
        assert (await hear(a)).payload == b"fine"
        assert a.score(b.peer, TOPIC) == 0


@pytest.mark.parametrize(("verdict", "score"), [(Verdict.IGNORE, 0), (Verdict.REJECT, -10)])
async def test_only_rejection_costs_the_forwarder_and_neither_is_forwarded(verdict, score):
    asked = []

    def validate(author, topic, payload):
        asked.append((author, topic, payload))
        return verdict

    a, b, c = node(1), node(2, validate=validate), node(3)
    async with running(a, b, c):
        await meet(a, b)
        await meet(b, c)
        await a.publish(TOPIC, b"doubtful")
        await eventually(lambda: bool(asked))
        assert await hears_nothing(c)
        assert asked == [(a.peer, TOPIC, b"doubtful")]
        # A heartbeat takes a tenth of a penalty away.
        assert b.score(a.peer, TOPIC) == pytest.approx(score, abs=2)
        assert b.incoming.statistics().current_buffer_used == 0


async def test_forged_author_is_rejected_and_does_not_use_up_his_message_id():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        following = (b._gossip._pubsub.counter + 1).to_bytes(8, "big")
        async with stranger(9, a) as open_stream:
            stream = await open_stream(MESHSUB)
            await stream.write(
                rpc(data=b"lie", from_id=b.peer, seqno=following, signature=b"s" * 64)
            )
            assert await hears_nothing(a, 0.3)
        await b.publish(TOPIC, b"truth")
        assert (await hear(a)).payload == b"truth"


async def test_message_above_the_cap_is_refused_by_its_author():
    a = node(1)
    async with running(a):
        with pytest.raises(OversizedError) as caught:
            await a.publish(TOPIC, bytes(60_001))
        assert (caught.value.size, caught.value.limit) == (60_001, 60_000)


async def test_message_above_the_cap_is_refused_by_whoever_receives_it():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        await a._gossip._pubsub.publish(TOPIC, bytes(60_001))
        await eventually(lambda: b.score(a.peer, TOPIC) < 0)
        await a.publish(TOPIC, bytes(60_000))
        assert len((await hear(b)).payload) == 60_000


async def test_long_rpcs_that_are_written_at_once_arrive_whole():
    """A replay for a late joiner is written beside the queue of its stream."""
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        signed = []
        a._gossip._router.publish, publish = keeping(signed), a._gossip._router.publish
        for _ in range(24):
            await a.publish(TOPIC, os.urandom(60_000))
        a._gossip._router.publish = publish
        stream = a._gossip._pubsub.peers[ID(b.peer)]
        async with trio.open_nursery() as nursery:
            for pair in zip(signed[::2], signed[1::2], strict=True):
                body = rpc_pb2.RPC(publish=pair).SerializeToString()
                nursery.start_soon(stream.write, encode_varint_prefixed(body))
        heard = {(await hear(b)).payload for _ in signed}
        assert heard == {message.data for message in signed}


def keeping(messages):
    async def publish(_forwarder, message):
        messages.append(message)

    return publish


async def test_late_joiner_with_a_backlog_of_large_messages_ends_nobody():
    a, b, late = node(1), node(2), node(3)
    async with running(a, b, late):
        await meet(a, b)
        for _ in range(6):
            await a.publish(TOPIC, os.urandom(60_000))
        choose(late, a, b)
        for _ in range(6):
            await a.publish(TOPIC, os.urandom(60_000))
        for _ in range(12):
            assert len((await hear(b)).payload) == 60_000
        await eventually(lambda: late.mesh(TOPIC) == {a.peer, b.peer})
        drain([late])
        await b.publish(TOPIC, b"well")
        assert (await hear(a)).payload == b"well"


async def test_restart_within_a_second_is_heard():
    survivor = node(2)
    async with running(survivor):
        for life in range(3):
            reborn = node(1)
            async with running(reborn):
                await meet(reborn, survivor)
                for i in range(5):
                    await reborn.publish(TOPIC, bytes([life, i]))
                heard = [(await hear(survivor)).payload for _ in range(5)]
                assert sorted(heard) == [bytes([life, i]) for i in range(5)]


async def test_neighbour_that_restarts_on_its_port_is_found_again():
    a = node(1)
    async with running(a):
        b = node(2)
        async with running(b):
            await meet(a, b)
            listen = b.address.rsplit("/p2p/", 1)[0]
        assert listen != LOOPBACK
        await eventually(lambda: not a.mesh(TOPIC))
        again = node(2, listen)
        async with running(again):
            await eventually(lambda: bool(again.mesh(TOPIC)))
            await a.publish(TOPIC, b"welcome back")
            assert (await hear(again)).payload == b"welcome back"


async def test_burst_of_two_hundred_arrives_whole():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        for i in range(200):
            await a.publish(TOPIC, i.to_bytes(2))
        heard = {(await hear(b)).payload for _ in range(200)}
        assert len(heard) == 200


async def test_guest_that_leaves_while_our_half_is_opened_may_come_again():
    a, b = node(1), node(2)
    async with running(a, b):
        link(b, a)
        await eventually(lambda: a.linked() == {b.peer})
        gate, pubsub = trio.Event(), a._gossip._pubsub
        pubsub.host.new_stream = after(gate, pubsub.host.new_stream)
        choose(b, a)
        await eventually(lambda: ID(b.peer) in pubsub._opening)
        b.neighbours([])
        await eventually(lambda: ID(b.peer) not in pubsub._guests)
        gate.set()
        await eventually(lambda: not pubsub._opening)
        await trio.sleep(0.1)
        assert ID(b.peer) not in pubsub.peers
        await meet(b, a)


def after(event, function):
    async def waits(*arguments):
        await event.wait()
        return await function(*arguments)

    return waits
