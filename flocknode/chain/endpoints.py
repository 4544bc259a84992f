"""Several endpoints of one chain behind one face: the first that works is asked, and kept to.

An endpoint that does not answer, serves another chain or stands still rests, and comes back by
itself after a jittered pause; it is checked before it serves, the first time and every time.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import TypeVar

import trio

from flocknode.chain.client import ChainClient, Json, Request
from flocknode.chain.errors import EndpointUnreachable, RpcFailed, reading
from flocknode.errors import FlockError

WATCH_SECONDS = 5.0
REST_SECONDS_MAX = 60.0
STALLED_SECONDS = 30.0
STALLED_BLOCKS = 3
"""How far behind, and for how long without a block, an endpoint may be while another goes on."""

Answer = TypeVar("Answer")
Ask = Callable[[ChainClient], Awaitable[Answer]]

log = logging.getLogger("flocknode.chain")
_dice = SystemRandom()


@dataclass(slots=True)
class Standing:
    """What is known of one endpoint."""

    client: ChainClient
    serves: bool = False
    failures: int = 0
    due: float = 0.0
    """When a resting endpoint is tried again, in trio's time."""
    height: int = 0
    moved: float = 0.0
    """When ``height`` last grew."""


class Endpoints:
    """Calls go to the first endpoint of the list that serves; the order is the operator's."""

    def __init__(self, clients: Sequence[ChainClient], check: Ask[None]) -> None:
        """``check`` raises ConfigurationError or UnavailableError for an endpoint not to use."""
        self._standings = [Standing(client) for client in clients]
        self._check = check
        self.names = tuple(client.name for client in clients)

    async def open(self) -> None:
        """Check every endpoint; raises for a wrong one, and if none answers."""
        failures: list[EndpointUnreachable] = []

        async def admit(standing: Standing) -> None:
            try:
                await self._admit(standing)
            except EndpointUnreachable as error:
                failures.append(error)
                self._rest(standing, error)

        async with trio.open_nursery() as nursery:
            for standing in self._standings:
                nursery.start_soon(admit, standing)
        if len(failures) == len(self._standings):
            raise failures[0]

    async def run(self) -> None:
        """Watch the endpoints until cancelled."""
        while True:
            await trio.sleep(WATCH_SECONDS * _dice.uniform(0.5, 1.0))
            async with trio.open_nursery() as nursery:
                for standing in self._standings:
                    nursery.start_soon(self._look_at, standing)
            for standing in self._standings:
                if standing.serves and self._is_stalled(standing):
                    self._rest(standing, f"no new block above {standing.height}, others have them")

    async def call(self, method: str, *params: Json) -> Json:
        """Return the result of one call; raises what the last endpoint failed with."""
        return await self._ask(lambda client: client.call(method, *params))

    async def batch(self, calls: Sequence[Request]) -> list[Json]:
        """Return the results of several calls, all of one endpoint."""
        return await self._ask(lambda client: client.batch(calls))

    async def ask_each(self, ask: Ask[Answer]) -> dict[str, Answer]:
        """Ask all that serve at once; who fails is left out of the answers, by name."""
        answers: dict[str, Answer] = {}

        async def one(standing: Standing) -> None:
            try:
                answers[standing.client.name] = await ask(standing.client)
            except EndpointUnreachable as error:
                self._rest(standing, error)
            except FlockError as error:
                log.warning("endpoint %s: %s", standing.client.name, error)

        async with trio.open_nursery() as nursery:
            for standing in self._standings:
                if standing.serves:
                    nursery.start_soon(one, standing)
        return answers

    async def _ask(self, ask: Ask[Answer]) -> Answer:
        failure: FlockError | None = None
        for standing in sorted(self._standings, key=lambda it: not it.serves):
            try:
                if not standing.serves:
                    await self._admit(standing)
                return await ask(standing.client)
            except RpcFailed as error:
                if not error.blames_endpoint:
                    raise
                failure = error
            except FlockError as error:
                if standing.serves and not isinstance(error, EndpointUnreachable):
                    raise
                failure = error
                self._rest(standing, error)
        assert failure is not None
        raise failure

    async def _admit(self, standing: Standing) -> None:
        """Let an endpoint serve if it passes the check and keeps up with the others."""
        await self._check(standing.client)
        await self._measure(standing)
        if self._is_stalled(standing):
            raise EndpointUnreachable(standing.client.name, "its chain stands still")
        if standing.failures:
            log.info("endpoint %s serves again", standing.client.name)
        standing.serves, standing.failures = True, 0

    async def _look_at(self, standing: Standing) -> None:
        try:
            if standing.serves:
                await self._measure(standing)
            elif trio.current_time() >= standing.due:
                await self._admit(standing)
        except RpcFailed as error:
            log.warning("endpoint %s: %s", standing.client.name, error)
        except FlockError as error:
            self._rest(standing, error)

    async def _measure(self, standing: Standing) -> None:
        answer = await standing.client.call("eth_blockNumber")
        with reading("a block number"):
            height = int(answer, 16)
        if height > standing.height:
            standing.height, standing.moved = height, trio.current_time()

    def _is_stalled(self, standing: Standing) -> bool:
        """Tell whether others go on without it; a chain that stands still for all is no fault."""
        long_ago = trio.current_time() - STALLED_SECONDS
        return standing.moved < long_ago and any(
            other.moved > long_ago and other.height > standing.height + STALLED_BLOCKS
            for other in self._standings
        )

    def _rest(self, standing: Standing, cause: object) -> None:
        if standing.serves or not standing.failures:
            log.warning("endpoint %s rests: %s", standing.client.name, cause)
        standing.serves = False
        standing.failures += 1
        pause = min(REST_SECONDS_MAX, 2.0 ** min(standing.failures, 10))
        standing.due = trio.current_time() + pause * _dice.uniform(0.5, 1.0)
