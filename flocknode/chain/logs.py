"""The events of blocks, asked for by block hash, and once for all that follow through one reader.

Blocks whose bloom filter excludes our contracts are not asked for at all (Yellow Paper, 4.3.1).
"""

from collections.abc import Callable, Sequence

import trio

from flocknode.chain.client import Json, Rpc
from flocknode.chain.errors import MalformedAnswer, RpcFailed, reading
from flocknode.chain.heads import Header
from flocknode.crypto.hashing import keccak256
from flocknode.primitives import Address, Digest
from flocknode.protocol.ledger import LedgerEvent

ANSWERS_MAX = 3
ANSWER_SECONDS = 0.125
SPARSE_BITS_MAX = 256
"""Of 2048 bits set in a bloom filter: below, one of a thousand blocks only seems to name us."""
REMEMBERED_BLOCKS_MAX = 256

Decode = Callable[[Json], LedgerEvent | None]


class LogReader:
    """Reads what some contracts logged; a block's hash fixes its logs, so the newest are kept."""

    def __init__(self, client: Rpc, addresses: Sequence[Address], decode: Decode) -> None:
        self.addresses = ["0x" + address.hex() for address in addresses]
        self._client = client
        self._blooms = [_bloom(address) for address in addresses]
        self._decode = decode
        self._remembered: dict[Digest, list[LedgerEvent]] = {}
        self._turn = trio.Lock()

    async def of(self, headers: Sequence[Header]) -> dict[int, list[LedgerEvent]] | None:
        """Return the events by block number, or None if a block is no longer known."""
        async with self._turn:
            found = {one.digest: it for one in headers if (it := self._known(one)) is not None}
            read = await self._read([one for one in headers if one.digest not in found])
        if read is None:
            return None
        found |= read
        return {one.number: found[one.digest] for one in headers}

    def decode(self, logs: Sequence[Json], header: Header) -> list[LedgerEvent]:
        """Decode a block's logs; raises MalformedAnswer for one of another block."""
        with reading("a log"):
            if any(log["blockHash"] != _hex(header.digest) for log in logs):
                raise MalformedAnswer("a log is of another block of the same number")
            ordered = sorted(logs, key=lambda log: int(log["logIndex"], 16))
            return [event for log in ordered if (event := self._decode(log)) is not None]

    async def _read(self, asked: list[Header]) -> dict[Digest, list[LedgerEvent]] | None:
        """Ask the endpoint.

        An empty answer that the block's bloom filter contradicts is asked for again: endpoints
        know a block for a moment before they know its logs.
        """
        events: dict[Digest, list[LedgerEvent]] = {}
        for attempt in range(ANSWERS_MAX):
            if not asked:
                break
            if attempt:
                await trio.sleep(ANSWER_SECONDS * 2 ** (attempt - 1))
            filters = [{"blockHash": _hex(one.digest), "address": self.addresses} for one in asked]
            try:
                answers = await self._client.batch([("eth_getLogs", (one,)) for one in filters])
            except RpcFailed:
                return None
            for header, logs in zip(asked, answers, strict=True):
                events[header.digest] = self.decode(logs, header)
            asked = [
                header
                for header, logs in zip(asked, answers, strict=True)
                if not logs and header.bloom.bit_count() <= SPARSE_BITS_MAX
            ]
        doubted = {header.digest for header in asked}
        self._remember({one: found for one, found in events.items() if one not in doubted})
        return events

    def _remember(self, read: dict[Digest, list[LedgerEvent]]) -> None:
        self._remembered |= read
        while len(self._remembered) > REMEMBERED_BLOCKS_MAX:
            del self._remembered[next(iter(self._remembered))]

    def _known(self, header: Header) -> list[LedgerEvent] | None:
        if not any(header.bloom & bloom == bloom for bloom in self._blooms):
            return []
        return self._remembered.get(header.digest)


def _hex(digest: Digest) -> str:
    return "0x" + digest.hex()


def _bloom(address: Address) -> int:
    digest = keccak256(address)
    bits = (int.from_bytes(digest[index : index + 2], "big") % 2048 for index in (0, 2, 4))
    return sum({1 << bit for bit in bits})
