"""Connections to chains: the nodes of one process that ask the same endpoints share one.

Two dozen nodes that each ask for every block and decode it cost a fifth of a demo's time.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Self

import trio

from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient, Rpc
from flocknode.chain.deployment import Deployment, verify
from flocknode.chain.endpoints import Endpoints
from flocknode.chain.follower import Follower
from flocknode.chain.heads import Heads, followed
from flocknode.chain.logs import LogReader
from flocknode.errors import ConfigurationError

SHARED_CALL_SECONDS_MAX = 3.0
"""Deadline of a call that another endpoint can answer instead."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One deployment's chain: whom to ask, its newest blocks, and what its contracts logged."""

    client: Rpc
    heads: Heads
    bindings: Bindings
    logs: LogReader

    @classmethod
    def of(cls, client: Rpc, heads: Heads, bindings: Bindings) -> Self:
        addresses = list(bindings.deployment.addresses.values())
        return cls(client, heads, bindings, LogReader(client, addresses, bindings.decode))

    def follow(self) -> Follower:
        """Return an endless iterator from the deployment's first block."""
        start = self.bindings.deployment.block
        return Follower(self.client, self.heads, self.logs, start)


class Connections:
    """Opens a connection for its first user, and keeps it until ``opened`` ends."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._turn = trio.Lock()
        self._open: dict[tuple[tuple[str, ...], str, float], Connection] = {}

    @classmethod
    @asynccontextmanager
    async def opened(cls) -> AsyncIterator[Self]:
        async with trio.open_nursery() as nursery:
            yield cls(nursery)
            nursery.cancel_scope.cancel()

    async def to(
        self, urls: Sequence[str], deployment: Deployment, poll_seconds: float
    ) -> Connection:
        """Reach the endpoints and check the contracts, unless that was done.

        Raises ConfigurationError or UnavailableError.
        """
        key = (tuple(urls), json.dumps(deployment.content()), poll_seconds)
        async with self._turn:
            if key not in self._open:
                opening = partial(_hold, urls, deployment, poll_seconds)
                self._open[key] = await self._nursery.start(opening)
        return self._open[key]


async def _hold(
    urls: Sequence[str],
    deployment: Deployment,
    poll_seconds: float,
    task_status: "trio.TaskStatus[Connection]",  # type: ignore[name-defined]
) -> None:
    async with _reached(urls, deployment) as client, followed(client, poll_seconds) as heads:
        task_status.started(Connection.of(client, heads, Bindings(deployment)))
        await trio.sleep_forever()


@asynccontextmanager
async def _reached(urls: Sequence[str], deployment: Deployment) -> AsyncIterator[Rpc]:
    """Reach one endpoint, or several that stand in for one another."""
    if len(urls) == 1:
        async with ChainClient(urls[0]) as client:
            await verify(client, deployment)
            yield client
        return
    clients = [ChainClient(url, 1, SHARED_CALL_SECONDS_MAX) for url in urls]
    try:
        if len({client.name for client in clients}) < len(clients):
            raise ConfigurationError(
                "two endpoints in rpc are of one host: they cannot vouch for each other",
                "name endpoints of different hosts",
            )
        endpoints = Endpoints(clients, partial(verify, deployment=deployment))
        await endpoints.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(endpoints.run)
            yield endpoints
            nursery.cancel_scope.cancel()
    finally:
        for client in clients:
            client.close()
