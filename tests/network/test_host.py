"""The host: who may speak to it, and how it fails to start."""

import signal
import socket
import subprocess
import sys

import pytest
import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
from network_world import (
    LOOPBACK,
    TOPIC,
    choose,
    eventually,
    hears_nothing,
    link,
    meet,
    node,
    running,
    stranger,
)

from flocknode.crypto.peer_id import peer_of, peer_text
from flocknode.errors import ConfigurationError, UnavailableError
from flocknode.node.memory import MemoryBans
from flocknode.p2p import PeerUnreachableError, parse_address


def test_peer_id_is_known_without_a_host():
    seed = bytes(range(32))
    assert peer_of(seed) == node_of(seed).peer
    assert peer_text(peer_of(seed)) == str(ID(peer_of(seed)))
    assert peer_text(peer_of(seed)).startswith("12D3KooW")


def node_of(seed):
    from flocknode.p2p.gate import Gate
    from flocknode.p2p.host import Host

    return Host(seed, LOOPBACK, Gate(MemoryBans()))


async def test_address_names_the_peer_and_where_to_dial():
    a = node(1)
    async with running(a):
        peer, address = parse_address(a.address)
        assert peer == a.peer
        assert address.startswith("/ip4/127.0.0.1/tcp/")
        assert not address.endswith("/tcp/0")


@pytest.mark.parametrize("text", ["", "127.0.0.1:4001", "/ip4/127.0.0.1/tcp/1", "/p2p/zzz"])
def test_text_that_is_no_address_is_the_operators_to_correct(text):
    with pytest.raises(ConfigurationError):
        parse_address(text)


@pytest.mark.parametrize("listen", ["", "0.0.0.0:1", "/ip4/127.0.0.1/udp/1/quic-v1"])
def test_listen_address_that_is_not_tcp_is_refused(listen):
    with pytest.raises(ConfigurationError):
        node(1, listen)


async def test_port_in_use_is_unavailable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UnavailableError) as caught:
            await node(1, f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}").run()
    assert "in use" in caught.value.cause
    assert caught.value.remedy


async def test_port_of_another_node_is_unavailable_and_not_shared():
    a = node(1)
    async with running(a):
        with pytest.raises(UnavailableError):
            await node(2, a.address.rsplit("/p2p/", 1)[0]).run()


async def test_plaintext_is_refused():
    keys = create_new_key_pair(bytes([9]) * 32)
    plaintext = {PLAINTEXT_PROTOCOL_ID: InsecureTransport(keys)}
    a = node(1)
    async with running(a):
        with pytest.RaisesGroup(SwarmException, flatten_subgroups=True):
            async with stranger(9, a, key_pair=keys, sec_opt=plaintext):
                pass


async def test_peer_at_another_peers_address_is_not_taken_for_it():
    a, b, c = node(1), node(2), node(3)
    async with running(a, b, c):
        a._host.know(c.peer, b.address.rsplit("/p2p/", 1)[0])
        with pytest.raises(PeerUnreachableError):
            await a._host.connect(c.peer)


async def test_noise_on_the_port_harms_nobody():
    a, b = node(1), node(2)
    async with running(a, b):
        port = int(a.address.split("/")[4])
        for junk in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x13/multistream/1.0.0\n\xff\xff\xff",
            b"\x00" * 99,
        ):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(junk)
            await stream.aclose()
        await meet(a, b)


HANGING = """
import signal, sys, trio
sys.path.insert(0, sys.argv[1])
from network_world import node, running

async def main():
    each = node(1)
    async with running(each):
        print(each.address, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


async def test_peer_that_hangs_without_a_goodbye_is_replaced_by_its_restart(request):
    survivor = node(2)
    command = [sys.executable, "-c", HANGING, str(request.path.parent)]
    async with running(survivor), trio.open_nursery() as nursery:
        process = await nursery.start(hanging_process, command)
        address = (await process.stdout.receive_some()).decode().strip()
        survivor.know({peer_of(bytes([1]) * 32): address})
        survivor.neighbours([peer_of(bytes([1]) * 32)])
        await eventually(lambda: bool(survivor.mesh(TOPIC)))
        process.send_signal(signal.SIGSTOP)  # its kernel still answers, it never will
        try:
            await hears_the_reborn(survivor)
        finally:
            process.kill()
        nursery.cancel_scope.cancel()


async def hears_the_reborn(survivor):
    reborn = node(1)
    async with running(reborn):
        choose(reborn, survivor)
        for _ in range(20):  # what is published before the session stands is lost, as ever
            await survivor.publish(TOPIC, b"welcome back")
            if not await hears_nothing(reborn, 0.25):
                return
        pytest.fail("the restarted peer was never heard of again")


async def hanging_process(command, task_status=trio.TASK_STATUS_IGNORED):
    await trio.run_process(
        command, stdout=subprocess.PIPE, task_status=task_status, check=False, capture_stdout=False
    )


async def test_peer_that_stops_answering_pings_is_cut(monkeypatch):
    monkeypatch.setattr("flocknode.p2p.yamux.PING_SECONDS", 0.3)
    monkeypatch.setattr("flocknode.p2p.yamux.PONG_SECONDS", 0.5)
    a, b = node(1), node(2)
    async with running(a, b):
        link(a, b)
        await eventually(lambda: a.linked() == {b.peer})
        (connection,) = a._host.raw.get_network().get_connections()
        (theirs,) = b._host.raw.get_network().get_connections()
        await trio.sleep(1.0)
        assert not connection.is_closed
        theirs.muxed_conn._push = lambda _pieces: None
        await eventually(lambda: connection.is_closed)
        await eventually(lambda: a.linked() == {b.peer})
