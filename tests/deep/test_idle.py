"""What connected nodes cost while nothing happens, and what many rounds leave behind."""

import gc
import resource
import time
from pathlib import Path

import pytest
import trio

from flocknode.messages.verdict import Verdict
from flocknode.node.blobs import MemoryBlobs
from flocknode.node.memory import MemoryBans
from flocknode.p2p import Network
from flocknode.sim import simulated_node
from flocknode.sim.world import World
from tests.builders import task_terms

HOSTS = 24
IDLE_SECONDS = 30
CORE_SHARE_MAX = 0.10
ROUNDS = 500
TOPIC = "round"


@pytest.fixture(autouse=True)
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of connections with both ends in one process take a while to close."""
    monkeypatch.setattr("flocknode.p2p.host.CLOSE_SECONDS", 60.0)


def open_hosts(count: int) -> list[Network]:
    return [
        Network(
            bytes([number + 1]) * 32,
            "/ip4/127.0.0.1/tcp/0",
            validate=lambda *_: Verdict.ACCEPT,
            may_link=lambda _peer: True,
            blobs=MemoryBlobs(),
            topics=[TOPIC],
            bans=MemoryBans(),
        )
        for number in range(count)
    ]


async def connect(hosts: list[Network]) -> None:
    """Link every host with every other, and make a ring with chords for gossip."""
    addresses = {each.peer: each.address for each in hosts}
    for place, each in enumerate(hosts):
        each.know(addresses)
        each.keep(addresses)
        following = (place + 1, place + len(hosts) // 2)
        each.neighbours(hosts[i % len(hosts)].peer for i in following)
    with trio.fail_after(60):
        while any(len(each.linked()) < len(hosts) - 1 for each in hosts):  # noqa: ASYNC110
            await trio.sleep(0.1)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def test_two_dozen_connected_hosts_use_a_tenth_of_a_core(record_property) -> None:
    hosts = open_hosts(HOSTS)
    async with trio.open_nursery() as nursery:
        for each in hosts:
            await nursery.start(each.run)
        await connect(hosts)
        await trio.sleep(5)
        began, used = time.monotonic(), cpu_seconds()
        await trio.sleep(IDLE_SECONDS)
        share = (cpu_seconds() - used) / (time.monotonic() - began)
        record_property("hosts", HOSTS)
        record_property("percent_of_a_core", round(100 * share, 1))
        nursery.cancel_scope.cancel()
    assert share <= CORE_SHARE_MAX


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def held(hosts: list[Network]) -> dict[str, int]:
    """Return the sizes of what a host keeps about its peers and their messages, summed."""
    sizes: dict[str, int] = {}
    for each in hosts:
        parts = {
            "gossip": each._gossip._pubsub,
            "router": each._gossip._router,
            "links": each._links,
            "server": each._server,
            "host": each._host,
        }
        for part, owner in parts.items():
            for name, value in vars(owner).items():
                if hasattr(value, "__len__"):
                    key = f"{part}.{name}"
                    sizes[key] = sizes.get(key, 0) + len(value)
    return sizes


BY_TIME = {"gossip.seen_messages"}
"""Bounded by two minutes, which all rounds here fit into."""


async def play_messages(hosts: list[Network], rounds: int) -> None:
    """Exchange what a round exchanges: one message gossiped, one to every peer of one host."""
    for round_ in range(rounds):
        speaker = hosts[round_ % len(hosts)]
        await speaker.publish(TOPIC, round_.to_bytes(8))
        for other in hosts:
            if other is not speaker:
                assert speaker.send(other.peer, bytes(500))
        for other in hosts:
            if other is not speaker:
                heard: set[bool] = set()
                with trio.move_on_after(5):
                    while heard != {True, False}:
                        heard.add((await other.incoming.receive()).gossiped)


async def test_five_hundred_rounds_of_messages_leave_nothing_behind(record_property) -> None:
    hosts = open_hosts(6)
    async with trio.open_nursery() as nursery:
        for each in hosts:
            await nursery.start(each.run)
        await connect(hosts)
        await play_messages(hosts, 50)
        gc.collect()
        before = (trio.lowlevel.current_statistics().tasks_living, descriptors(), held(hosts))
        await play_messages(hosts, ROUNDS)
        await trio.sleep(1)
        gc.collect()
        after = (trio.lowlevel.current_statistics().tasks_living, descriptors(), held(hosts))
        nursery.cancel_scope.cancel()
    record_property("rounds", ROUNDS)
    record_property("tasks", after[0])
    record_property("descriptors", after[1])
    assert after[0] <= before[0]
    assert after[1] <= before[1]
    grown = {
        name: (before[2].get(name, 0), size)
        for name, size in after[2].items()
        if size > before[2].get(name, 0) + 6 and name not in BY_TIME
    }
    assert not grown


def sizes_of(world: World) -> dict[str, int]:
    """Return the sizes of what the machines keep, the largest of each kind."""
    sizes: dict[str, int] = {}
    for node in world.nodes:
        for owner in (node.machine, node.machine._duties, node.machine._pace, node.vault):
            for name, value in vars(owner).items():
                if hasattr(value, "__len__"):
                    key = f"{type(owner).__name__}.{name}"
                    sizes[key] = max(sizes.get(key, 0), len(value))
    return sizes


def test_five_hundred_rounds_without_training_leave_nothing_behind(
    record_property, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Beacon answers for all rounds: validators run out of them otherwise.
    monkeypatch.setattr(simulated_node, "ONION_LAYERS", ROUNDS)
    terms = task_terms(
        columns=2,
        seats_per_column=1,
        trainers=3,
        trainers_min=2,
        rounds=2 * ROUNDS,
    )
    world = World(seed=0, terms=terms, validators=4)
    open_before = descriptors()
    while settled(world) < 60:
        world.run(seconds=20)
    before = sizes_of(world)
    while (rounds := settled(world)) < ROUNDS:
        world.run(seconds=200)
        assert settled(world) > rounds
    record_property("rounds", settled(world))
    after = sizes_of(world)
    grown = {name: size for name, size in after.items() if size > before.get(name, 0) + 4}
    assert not grown
    assert descriptors() <= open_before


def settled(world: World) -> int:
    return len(world.models)
