"""Follows the chain block by block: no event is lost or told twice, whatever reorganises.

Every block is linked to the one before by its parent hash, and logs are asked for by block hash,
so a reorganisation between two questions shows as a broken link or as an unknown block. Blocks
whose bloom filter excludes our contracts are not asked for logs at all (Yellow Paper, 4.3.1).
"""

from collections.abc import Callable, Sequence
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
from flocknode.crypto.hashing import keccak256
from flocknode.primitives import Address, Digest
from flocknode.protocol.ledger import Block, ChainProgress, LedgerEvent

STEP_BLOCKS_MAX = 64
"""Blocks taken in one step; above that, final blocks are read as a range."""
RANGE_BLOCKS_MAX = 2000
KEPT_BLOCKS_MAX = 4096
RETRY_SECONDS = 0.5
RETRY_SECONDS_MAX = 8.0
EMPTY_ANSWERS_MAX = 3
SPARSE_BITS_MAX = 256
"""Of 2048 bits set in a bloom filter: below, one of a thousand blocks only seems to name us."""

Decode = Callable[[Json], LedgerEvent | None]


class Follower:
    """An endless iterator over what the chain did from block ``start`` on.

    While far behind, progress names only blocks with events and the last block of each range;
    from then on every block.
    """

    def __init__(
        self,
        client: Rpc,
        heads: Heads,
        addresses: Sequence[Address],
        decode: Decode,
        start: int,
    ) -> None:
        self._client = client
        self._heads = heads
        self._addresses = ["0x" + address.hex() for address in addresses]
        self._blooms = [_bloom(address) for address in addresses]
        self._decode = decode
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
            raise HeadBehind(newest.number, self._kept[0].number)
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
        raise FinalityBroken(self._kept[0].number)

    async def _step(self, base: Header, newest: Header) -> tuple[list[Header], list[Block]] | None:
        last = min(newest.number, base.number + STEP_BLOCKS_MAX)
        between = await self._headers(range(base.number + 1, min(last + 1, newest.number)))
        headers = [header for header in between if header is not None]
        if last == newest.number > base.number:
            headers.append(newest)
        if len(headers) != max(last - base.number, 0) or not _are_linked(base, headers):
            return None
        events = await self._events(headers)
        if events is None:
            return None
        return headers, [_block(header, events.get(header.number, [])) for header in headers]

    async def _events(self, headers: Sequence[Header]) -> dict[int, list[LedgerEvent]] | None:
        """Return the events by block number, or None if a block is no longer known.

        An empty answer that the block's bloom filter contradicts is asked for again: endpoints
        know a block for a moment before they know its logs.
        """
        asked = [header for header in headers if self._may_have_logs(header)]
        events: dict[int, list[LedgerEvent]] = {}
        for attempt in range(EMPTY_ANSWERS_MAX):
            filters = [{"blockHash": _hex(one.digest), "address": self._addresses} for one in asked]
            try:
                answers = await self._client.batch([("eth_getLogs", (one,)) for one in filters])
            except RpcFailed:
                return None
            for header, logs in zip(asked, answers, strict=True):
                events[header.number] = self._decode_all(logs, header)
            asked = [
                header
                for header, logs in zip(asked, answers, strict=True)
                if not logs and header.bloom.bit_count() <= SPARSE_BITS_MAX
            ]
            if not asked:
                break
            await trio.sleep(RETRY_SECONDS / 4 * 2**attempt)
        return events

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
            raise FinalityBroken(last)
        blocks = [
            _block(one, self._decode_all(by_number.get(one.number, []), one)) for one in headers
        ]
        return headers[-1:], blocks

    async def _range_logs(self, first: int, end: int) -> tuple[list[Json], int]:
        """Return the logs from ``first`` on and how far they reach; halves what is too much.

        Endpoints limit the blocks, the logs or the time of an answer, each in words of its own.
        """
        while True:
            last = min(end, first + self._span - 1)
            bounds = {"fromBlock": hex(first), "toBlock": hex(last), "address": self._addresses}
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

    def _may_have_logs(self, header: Header) -> bool:
        return any(header.bloom & bloom == bloom for bloom in self._blooms)

    def _decode_all(self, logs: Sequence[Json], header: Header) -> list[LedgerEvent]:
        """Decode a block's logs; raises MalformedAnswer for one of another block."""
        with reading("a log"):
            if any(log["blockHash"] != _hex(header.digest) for log in logs):
                raise MalformedAnswer("a log is of another block of the same number")
            ordered = sorted(logs, key=lambda log: int(log["logIndex"], 16))
            return [event for log in ordered if (event := self._decode(log)) is not None]

    def _keep(self, base: Header, headers: Sequence[Header], final: Header) -> None:
        kept = [header for header in self._kept if header.number <= base.number] + [*headers]
        if kept[-1].number <= final.number:
            self._final = kept[-1].number
        elif any(header.digest == final.digest for header in kept):
            self._final = final.number
        self._kept = [it for it in kept if it.number >= self._final][-KEPT_BLOCKS_MAX:]


def _hex(digest: Digest) -> str:
    return "0x" + digest.hex()


def _bloom(address: Address) -> int:
    digest = keccak256(address)
    bits = (int.from_bytes(digest[index : index + 2], "big") % 2048 for index in (0, 2, 4))
    return sum({1 << bit for bit in bits})


def _are_linked(base: Header, headers: Sequence[Header]) -> bool:
    chain = [base, *headers]
    return all(child.parent == parent.digest for parent, child in pairwise(chain))


def _block(header: Header, events: Sequence[LedgerEvent]) -> Block:
    return Block(header.number, header.digest, header.parent, header.timestamp, tuple(events))
