"""Neighbours that ask for too much in RPCs that are small and well formed."""

import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils import encode_varint_prefixed
from network_world import TOPIC, eventually, hear, meet, node, running

from flocknode.p2p.control import IDS_MAX, curb
from flocknode.p2p.router import MESSAGES_MAX

PAYLOAD = bytes(60_000)


async def say(each, other, **fields):
    """Write one RPC of these fields on the session from ``each`` to ``other``."""
    body = rpc_pb2.RPC(**fields).SerializeToString()
    await each._gossip._pubsub.peers[ID(other.peer)].write(encode_varint_prefixed(body))


async def answered(each, other):
    """Wait until all that ``other`` said before was taken by ``each``."""
    await other.publish(TOPIC, b"last")
    while (await hear(each)).payload != b"last":
        pass


async def test_message_that_is_demanded_a_hundred_times_is_sent_once():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        await a.publish(TOPIC, PAYLOAD)
        await hear(b)
        (message_id,) = a._gossip._router.mcache.msgs
        demands = [rpc_pb2.ControlIWant(messageIDs=[message_id] * 20) for _ in range(5)]
        await say(b, a, control=rpc_pb2.ControlMessage(iwant=demands))
        await answered(a, b)
        await eventually(lambda: a.counters.bytes_gossiped >= 2 * len(PAYLOAD))
        await trio.sleep(0.2)
        assert a.counters.bytes_gossiped == 2 * len(PAYLOAD)


async def test_topics_that_nobody_has_heard_of_are_not_remembered():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        topics = [f"topic {i}" for i in range(500)]
        await say(
            b,
            a,
            control=rpc_pb2.ControlMessage(
                prune=[rpc_pb2.ControlPrune(topicID=topic, backoff=60) for topic in topics],
                ihave=[rpc_pb2.ControlIHave(topicID=topic) for topic in topics],
            ),
        )
        await answered(a, b)
        router = a._gossip._router
        assert not router.back_off
        assert not router.graft_flood_tracking[ID(b.peer)]
        assert not router.ihave_message_limits[ID(b.peer)]


async def test_neighbour_that_comes_and_goes_is_sent_what_is_recent_once():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        await a.publish(TOPIC, PAYLOAD)
        await hear(b)
        turns = [
            rpc_pb2.RPC.SubOpts(subscribe=bool(i % 2), topicid=TOPIC) for i in range(MESSAGES_MAX)
        ]
        await say(b, a, subscriptions=turns)
        await answered(a, b)
        await trio.sleep(0.2)
        assert a.counters.bytes_gossiped == len(PAYLOAD)
        assert a.mesh(TOPIC) == {b.peer}


async def test_rpc_of_thousands_of_messages_ends_the_session_and_is_a_fault():
    faults = []
    a, b = node(1), node(2)
    a._gossip._pubsub._penalise = lambda peer, _reason: faults.append(peer)
    async with running(a, b):
        await meet(a, b)
        judged = []
        a._gossip._pubsub._judge = lambda *_: judged.append(1)
        await say(b, a, publish=[rpc_pb2.Message(topicIDs=[TOPIC])] * (MESSAGES_MAX + 1))
        await eventually(lambda: faults == [b.peer])
        assert not judged


async def test_messages_of_one_rpc_are_judged_one_after_the_other():
    """A task each would hold the loop for all of them at once."""
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        tasks = []
        a._gossip._pubsub._judge = lambda *_: tasks.append(trio.lowlevel.current_task())
        await say(b, a, publish=[rpc_pb2.Message(topicIDs=[TOPIC])] * MESSAGES_MAX)
        await eventually(lambda: len(tasks) == MESSAGES_MAX)
        assert len(set(tasks)) == 1


def test_ids_are_distinct_and_bounded_and_topics_ours():
    control = rpc_pb2.ControlMessage(
        ihave=[
            rpc_pb2.ControlIHave(topicID=topic, messageIDs=[i.to_bytes(2) for i in range(100)])
            for topic in (TOPIC, TOPIC, "other")
        ],
        iwant=[rpc_pb2.ControlIWant(messageIDs=[b"a", b"b"]) for _ in range(9)],
        graft=[rpc_pb2.ControlGraft(topicID=topic) for topic in (TOPIC, "other")],
    )
    curb(control, {TOPIC})
    assert [len(offer.messageIDs) for offer in control.ihave] == [IDS_MAX]
    assert [list(wanted.messageIDs) for wanted in control.iwant] == [[b"a", b"b"]]
    assert [graft.topicID for graft in control.graft] == [TOPIC]
