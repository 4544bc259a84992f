"""What libp2p 0.8.1 does to those who use it as it comes: a test for each trap that others lack."""

import contextlib
import os
import sys
import threading
import time

import pytest
import trio
import trio.lowlevel
from libp2p.crypto.ed25519 import Ed25519PrivateKey, create_new_key_pair
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as noise_key
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
from libp2p.utils import encode_varint_prefixed
from network_world import TOPIC, at, eventually, hear, link, meet, node, running, stranger

from flocknode.p2p import PeerUnreachableError
from flocknode.p2p.host import DIAL_SECONDS, DIALS
from flocknode.p2p.links import PROTOCOL
from flocknode.p2p.router import BACK_OFF_SECONDS, SEEN_MAX, Seen

MESHSUB = "/meshsub/1.1.0"


async def test_name_of_another_peer_cannot_be_taken_without_its_key():
    """Noise binds its own key by a signature of the network key, which a stranger has not."""
    victim, mine = (create_new_key_pair(bytes([number]) * 32) for number in (2, 9))

    class Pretender(Ed25519PrivateKey):
        def get_public_key(self):
            return victim.public_key

    lie = KeyPair(Pretender(mine.private_key.impl), victim.public_key)
    noise = {PROTOCOL_ID: Transport(lie, noise_privkey=noise_key().private_key)}
    a = node(1)
    async with running(a):
        with pytest.RaisesGroup(SwarmException, flatten_subgroups=True):
            async with stranger(9, a, key_pair=mine, sec_opt=noise):
                pass
        assert not a._host.connected()


async def test_thirty_silent_connections_keep_nobody_out():
    a, b = node(1), node(2)
    async with running(a, b), contextlib.AsyncExitStack() as stack:
        port = int(a.address.split("/")[4])
        for _ in range(30):
            await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
        await meet(a, b)


async def test_as_many_silent_connections_as_there_may_be_keep_nobody_out(monkeypatch):
    """Each held a place for ten seconds, and it took no key to open one."""
    monkeypatch.setattr("flocknode.p2p.host.CONNECTIONS_MAX", 12)
    monkeypatch.setattr("flocknode.p2p.handshakes.HANDSHAKES_MAX", 8)
    a, b = node(1), node(2)
    async with running(a, b), contextlib.AsyncExitStack() as stack:
        port = int(a.address.split("/")[4])
        for _ in range(30):
            await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
        await eventually(lambda: len(a._host._handshakes._under_way) >= 8)
        await meet(b, a)


async def test_first_address_may_be_dead_and_the_next_one_is_tried_at_once():
    a, b = node(1), node(2)
    async with running(a, b):
        a.know(at(b))
        a.know({b.peer: "/ip4/127.0.0.1/tcp/1"})
        with trio.fail_after(5):
            await a._host.connect(b.peer)


async def test_peer_that_could_not_be_dialled_is_not_avoided_for_a_minute():
    a, b = node(1), node(2)
    async with running(a, b):
        a.know({b.peer: "/ip4/127.0.0.1/tcp/1"})
        with pytest.raises(PeerUnreachableError):
            await a._host.connect(b.peer)
        a.know(at(b))
        with trio.fail_after(5):
            await a._host.connect(b.peer)


async def test_open_stream_gives_up_when_all_256_of_a_connection_are_taken(monkeypatch):
    monkeypatch.setattr("flocknode.p2p.host.OPEN_SECONDS", 0.3)
    a, b = node(1), node(2)
    async with running(a, b):
        link(a, b)
        await eventually(lambda: a.linked() == {b.peer})
        (connection,) = a._host.raw.get_network().get_connections()
        slots = connection.muxed_conn._slots
        while slots.value:
            slots.acquire_nowait()
        with pytest.raises(PeerUnreachableError, match="no stream in"):
            await a._host.open_stream(b.peer, PROTOCOL)
        slots.release()
        stream = await a._host.open_stream(b.peer, PROTOCOL)
        await stream.reset()


