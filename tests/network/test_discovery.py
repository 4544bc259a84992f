"""Nodes that know one address and find the others, and what liars make of that."""

import trio
from libp2p.host.exceptions import StreamFailure
from libp2p.network.stream.exceptions import StreamError
from network_world import TOPIC, at, eventually, hear, link, node, running, stranger

from flocknode.crypto.peer_id import peer_of, peer_text
from flocknode.p2p.discovery import ANSWER_MAX, ASKED_BURST, PROTOCOL
from flocknode.p2p.records import PeerRecord


def members(count):
    """Return nodes that let one another in, and the first one, which all others know."""
    nodes = [node(i + 1) for i in range(count)]
    everyone = frozenset(each.peer for each in nodes)
    for each in nodes:
        each.admit(everyone)
    return nodes


async def test_nodes_that_know_one_address_find_all_others():
    nodes = members(8)
    async with running(*nodes):
        for each in nodes:
            each.begin_with(at(nodes[0]))
            each.keep(other.peer for other in nodes)
        await eventually(lambda: all(len(each.linked()) == 7 for each in nodes), 20)


async def test_trainer_without_an_address_finds_every_validator_and_is_found_by_none():
    validators = members(4)
    trainer = node(9, None)
    everyone = frozenset(each.peer for each in (*validators, trainer))
    for each in (*validators, trainer):
        each.admit(everyone)
    async with running(trainer, *validators):
        for each in validators:
            each.begin_with(at(validators[0]))
        trainer.begin_with(at(validators[0]))
        trainer.keep(each.peer for each in validators)
        await eventually(lambda: len(trainer.linked()) == 4, 20)
        assert not any(trainer.peer in each._discovery.table.peers() for each in validators)


async def test_peer_that_moved_to_another_port_is_found_again():
    hub, a = members(2)
    async with running(hub, a):
        mover = node(9)
        everyone = frozenset({hub.peer, a.peer, mover.peer})
        for each in (hub, a, mover):
            each.admit(everyone)
        async with running(mover):
            mover.begin_with(at(hub))
            a.begin_with(at(hub))
            a.keep([mover.peer])
            await eventually(lambda: a.linked() == {mover.peer})
        await eventually(lambda: not a.linked())
        again = node(9)
        again.admit(everyone)
        async with running(again):
            assert again.address != ""
            again.begin_with(at(hub))
            await eventually(lambda: a.linked() == {again.peer}, 15)


async def ask(open_stream, record):
    """Return the first byte of the answer; a reset is none."""
    try:
        stream = await open_stream(PROTOCOL)
        await stream.write(bytes(32) + len(record).to_bytes(2) + record)
        return await stream.read(1)
    except (StreamError, StreamFailure):
        return b""


async def test_record_of_somebody_else_is_a_fault_and_is_not_kept():
    a = node(1)
    theirs = PeerRecord.sign(bytes([7]) * 32, 1, ["/ip4/127.0.0.1/tcp/1"])
    async with running(a):
        faults = []
        a._discovery._penalise = lambda peer, reason: faults.append((peer, reason))
        async with stranger(9, a) as open_stream:
            for record in (theirs.to_bytes(), b"junk"):
                assert await ask(open_stream, record) == b""
        assert len(faults) == 2
        assert a._discovery.table.peers() == ()


async def test_record_of_no_member_is_neither_kept_nor_passed_on():
    a, b = members(2)
    outsider = PeerRecord.sign(bytes([7]) * 32, 1, ["/ip4/127.0.0.1/tcp/1"])
    b._discovery.table.add(outsider)
    async with running(a, b):
        link(a, b)
        a.begin_with(at(b))
        await eventually(lambda: b.peer in a._discovery.table.peers())
        assert outsider.peer not in a._discovery.table.peers()
        assert not a._host.knows(outsider.peer)


async def test_answer_is_bounded_however_many_peers_are_known():
    a = node(1)
    for i in range(10, 60):
        a._discovery.table.add(PeerRecord.sign(bytes([i]) * 32, 1, ["/ip4/127.0.0.1/tcp/1"]))
    async with running(a), stranger(9, a) as open_stream:
        assert await ask(open_stream, b"") == bytes([ANSWER_MAX])


async def test_questions_of_one_peer_are_counted_by_time():
    a = node(1)
    async with running(a), stranger(9, a) as open_stream:
        bucket = a._discovery._asked.of(peer_of(bytes([9]) * 32))
        bucket.rate = 0.0
        answers = [await ask(open_stream, b"") for _ in range(int(ASKED_BURST) + 2)]
        assert answers[-2:] == [b"", b""]
        assert all(answers[:-2])


async def test_nodes_on_one_network_find_each_other_by_multicast():
    a, b = (node(number, multicast_on=["127.0.0.1"]) for number in (21, 22))
    async with running(a, b):
        a.keep([b.peer])
        await eventually(lambda: a.linked() == {b.peer}, 15)


async def test_hint_is_tried_last_and_pushes_out_no_signed_address():
    a, b = members(2)
    async with running(a, b):
        link(a, b)
        for port in range(1, 10):
            a._discovery.hear(b.peer, f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer_text(b.peer)}")
        await eventually(lambda: a.linked() == {b.peer})
        assert len(a._host._hints) == 1
        stranger_ = peer_of(bytes([99]) * 32)
        a._discovery.hear(stranger_, f"/ip4/127.0.0.1/tcp/1/p2p/{peer_text(stranger_)}")
        assert not a._host.knows(stranger_)


async def test_nodes_without_named_neighbours_choose_some_and_gossip_reaches_all(monkeypatch):
    monkeypatch.setattr("flocknode.p2p.neighbourhood.CHECK_SECONDS", 0.3)
    nodes = members(6)
    async with running(*nodes), trio.open_nursery() as nursery:
        for each in nodes:
            each.begin_with(at(nodes[0]))
            each.keep(other.peer for other in nodes)
            nursery.start_soon(each.find_neighbours)
        await eventually(lambda: all(len(each.mesh(TOPIC)) >= 2 for each in nodes), 20)
        await nodes[5].publish(TOPIC, b"everybody")
        for each in nodes[:5]:
            assert (await hear(each)).payload == b"everybody"
        nursery.cancel_scope.cancel()
