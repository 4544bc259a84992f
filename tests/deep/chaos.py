"""A hostile wire between real nodes.

Latency, stalls and cuts are made by TCP proxies on loopback, one in front of every node. Messages
are lost at the sender's links: within one encrypted stream nothing can be lost without ending it.
"""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from flocknode.cli.assembly import Node
from flocknode.cli.node_config import load_node_config

CHUNK_BYTES = 64 << 10


@dataclass
class Weather:
    """How hostile the wire is, and what it has done so far."""

    seed: int
    latency_seconds: float = 0.08
    jitter_seconds: float = 0.02
    loss: float = 0.01
    stall_seconds: float = 3.0
    stalls_each_minute: float = 2.0
    """Of each connection."""
    cuts_each_minute: float = 1.0
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def delay(self) -> float:
        return self.latency_seconds + self.random.uniform(-1, 1) * self.jitter_seconds


class Proxy:
    """Stands in front of one node's port."""

    def __init__(self, target: int, weather: Weather) -> None:
        self._target = target
        self._weather = weather
        self.port = 0

    async def run(self, task_status=trio.TASK_STATUS_IGNORED) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._carry, [listener])

    async def _carry(self, near: trio.SocketStream) -> None:
        """Join two streams until one ends or the weather cuts both."""
        lifetime = self._weather.random.expovariate(self._weather.cuts_each_minute / 60)
        try:
            async with await trio.open_tcp_stream("127.0.0.1", self._target) as far:
                with trio.move_on_after(lifetime) as scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._pump, near, far, nursery.cancel_scope)
                        nursery.start_soon(self._pump, far, near, nursery.cancel_scope)
                self._weather.done["cuts"] += scope.cancelled_caught
        except OSError:
            await near.aclose()

    async def _pump(
        self, source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope
    ) -> None:
        """Carry one direction; bytes keep their order."""
        send, receive = trio.open_memory_channel[tuple[float, bytes]](1_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver, receive, sink)
            try:
                async for data in source:
                    await send.send((trio.current_time() + self._weather.delay(), bytes(data)))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            both.cancel()

    async def _deliver(
        self, receive: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream
    ) -> None:
        weather = self._weather
        until_stall = weather.random.expovariate(weather.stalls_each_minute / 60)
        stall_at = trio.current_time() + until_stall
        try:
            async for due, data in receive:
                if trio.current_time() > stall_at:
                    weather.done["stalls"] += 1
                    await trio.sleep(weather.stall_seconds)
                    stall_at = float("inf")
                await trio.sleep_until(due)
                await sink.send_all(data)
                weather.done["chunks"] += 1
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


async def stand_between(ports: Mapping[Path, int], weather: Weather, nursery: trio.Nursery) -> None:
    """Put a proxy in front of every node and let all directories name the proxies."""
    proxies = {}
    for port in ports.values():
        proxies[port] = Proxy(port, weather)
        await nursery.start(proxies[port].run)
    for directory in ports:
        config = load_node_config(directory)
        links, neighbours = (
            tuple(_through(address, proxies) for address in addresses)
            for addresses in (config.links, config.neighbours)
        )
        replace(config, links=links, neighbours=neighbours).save(directory)


def lose_messages(node: Node, weather: Weather) -> None:
    """Let what the node sends over its links get lost now and then."""
    send = node.network.send

    def unreliable(peer, payload):
        if weather.random.random() < weather.loss:
            weather.done["lost"] += 1
            return True
        weather.done["sent"] += 1
        return send(peer, payload)

    node.network.send = unreliable


def _through(address: str, proxies: Mapping[int, Proxy]) -> str:
    parts = address.split("/")
    place = parts.index("tcp") + 1
    parts[place] = str(proxies[int(parts[place])].port)
    return "/".join(parts)