async def test_storm_of_dials_connects_everybody():
    """Unbounded, it lost up to half of the connections and formed no mesh."""
    nodes = [node(i + 1) for i in range(10)]
    async with running(*nodes):
        for each in nodes:
            link(each, *(other for other in nodes if other is not each))
        await eventually(lambda: all(len(each.linked()) == 9 for each in nodes), 20)
        for i, each in enumerate(nodes):
            each.neighbours([nodes[(i + 1) % 10].peer])
        await eventually(lambda: all(len(each.mesh(TOPIC)) == 2 for each in nodes), 20)


@contextlib.asynccontextmanager
async def silent_listener():
    """Accept whoever dials and answer nobody; yields the address and who is connected."""
    held = set()

    async def accept(stream):
        held.add(stream)
        with contextlib.suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass
        held.discard(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, accept, listeners)
        port = listeners[0].socket.getsockname()[1]
        yield f"/ip4/127.0.0.1/tcp/{port}", held
        nursery.cancel_scope.cancel()


def hanging(address, count):
    """Return peers that are said to listen where nobody answers."""
    return {node(100 + i).peer: address for i in range(count)}


async def test_of_twenty_dials_eight_shake_hands_at_once(monkeypatch):
    monkeypatch.setattr(DIALS, "seconds", 60.0)
    a = node(1)
    async with running(a), silent_listener() as (address, held):
        peers = hanging(address, 20)
        a.know(peers)
        a.keep(peers)
        await eventually(lambda: len(held) == 8)
        await trio.sleep(0.2)
        assert len(held) == 8


async def test_peers_that_never_answer_keep_nobody_from_being_dialled(monkeypatch):
    """Each holds its dial for ten seconds: twenty of them held everybody for twenty."""
    monkeypatch.setattr(DIALS, "seconds", 0.05)
    a, b = node(1), node(2)
    async with running(a, b), silent_listener() as (address, held):
        peers = hanging(address, 20)
        a.know(peers)
        a.keep(peers)
        await eventually(lambda: len(held) >= 8)
        a.know(at(b))
        a.keep([*peers, b.peer])
        await eventually(lambda: a.linked() == {b.peer}, DIAL_SECONDS / 2)


async def test_reader_that_stalls_gets_what_was_sent_once_it_goes_on():
    """The window closes after 256 KiB; for a stall of a second nobody loses the link."""
    a, b = node(1), node(2)
    async with running(a, b):
        link(a, b)
        await eventually(lambda: a.linked() == {b.peer})
        sent = [os.urandom(60_000) for _ in range(30)]
        for payload in sent:
            assert a.send(b.peer, payload)
        b._links._receive, receive = stalling(b._links._receive), b._links._receive
        await trio.lowlevel.checkpoint()
        assert [(await hear(b)).payload for _ in sent] == sent
        b._links._receive = receive
        assert a.linked() == {b.peer}


def stalling(receive):
    first = [True]

    async def slow(peer, payload):
        if first.pop() if first else False:
            await trio.sleep(1)
        await receive(peer, payload)

    return slow


def control(**parts):
    return encode_varint_prefixed(
        rpc_pb2.RPC(control=rpc_pb2.ControlMessage(**parts)).SerializeToString()
    )


async def test_prune_of_a_neighbour_names_nobody_to_dial_and_ends_within_a_minute():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        bait = rpc_pb2.PeerInfo(peerID=bytes(38), signedPeerRecord=b"x")
        prune = rpc_pb2.ControlPrune(topicID=TOPIC, backoff=2**40, peers=[bait])
        stream = b._gossip._pubsub.peers[ID(a.peer)]
        await stream.write(control(prune=[prune]))
        router = a._gossip._router
        await eventually(lambda: ID(b.peer) in router.back_off.get(TOPIC, {}))
        assert router.back_off[TOPIC][ID(b.peer)] <= time.time() + BACK_OFF_SECONDS + 1
        assert a._host.connected() == {b.peer}


