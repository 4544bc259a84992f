"""Follows the chain block by block: no event is lost or told twice, whatever reorganises.

Every block is linked to the one before by its parent hash, and logs are asked for by block hash,
so a reorganisation between two questions shows as a broken link or as an unknown block.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from typing import Self

import trio

from flocknode.chain.client import Json, Rpc
from flocknode.chain.errors import (
    EndpointUnreachable,
    FinalityBroken,
    HeadBehind,
    MalformedAnswer,
    RpcFailed,
    reading,
)
from flocknode.chain.heads import OUTAGE_SECONDS_MAX, Header, Heads, read_header
from flocknode.chain.logs import LogReader
from flocknode.protocol.ledger import Block, ChainProgress, LedgerEvent

STEP_BLOCKS_MAX = 64
"""Blocks taken in one step; above that, final blocks are read as a range."""
RANGE_BLOCKS_MAX = 2000
KEPT_BLOCKS_MAX = 4096
RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 8.0


class Follower:
    """An endless iterator over what the chain did from block ``start`` on.

    While far behind, progress names only blocks with events and the last block of each range;
    from then on every block.
    """

    def __init__(
        self,
        client: Rpc,
        heads: Heads,
        logs: LogReader,
        start: int,
    ) -> None:
        self._client = client
        self._heads = heads
        self._logs = logs
        self._start = start
        self._kept: list[Header] = []
        """From the newest block known as final to the tip that was told last."""
        self._final = 0
        self._span = RANGE_BLOCKS_MAX

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChainProgress:
        """Wait for the next change.

        Raises FinalityBroken if a final block was undone, and what failed if an outage lasts.
        """
        if not self._kept:
            self._kept.append(await self._anchor())
        seen, failing_since, pause = self._kept[-1].digest, inf, RETRY_SECONDS
        while True:
            newest = await self._heads.beyond(seen)
            try:
                progress = await self._advance(newest, self._heads.final)
            except (EndpointUnreachable, RpcFailed, MalformedAnswer, HeadBehind):
                failing_since = min(failing_since, trio.current_time())
                if trio.current_time() - failing_since > OUTAGE_SECONDS_MAX:
                    raise
                await trio.sleep(pause)
                pause = min(2 * pause, RETRY_SECONDS_MAX)
                continue
            if progress is not None:
                return progress
            seen, failing_since, pause = newest.digest, inf, RETRY_SECONDS

    async def _anchor(self) -> Header:
        """Return the block before the first; the genesis block has no logs and needs none."""
        number = max(self._start - 1, 0)
        if self._heads.newest.number < number:
            raise FinalityBroken(number)
        (anchor,) = await self._headers([number])
        if anchor is None:
            raise FinalityBroken(number)
        return anchor

    async def _advance(self, newest: Header, final: Header) -> ChainProgress | None:
        """Take one step towards ``newest``, or none if the chain moved under the questions."""
        tip = self._kept[-1]
        if newest.number < self._kept[0].number:
            raise HeadBehind(self._kept[0].number)
        if any(newest.digest == header.digest for header in self._kept):
            return self._finalised(final)  # A slower endpoint answered: nothing was undone.
        base = tip if newest.parent == tip.digest else await self._fork_point()
        is_far = final.number - base.number > STEP_BLOCKS_MAX
        taken = await (self._range(base, final) if is_far else self._step(base, newest))
        if taken is None:
            return None
        headers, blocks = taken
        if base is tip and not headers:
            return None
        self._keep(base, headers, final)
        undone_to = None if base is tip else base.number
        return ChainProgress(undone_to, tuple(blocks), self._final)

    def _finalised(self, final: Header) -> ChainProgress | None:
        """Tell of blocks that became final without a new one."""
        before = self._final
        self._keep(self._kept[-1], (), final)
        return ChainProgress(None, (), self._final) if self._final > before else None

    async def _fork_point(self) -> Header:
        """Return the newest block told so far that the chain still holds."""
        (same,) = await self._headers([self._kept[-1].number])
        if same is not None and same.digest == self._kept[-1].digest:
            return self._kept[-1]
        canonical = await self._headers([header.number for header in self._kept])
        for ours, theirs in zip(reversed(self._kept), reversed(canonical), strict=True):
            if theirs is not None and theirs.digest == ours.digest:
                return ours
        if canonical[0] is None:  # A slower endpoint answered: it has no block of that number yet.
            raise HeadBehind(self._kept[0].number)
        raise FinalityBroken(self._kept[0].number)

    async def _step(self, base: Header, newest: Header) -> tuple[list[Header], list[Block]] | None:
        last = min(newest.number, base.number + STEP_BLOCKS_MAX)
        between = await self._headers(range(base.number + 1, min(last + 1, newest.number)))
        headers = [header for header in between if header is not None]
        if last == newest.number > base.number:
            headers.append(newest)
        if len(headers) != max(last - base.number, 0) or not _are_linked(base, headers):
            return None
        events = await self._logs.of(headers)
        if events is None:
            return None
        return headers, [_block(header, events.get(header.number, [])) for header in headers]

    async def _range(self, base: Header, final: Header) -> tuple[list[Header], list[Block]]:
        """Read final blocks by a range of numbers; they cannot move, so no hash is needed."""
        first = base.number + 1
        logs, last = await self._range_logs(first, final.number)
        by_number: dict[int, list[Json]] = {}
        with reading("a log"):
            for log in logs:
                by_number.setdefault(int(log["blockNumber"], 16), []).append(log)
        numbers = sorted({*by_number, last})
        if numbers[0] < first or numbers[-1] > last:
            raise MalformedAnswer("a log is of a block that was not asked for")
        headers = [header for header in await self._headers(numbers) if header is not None]
        if len(headers) != len(numbers):
            raise HeadBehind(last)
        blocks = [
            _block(one, self._logs.decode(by_number.get(one.number, []), one)) for one in headers
        ]
        return headers[-1:], blocks

    async def _range_logs(self, first: int, end: int) -> tuple[list[Json], int]:
        """Return the logs from ``first`` on and how far they reach; halves what is too much.

        Endpoints limit the blocks, the logs or the time of an answer, each in words of its own.
        """
        while True:
            last = min(end, first + self._span - 1)
            bounds = {
                "fromBlock": hex(first),
                "toBlock": hex(last),
                "address": self._logs.addresses,
            }
            try:
                logs = await self._client.call("eth_getLogs", bounds)
            except (RpcFailed, EndpointUnreachable) as error:
                self._span = max((last - first + 1) // 2, 1)
                if last == first or isinstance(error, EndpointUnreachable):
                    raise
            else:
                self._span = min(2 * self._span, RANGE_BLOCKS_MAX)
                return logs, last

    async def _headers(self, numbers: Sequence[int]) -> list[Header | None]:
        requests = [("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
        answers = await self._client.batch(requests)
        return [None if answer is None else read_header(answer) for answer in answers]

    def _keep(self, base: Header, headers: Sequence[Header], final: Header) -> None:
        kept = [header for header in self._kept if header.number <= base.number] + [*headers]
        if kept[-1].number <= final.number:
            self._final = kept[-1].number
        elif any(header.digest == final.digest for header in kept):
            self._final = final.number
        self._kept = [it for it in kept if it.number >= self._final][-KEPT_BLOCKS_MAX:]


def _are_linked(base: Header, headers: Sequence[Header]) -> bool:
    chain = [base, *headers]
    return all(child.parent == parent.digest for parent, child in pairwise(chain))


def _block(header: Header, events: Sequence[LedgerEvent]) -> Block:
    return Block(header.number, header.digest, header.parent, header.timestamp, tuple(events))
