"""A block counts as final once another endpoint reports the same events in it, and none others.

An endpoint may hide a log, or show one that the chain does not have: its node would then sign, or
open what must stay closed, for a set that was never accepted. So every endpoint that serves is
asked for the logs of every final block. One that lies alone is outvoted by two that agree; where
only one word stands against another nothing becomes final until they agree.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Final, Self

import trio

from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient
from flocknode.chain.endpoints import Endpoints
from flocknode.chain.errors import EndpointUnreachable, MalformedAnswer, RpcFailed, reading
from flocknode.chain.heads import read_header
from flocknode.protocol.ledger import Block, ChainProgress, LedgerEvent

BLOCKS_MAX: Final = 500
"""Asked about at once: providers limit the blocks of an answer, most of them to more."""
VOTES_MIN: Final = 2
PATIENCE_SECONDS: Final = 30.0
"""How long final blocks may wait for an endpoint that is behind before the operator is told."""

Events = Mapping[int, tuple[LedgerEvent, ...]]
"""By block number; a block without events is left out."""

log = logging.getLogger("flocknode.chain")
_HELD: Final = "nothing is final until the endpoints agree"


class Witnesses:
    """Asks every endpoint that serves for events, the one that is followed included."""

    def __init__(self, endpoints: Endpoints, bindings: Bindings) -> None:
        self._endpoints = endpoints
        self._bindings = bindings
        self._addresses = ["0x" + it.hex() for it in bindings.deployment.addresses.values()]

    async def ask(self, first: int, last: int) -> dict[str, Events | None]:
        """Return the events of the blocks ``first`` to ``last`` by endpoint that answers.

        None stands for one that does not hold ``last`` final yet.
        """

        async def report(client: ChainClient) -> Events | None:
            return await self._report(client, first, last)

        return await self._endpoints.ask_each(report)

    async def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """Return final blocks without their events."""
        requests = [("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
        headers = map(read_header, await self._endpoints.batch(requests))
        return [Block(it.number, it.digest, it.parent, it.timestamp, ()) for it in headers]

    async def _report(self, client: ChainClient, first: int, last: int) -> Events | None:
        wanted = {"fromBlock": hex(first), "toBlock": hex(last), "address": self._addresses}
        final, logs = await client.batch(
            [("eth_getBlockByNumber", ("finalized", False)), ("eth_getLogs", (wanted,))]
        )
        if read_header(final).number < last:
            return None
        events: dict[int, tuple[LedgerEvent, ...]] = {}
        with reading("a log"):
            placed = [(int(one["blockNumber"], 16), int(one["logIndex"], 16)) for one in logs]
            for (number, _), one in sorted(zip(placed, logs, strict=True), key=lambda it: it[0]):
                event = self._bindings.decode(one)
                if event is not None:
                    events[number] = (*events.get(number, ()), event)
        return events


class WitnessedProgress:
    """Progress of which nothing is final that the witnesses contradict."""

    def __init__(
        self, progress: AsyncIterator[ChainProgress], witnesses: Witnesses, start: int
    ) -> None:
        self._progress = progress
        self._witnesses = witnesses
        self._above: list[Block] = []
        """Blocks told above the newest that nobody contradicts."""
        self._final = start - 1
        self._waits_since = inf
        self._said: tuple[int, str] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChainProgress:
        progress = await anext(self._progress)
        if progress.undone_to is not None:
            self._above = [block for block in self._above if block.number <= progress.undone_to]
        self._above += progress.blocks
        before, settled, is_mended = self._final, list[Block](), False
        while self._final < progress.final:
            last = min(progress.final, self._final + BLOCKS_MAX)
            told = [block for block in self._above if block.number <= last]
            believed = await self._believed(last, _events(told))
            if believed is None:
                break
            if believed != _events(told):
                try:
                    told, is_mended = await self._mended(told, believed), True
                except (EndpointUnreachable, RpcFailed, MalformedAnswer):
                    break  # with the next block it is asked again
            settled += told
            self._above = [block for block in self._above if block.number > last]
            self._final = last
        if is_mended:
            return ChainProgress(before, (*settled, *self._above), self._final)
        return replace(progress, final=self._final)

    async def _believed(self, last: int, told: Events) -> Events | None:
        """Return the events up to ``last`` that the endpoints vouch for; None while they do not."""
        reports = await self._witnesses.ask(self._final + 1, last)
        others = [name for name, events in reports.items() if events not in (None, told)]
        if others:
            believed = _majority(reports)
            outcome = _HELD if believed is None else "what most endpoints report counts"
            self._say(last, f"{_names(others)} report other events than were followed; {outcome}")
            return believed
        behind = [name for name, events in reports.items() if events is None]
        if len(reports) - len(behind) >= min(VOTES_MIN, len(reports)):
            self._waits_since = inf
            return told
        self._waits_since = min(self._waits_since, trio.current_time())
        if trio.current_time() - self._waits_since >= PATIENCE_SECONDS:
            self._say(last, f"{_names(behind)} do not have them as final; {_HELD}")
        return None

    def _say(self, last: int, line: str) -> None:
        """Log a line once: the question comes again with every block."""
        if self._said != (self._final, line):
            log.warning("blocks %d to %d: %s", self._final + 1, last, line)
        self._said = self._final, line

    async def _mended(self, told: Sequence[Block], believed: Events) -> list[Block]:
        """Return the blocks with the events that are believed."""
        unknown = sorted(believed.keys() - {block.number for block in told})
        blocks = [*told, *(await self._witnesses.blocks(unknown) if unknown else ())]
        blocks.sort(key=lambda block: block.number)
        return [replace(block, events=believed.get(block.number, ())) for block in blocks]


def _events(blocks: Sequence[Block]) -> Events:
    return {block.number: block.events for block in blocks if block.events}


def _majority(reports: Mapping[str, Events | None]) -> Events | None:
    """Return what at least two endpoints, and more than half of all, report alike."""
    for events in reports.values():
        votes = sum(other == events for other in reports.values())
        if events is not None and votes >= VOTES_MIN and 2 * votes > len(reports):
            return events
    return None


def _names(endpoints: Sequence[str]) -> str:
    return " and ".join(sorted(endpoints))