def hearty(number):
    """Return a node whose heart beats twenty times as fast."""
    each = node(number)
    each._gossip._router.heartbeat_interval /= 20
    return each


async def test_neighbour_that_was_pruned_is_back_once_its_back_off_is_over():
    """The heartbeat mends the mesh; the library's default leaves it broken for two minutes."""
    a, b = hearty(1), node(2)
    async with running(a, b):
        await meet(a, b)
        stream = b._gossip._pubsub.peers[ID(a.peer)]
        await stream.write(control(prune=[rpc_pb2.ControlPrune(topicID=TOPIC, backoff=1)]))
        await eventually(lambda: not a.mesh(TOPIC))
        await eventually(lambda: a.mesh(TOPIC) == {b.peer}, 4)


async def test_what_was_gossiped_is_forgotten_after_five_heartbeats():
    """Who joins late is sent what is remembered: seconds of it, and not ten minutes."""
    a, b = hearty(1), node(2)
    async with running(a, b):
        await meet(a, b)
        await a.publish(TOPIC, bytes(60_000))
        await hear(b)
        assert a._gossip._router.mcache.msgs
        await eventually(lambda: not a._gossip._router.mcache.msgs, 4)


async def test_unsigned_gossip_is_refused():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        message = rpc_pb2.Message(topicIDs=[TOPIC], data=b"x", from_id=b.peer, seqno=bytes(8))
        stream = b._gossip._pubsub.peers[ID(a.peer)]
        await stream.write(
            encode_varint_prefixed(rpc_pb2.RPC(publish=[message]).SerializeToString())
        )
        await eventually(lambda: a.score(b.peer, TOPIC) < 0)
        assert a.incoming.statistics().current_buffer_used == 0


async def test_whole_messages_are_not_kept_once_they_are_delivered():
    a, b = node(1), node(2)
    async with running(a, b):
        await meet(a, b)
        for i in range(20):
            await b.publish(TOPIC, bytes([i]) * 30_000)
            await hear(a)
        router = a._gossip._router
        await trio.lowlevel.checkpoint()
        assert not router.recent_message_deliveries
        kept = [
            value
            for name, value in vars(router).items()
            if name != "mcache" and "equivocation" in name and hasattr(value, "__len__")
        ]
        assert sum(map(len, kept)) == 0


def test_seen_message_ids_are_bounded():
    seen = Seen()
    for i in range(SEEN_MAX + 100):
        assert seen.add(i.to_bytes(8))
    assert len(seen._until) == SEEN_MAX


async def test_host_leaves_no_thread_behind():
    before = threading.active_count()
    for number in range(3):
        async with running(node(number + 1)):
            pass
    assert threading.active_count() <= before


QUIET = """
import sys, trio
sys.path.insert(0, sys.argv[1])
from network_world import node, running

async def main():
    a, b = node(1), node(2)
    async with running(a):
        a.know({b.peer: "/ip4/127.0.0.1/tcp/1"})
        try:
            await a._host.connect(b.peer)
        except Exception:
            print("unreachable")

trio.run(main)
"""


async def test_what_the_library_calls_an_error_is_not_told_the_operator(request):
    # In a process of its own: pytest takes over what logs nowhere else.
    done = await trio.run_process(
        [sys.executable, "-c", QUIET, str(request.path.parent)],
        capture_stdout=True,
        capture_stderr=True,
    )
    assert (done.stdout, done.stderr) == (b"unreachable\n", b"")


async def test_peer_that_closes_while_it_is_written_to_is_survived():
    a, b = node(1), node(2)
    async with running(a, b):
        async with stranger(9, a) as open_stream:
            for _ in range(5):
                stream = await open_stream(PROTOCOL)
                with contextlib.suppress(StreamError):
                    await stream.write(b"\0\0")
                    await stream.reset()
        await meet(a, b)
