"""A draw counts as final once enough endpoints report the same one, and none another.

One endpoint that lies could otherwise name a committee of its own keys, and be sent every seed.
"""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Self

from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient
from flocknode.chain.endpoints import Endpoints
from flocknode.chain.errors import reading
from flocknode.chain.heads import read_header
from flocknode.primitives import Digest
from flocknode.protocol.ledger import ChainProgress, CommitteeDrawn

ENDPOINTS_MIN = 2

log = logging.getLogger("flocknode.chain")


class Agreement:
    """Asks every endpoint that serves for a draw, the one that told of it included."""

    def __init__(self, endpoints: Endpoints, bindings: Bindings) -> None:
        self._endpoints = endpoints
        self._bindings = bindings
        self._needed = min(ENDPOINTS_MIN, len(endpoints.names))
        self._said: str | None = None

    async def holds(self, drawn: CommitteeDrawn, number: int) -> bool:
        """Tell whether enough endpoints hold block ``number`` final, with this very draw in it."""

        async def report(client: ChainClient) -> list[CommitteeDrawn] | None:
            return await self._report(client, drawn, number)

        reports = await self._endpoints.ask_each(report)
        same = sorted(name for name, found in reports.items() if found == [drawn])
        other = sorted(name for name, found in reports.items() if found not in (None, [drawn]))
        if other:
            self._say(
                f"round {drawn.round}, attempt {drawn.attempt}: {' and '.join(other)} report"
                f" another draw than was followed (confirmed by {' and '.join(same) or 'nobody'});"
                " no part is taken in it"
            )
        elif len(same) < self._needed:
            self._say(
                f"round {drawn.round}, attempt {drawn.attempt}: {len(same)} of the {self._needed}"
                " endpoints that must confirm the draw do so; no part is taken in it before"
            )
        return not other and len(same) >= self._needed

    async def _report(
        self, client: ChainClient, drawn: CommitteeDrawn, number: int
    ) -> list[CommitteeDrawn] | None:
        """Return the attempt's draws in the block; None if the endpoint has not got there."""
        wanted = {
            "fromBlock": hex(number),
            "toBlock": hex(number),
            "address": "0x" + self._bindings.deployment.addresses["RoundManager"].hex(),
        }
        final, logs = await client.batch(
            [("eth_getBlockByNumber", ("finalized", False)), ("eth_getLogs", (wanted,))]
        )
        if read_header(final).number < number:
            return None
        with reading("a log"):
            events = [self._bindings.decode(one) for one in logs]
        attempt = (drawn.task, drawn.round, drawn.attempt)
        return [
            event
            for event in events
            if isinstance(event, CommitteeDrawn)
            and (event.task, event.round, event.attempt) == attempt
        ]

    def _say(self, line: str) -> None:
        """Log a line once: the question comes again with every block."""
        if line != self._said:
            log.warning("%s", line)
        self._said = line


class AgreedProgress:
    """Progress that names the task's newest final draw as doubted until the endpoints agree."""

    def __init__(
        self, progress: AsyncIterator[ChainProgress], agreement: Agreement, task: int
    ) -> None:
        self._progress = progress
        self._agreement = agreement
        self._task = task
        self._draws: list[tuple[int, CommitteeDrawn]] = []
        """By block: the newest final draw and those above it."""
        self._agreed: Digest | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChainProgress:
        progress = await anext(self._progress)
        newest = self._newest_final(progress)
        if newest is None or newest[1].ctx == self._agreed:
            return progress
        number, drawn = newest
        if not await self._agreement.holds(drawn, number):
            return replace(progress, doubted=drawn.ctx)
        self._agreed = drawn.ctx
        return progress

    def _newest_final(self, progress: ChainProgress) -> tuple[int, CommitteeDrawn] | None:
        if progress.undone_to is not None:
            self._draws = [one for one in self._draws if one[0] <= progress.undone_to]
        self._draws += [
            (block.number, event)
            for block in progress.blocks
            for event in block.events
            if isinstance(event, CommitteeDrawn) and event.task == self._task
        ]
        final = [one for one in self._draws if one[0] <= progress.final]
        self._draws = final[-1:] + self._draws[len(final) :]
        return final[-1] if final else None
