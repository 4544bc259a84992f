"""Blocks as bytes that prove themselves: who knows the last one's hash can check all before it.

A header hashes to its block's name, names the block before it, and names its receipts by the root
of a trie (Yellow Paper, 4.3; fields by EIP-1559, 4895, 4844, 4788 and 7685). So logs need nobody's
word. Transactions and state are not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import rlp
from rlp.exceptions import RLPException

from flocknode.chain.client import ChainClient, Json
from flocknode.chain.errors import MalformedAnswer, MalformedBlock, reading
from flocknode.chain.trie import EMPTY_ROOT, Item, ordered_root
from flocknode.crypto.hashing import keccak256
from flocknode.primitives import Digest

BLOCK_BYTES_MAX: Final = 16 << 20
"""Of one block's header and receipts: 60 M gas buy less than 8 MB of logs."""
FETCHED_BLOCKS_MAX: Final = 50
"""Receipts asked for in one batch."""

_BYTES: Final = frozenset(
    {"extraData", "logsBloom", "miner", "mixHash", "nonce", "parentBeaconBlockRoot", "parentHash"}
    | {"receiptsRoot", "requestsHash", "sha3Uncles", "stateRoot", "transactionsRoot"}
    | {"withdrawalsRoot"}
)
_FIELDS: Final = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot"),
    *("logsBloom", "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData"),
    *("mixHash", "nonce", "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas"),
    *("parentBeaconBlockRoot", "requestsHash"),
)
"""In the order in which they are hashed; a chain of older rules lacks the last ones."""
_PARENT, _RECEIPTS_ROOT, _NUMBER, _HEADER_MIN = 0, 5, 8, 15


@dataclass(frozen=True, slots=True)
class ArchivedBlock:
    """A header and all receipts of its block, as the chain hashes them."""

    number: int
    digest: Digest
    parent: Digest
    header: bytes
    receipts: tuple[bytes, ...]

    @classmethod
    def build(cls, header: bytes, receipts: Sequence[bytes]) -> Self:
        """Check receipts against their header; raise ``MalformedBlock``."""
        fields = _decode(header)
        if not isinstance(fields, list) or len(fields) < _HEADER_MIN:
            raise MalformedBlock("its header is none")
        named = [fields[at] for at in (_PARENT, _RECEIPTS_ROOT, _NUMBER)]
        parent, root, number = _strings(named, "its header is none")
        if ordered_root(receipts) != root:
            raise MalformedBlock("its receipts are not the header's")
        place = int.from_bytes(number, "big")
        return cls(place, keccak256(header), Digest(parent), header, tuple(receipts))

    def to_bytes(self) -> bytes:
        return bytes(rlp.encode([self.header, list(self.receipts)]))

    def logs(self) -> list[list[Json]]:
        """Return the logs of each transaction, as JSON-RPC would tell them."""
        return [_logs(receipt) for receipt in self.receipts]


def read_block(data: bytes) -> ArchivedBlock:
    """Read what ``to_bytes`` wrote; raise ``MalformedBlock``."""
    match _decode(data):
        case [bytes() as header, [*receipts]]:
            return ArchivedBlock.build(header, _strings(receipts, "a receipt is none"))
        case _:
            raise MalformedBlock("it is no header with receipts")


async def fetch_blocks(client: ChainClient, first: int, last: int) -> list[ArchivedBlock]:
    """Return the blocks ``first`` to ``last``; raise ``MalformedAnswer`` for one that fails."""
    blocks: list[ArchivedBlock] = []
    for start in range(first, last + 1, FETCHED_BLOCKS_MAX):
        numbers = range(start, min(start + FETCHED_BLOCKS_MAX, last + 1))
        blocks += await _fetch(client, numbers)
    return blocks


async def _fetch(client: ChainClient, numbers: range) -> list[ArchivedBlock]:
    asked = [("eth_getBlockByNumber", (hex(number), False)) for number in numbers]
    described = await client.batch(asked)
    with reading("a block"):
        headers = [encode_header(one) for one in described]
        filled = [n for n, one in zip(numbers, described, strict=True) if _has_receipts(one)]
    answers = await client.batch([("eth_getBlockReceipts", (hex(number),)) for number in filled])
    with reading("a receipt"):
        encoded = [[encode_receipt(receipt) for receipt in answer] for answer in answers]
    receipts = dict(zip(filled, encoded, strict=True))
    try:
        pairs = zip(numbers, headers, strict=True)
        return [ArchivedBlock.build(header, receipts.get(number, [])) for number, header in pairs]
    except MalformedBlock as error:
        raise MalformedAnswer(f"a block is malformed: {error}") from error


def encode_header(block: Json) -> bytes:
    """Return the bytes that a block's hash is the hash of; raise ``ValueError`` if it is not."""
    header: bytes = rlp.encode([_field(name, block[name]) for name in _FIELDS if name in block])
    if keccak256(header) != bytes.fromhex(block["hash"][2:]):
        raise ValueError("its fields do not give its hash")
    return header


def encode_receipt(receipt: Json) -> bytes:
    """Return a receipt as the trie holds it (EIP-658, EIP-2718)."""
    logs = [
        [_bytes(log["address"]), [_bytes(topic) for topic in log["topics"]], _bytes(log["data"])]
        for log in receipt["logs"]
    ]
    status, gas = int(receipt["status"], 16), int(receipt["cumulativeGasUsed"], 16)
    body: bytes = rlp.encode([status, gas, _bytes(receipt["logsBloom"]), logs])
    kind = int(receipt.get("type", "0x0"), 16)
    return bytes([kind]) + body if kind else body


def _logs(receipt: bytes) -> list[Json]:
    body = receipt if receipt[:1] >= b"\xc0" else receipt[1:]
    match _decode(body):
        case [_status, _gas, _bloom, [*logs]]:
            return [_log(log) for log in logs]
        case _:
            raise MalformedBlock("a receipt is none")


def _log(log: Item) -> Json:
    match log:
        case [bytes() as address, [*topics], bytes() as data]:
            return {
                "address": "0x" + address.hex(),
                "topics": ["0x" + topic.hex() for topic in _strings(topics, "a log is none")],
                "data": "0x" + data.hex(),
            }
        case _:
            raise MalformedBlock("a log is none")


def _strings(items: Sequence[Item], refusal: str) -> list[bytes]:
    """Return items that are no lists."""
    strings = [item for item in items if isinstance(item, bytes)]
    if len(strings) < len(items):
        raise MalformedBlock(refusal)
    return strings


def _has_receipts(block: Json) -> bool:
    return _bytes(block["receiptsRoot"]) != EMPTY_ROOT


def _field(name: str, value: str) -> bytes | int:
    return _bytes(value) if name in _BYTES else int(value, 16)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _decode(data: bytes) -> Item:
    try:
        item: Item = rlp.decode(data)
    except (RLPException, RecursionError) as error:
        raise MalformedBlock("it is not RLP") from error
    return item
