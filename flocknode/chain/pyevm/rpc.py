"""The JSON-RPC methods that nodes, deployment and tests use; anything else is refused."""

from collections.abc import Callable, Mapping
from typing import Any

from eth.abc import BlockHeaderAPI
from eth_utils.exceptions import ValidationError

from flocknode.chain.pyevm.chain import Chain
from flocknode.chain.pyevm.engine import GAS_LIMIT, Block
from flocknode.chain.pyevm.refusal import INVALID_PARAMS, NO_METHOD, Refusal
from flocknode.primitives import Address, Digest, Wei

BATCH_MAX = 1000

Json = Any


class Rpc:
    """Answers requests; every method is a function of the chain and its parameters."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._engine = chain.engine
        self._methods: Mapping[str, Callable[..., Json]] = {
            "eth_chainId": lambda: hex(self._engine.chain_id),
            "eth_accounts": list,
            "eth_blockNumber": lambda: hex(self._engine.head.block_number),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockReceipts": self._block_receipts,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionCount": self._nonce,
            "eth_getBalance": lambda who, at: hex(self._state(at).get_balance(_bytes(who, 20))),
            "eth_getCode": lambda who, at: _hex(self._state(at).get_code(_bytes(who, 20))),
            "eth_getLogs": self._logs,
            "eth_call": self._call,
            "eth_sendRawTransaction": lambda raw: _hex(self._chain.send(_bytes(raw))),
            "anvil_setBalance": self._set_balance,
            "evm_increaseTime": self._increase_time,
        }

    def answer(self, request: Json) -> Json:
        """Answer one request or a batch of them."""
        if isinstance(request, list):
            if not 0 < len(request) <= BATCH_MAX:
                return _failure(None, Refusal("a batch of that size"))
            return [self._answer(one) for one in request]
        return self._answer(request)

    def _answer(self, request: Json) -> Json:
        asked = request if isinstance(request, dict) else {}
        number, name, params = asked.get("id"), asked.get("method"), asked.get("params") or []
        if not isinstance(name, str) or name not in self._methods:
            return _failure(number, Refusal(f"the method {name} does not exist", NO_METHOD))
        try:
            return {"jsonrpc": "2.0", "id": number, "result": self._methods[name](*params)}
        except Refusal as refusal:
            return _failure(number, refusal)
        except (AttributeError, LookupError, TypeError, ValueError, ValidationError) as error:
            return _failure(number, Refusal(f"invalid parameters: {error}", INVALID_PARAMS))

    def _number(self, at: str) -> int:
        """Return the number that a block parameter stands for; raises Refusal if there is none."""
        head = self._engine.head.block_number
        named = {"latest": head, "pending": head, "earliest": 0}
        named |= dict.fromkeys(("finalized", "safe"), self._chain.final)
        number = named[at] if at in named else int(at, 16)
        if not 0 <= number <= head:
            raise Refusal("unknown block")
        return number

    def _state(self, at: str) -> Json:
        return self._engine.state(self._number(at))

    def _block_by_number(self, at: str, _full: bool = False) -> Json:
        is_future = at.startswith("0x") and int(at, 16) > self._engine.head.block_number
        return None if is_future else describe_block(self._engine.blocks[self._number(at)])

    def _block_receipts(self, at: str) -> Json:
        block = self._engine.blocks[self._number(at)]
        return [describe_receipt(block, index) for index in range(len(block.mined))]

    def _receipt(self, digest: str) -> Json:
        place = self._engine.places.get(Digest(_bytes(digest, 32)))
        return None if place is None else describe_receipt(self._engine.blocks[place[0]], place[1])

    def _nonce(self, who: str, at: str) -> str:
        account = Address(_bytes(who, 20))
        nonce = self._state(at).get_nonce(account)
        return hex(self._chain.pool.next_nonce(account, nonce) if at == "pending" else nonce)

    def _logs(self, wanted: Mapping[str, Json]) -> Json:
        """Give logs by block hash or range, and address; topics are not filtered."""
        if wanted.get("topics"):
            raise Refusal("this chain does not filter topics", INVALID_PARAMS)
        asked = wanted.get("address", [])
        addresses = {_bytes(one, 20) for one in ([asked] if isinstance(asked, str) else asked)}
        return [
            log
            for block in self._logged_blocks(wanted)
            for index, mined in enumerate(block.mined)
            for log, one in zip(describe_logs(block, index), mined.receipt.logs, strict=True)
            if not addresses or one.address in addresses
        ]

    def _logged_blocks(self, wanted: Mapping[str, Json]) -> list[Block]:
        blocks = self._engine.blocks
        if "blockHash" in wanted:
            number = self._engine.numbers.get(Digest(_bytes(wanted["blockHash"], 32)))
            if number is None:
                raise Refusal("unknown block")
            return [blocks[number]]
        first, last = (wanted.get(name, "latest") for name in ("fromBlock", "toBlock"))
        return blocks[self._number(first) : self._number(last) + 1]

    def _call(self, call: Mapping[str, Json], at: str = "latest") -> str:
        to = call.get("to")
        output = self._engine.call(
            self._number(at),
            sender=Address(_bytes(call.get("from") or "0x" + "00" * 20, 20)),
            to=None if to is None else Address(_bytes(to, 20)),
            value=Wei(int(call.get("value") or "0x0", 16)),
            gas=int(call.get("gas") or hex(GAS_LIMIT), 16),
            data=_bytes(call.get("data") or call.get("input") or "0x"),
        )
        return _hex(output)

    def _set_balance(self, who: str, amount: str) -> None:
        self._chain.mine({Address(_bytes(who, 20)): Wei(int(amount, 16))})

    def _increase_time(self, seconds: int | str) -> str:
        skip = int(seconds, 16) if isinstance(seconds, str) else int(seconds)
        self._chain.skipped_seconds += max(0, skip)
        return hex(self._chain.skipped_seconds)


def describe_block(block: Block) -> Json:
    header = block.header
    numbers = {
        "number": header.block_number,
        "gasLimit": header.gas_limit,
        "gasUsed": header.gas_used,
        "timestamp": header.timestamp,
        "baseFeePerGas": header.base_fee_per_gas,
        "difficulty": header.difficulty,
        "blobGasUsed": header.blob_gas_used,
        "excessBlobGas": header.excess_blob_gas,
    }
    digests = {
        "hash": header.hash,
        "parentHash": header.parent_hash,
        "sha3Uncles": header.uncles_hash,
        "miner": header.coinbase,
        "extraData": header.extra_data,
        "nonce": header.nonce,
        "withdrawalsRoot": header.withdrawals_root,
        "parentBeaconBlockRoot": header.parent_beacon_block_root,
        "requestsHash": header.requests_hash,
        "stateRoot": header.state_root,
        "transactionsRoot": header.transaction_root,
        "receiptsRoot": header.receipt_root,
        "mixHash": header.mix_hash,
    }
    return {
        **{name: hex(value) for name, value in numbers.items()},
        **{name: _hex(value) for name, value in digests.items()},
        "logsBloom": _bloom(header.bloom),
        "transactions": [_hex(one.transaction.hash) for one in block.mined],
    }


def describe_receipt(block: Block, index: int) -> Json:
    mined = block.mined[index]
    sent, receipt = mined.transaction, mined.receipt
    fee = block.header.base_fee_per_gas
    price = min(sent.max_fee_per_gas, fee + sent.max_priority_fee_per_gas)
    return {
        **_place(block.header),
        "transactionHash": _hex(sent.hash),
        "transactionIndex": hex(index),
        "type": hex(sent.type_id or 0),
        "from": _hex(sent.sender),
        "to": _hex(sent.to) if sent.to else None,
        "contractAddress": _hex(mined.created) if mined.created else None,
        "status": "0x1" if receipt.state_root == b"\x01" else "0x0",
        "gasUsed": hex(mined.gas_used),
        "cumulativeGasUsed": hex(receipt.gas_used),
        "effectiveGasPrice": hex(price),
        "logsBloom": _bloom(receipt.bloom),
        "logs": describe_logs(block, index),
    }


def describe_logs(block: Block, index: int) -> list[Json]:
    mined = block.mined[index]
    common = {
        **_place(block.header),
        "transactionHash": _hex(mined.transaction.hash),
        "transactionIndex": hex(index),
        "removed": False,
    }
    return [
        {
            **common,
            "logIndex": hex(mined.first_log + position),
            "address": _hex(log.address),
            "topics": [f"0x{topic:064x}" for topic in log.topics],
            "data": _hex(log.data),
        }
        for position, log in enumerate(mined.receipt.logs)
    ]


def _place(header: BlockHeaderAPI) -> dict[str, str]:
    return {"blockHash": _hex(header.hash), "blockNumber": hex(header.block_number)}


def _failure(number: Json, refusal: Refusal) -> Json:
    error: dict[str, Json] = {"code": refusal.code, "message": refusal.message}
    if refusal.data is not None:
        error["data"] = refusal.data
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _bytes(text: str, length: int | None = None) -> bytes:
    """Read 0x-hex; raises ValueError for another length."""
    if not text.startswith("0x"):
        raise ValueError("no 0x before the hex digits")
    found = bytes.fromhex(text[2:])
    if length is not None and len(found) != length:
        raise ValueError(f"{len(found)} bytes instead of {length}")
    return found


def _hex(data: bytes) -> str:
    return "0x" + bytes(data).hex()


def _bloom(bloom: int) -> str:
    return f"0x{bloom:0512x}"
