"""Measure one process with 12 trainers and 12 validators: connecting, idling, gossip, links."""

import os
import random
import resource
import time
from pathlib import Path

import trio

from flocknode.messages.verdict import Verdict
from flocknode.p2p import Network
from flocknode.primitives import Digest, PeerId

TRAINERS, VALIDATORS = 12, 12
TOPIC = "bench"


class NoBlobs:
    def get(self, _root: Digest) -> None:
        return None


def accept(_author: PeerId, _topic: str, _payload: bytes) -> Verdict:
    return Verdict.ACCEPT


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def arrange(nodes: list[Network]) -> int:
    """Ask for all links and a gossip ring with one chord each; return the number of link ends."""
    at = [(node.peer, node.address) for node in nodes]
    trainers, validators = range(TRAINERS), range(TRAINERS, TRAINERS + VALIDATORS)
    chooser = random.Random(7)  # noqa: S311  # the same graph every time
    ends = 0
    for i, node in enumerate(nodes):
        ring = {(i + 1) % len(nodes), chooser.choice([j for j in range(len(nodes)) if j != i])}
        node.neighbours(dict(at[j] for j in ring))
        dialled = validators if i in trainers else [j for j in validators if j > i]
        node.keep(dict(at[j] for j in dialled))
        ends += 2 * len(dialled)
    return ends


async def until_ready(nodes: list[Network], ends: int) -> None:
    with trio.fail_after(60):
        while sum(  # noqa: ASYNC110  # readiness has no event
            len(node.linked()) for node in nodes
        ) < ends or any(len(node.mesh(TOPIC)) < 2 for node in nodes):
            await trio.sleep(0.02)


async def collect(nodes: list[Network], frames: int) -> None:
    """Wait until the nodes took ``frames`` frames together."""
    left = frames

    async def drain(node: Network, scope: trio.CancelScope) -> None:
        nonlocal left
        while True:
            await node.incoming.receive()
            left -= 1
            if left == 0:
                scope.cancel()

    with trio.move_on_after(20):
        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(drain, node, nursery.cancel_scope)
    if left:
        print(f"  {left} of {frames} frames missing")


async def measure_gossip(nodes: list[Network]) -> None:
    before, wall = cpu(), time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect, nodes, 14 * (len(nodes) - 1))
        for node in nodes[:14]:
            await node.publish(TOPIC, os.urandom(1600))
    elapsed = time.perf_counter() - wall
    await trio.sleep(0.25)
    print(f"gossip, 14 messages of 1.6 kB: {elapsed:.2f} s, {cpu() - before:.2f} s CPU")


async def measure_links(nodes: list[Network]) -> None:
    before, wall = cpu(), time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect, nodes, 108)
        for trainer in nodes[:TRAINERS]:
            for validator in nodes[TRAINERS : TRAINERS + 9]:
                assert trainer.send(validator.peer, os.urandom(3000))
    elapsed = time.perf_counter() - wall
    print(f"links, 108 frames of 3 kB: {elapsed:.2f} s, {cpu() - before:.2f} s CPU")


async def main() -> None:
    async with trio.open_nursery() as nursery:
        nodes = [
            Network(
                os.urandom(32),
                "/ip4/127.0.0.1/tcp/0",
                validate=accept,
                may_link=lambda _peer: True,
                blobs=NoBlobs(),
                topics=[TOPIC],
            )
            for _ in range(TRAINERS + VALIDATORS)
        ]
        started, before = time.perf_counter(), cpu()
        for node in nodes:
            await nursery.start(node.run)
        listening = time.perf_counter() - started
        ends = arrange(nodes)
        await until_ready(nodes, ends)
        elapsed = time.perf_counter() - started
        print(
            f"listen {listening:.2f} s; all connected {elapsed:.2f} s, {cpu() - before:.2f} s CPU"
        )
        for _ in range(3):
            await measure_gossip(nodes)
        for _ in range(3):
            await measure_links(nodes)
        before = cpu()
        await trio.sleep(5)
        print(f"idle {(cpu() - before) / 5:.1%} CPU; RSS {megabytes():.0f} MB")
        closing = time.perf_counter()
        nursery.cancel_scope.cancel()
    print(f"closed in {time.perf_counter() - closing:.2f} s")


if __name__ == "__main__":
    trio.run(main)
