"""A chain that survives its process: engine, pool, clock, and a journal that is replayed."""

import fcntl
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self

from eth.abc import SignedTransactionAPI
from eth.vm.forks.prague import PragueVM
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from flocknode.chain.pyevm.engine import GAS_LIMIT, Engine
from flocknode.chain.pyevm.pool import Pool
from flocknode.chain.pyevm.refusal import Refusal
from flocknode.primitives import Address, Digest, Wei

FOREVER = float("inf")
TYPE_MAX = 2
"""EIP-1559; blobs and delegations have no use here."""

Line = dict[str, Any]


class Chain:
    """Blocks are written to the journal before anybody can ask for them; the pool is not."""

    def __init__(self, engine: Engine, journal: BinaryIO, finality_blocks: int) -> None:
        self.engine = engine
        self.pool = Pool()
        self.skipped_seconds = max(0, engine.head.timestamp - int(time.time()))
        self._journal = journal
        self._finality_blocks = finality_blocks

    @classmethod
    def open(cls, path: Path, chain_id: int, finality_blocks: int) -> Self:
        """Replay the journal at ``path``, or start one; raises OSError or ValueError.

        A line that its writer did not finish belongs to a block that nobody saw.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        journal = path.open("a+b")
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        journal.seek(0)
        whole, newline, _torn = journal.read().rpartition(b"\n")
        journal.truncate(len(whole + newline))
        lines = (json.loads(line) for line in whole.splitlines())
        first = next(lines, None)
        if first is None:
            first = {"chain_id": chain_id, "time": int(time.time())}
            _write(journal, first)
        engine = Engine(first["chain_id"], first["time"])
        for line in lines:
            _replay(engine, line)
        return cls(engine, journal, finality_blocks)

    @property
    def final(self) -> int:
        """Return the number of the newest block that counts as final."""
        head: int = self.engine.head.block_number
        return max(0, head - self._finality_blocks)

    def send(self, raw: bytes) -> Digest:
        """Take a signed transaction into the pool; raises Refusal."""
        transaction = decode(raw)
        if (transaction.type_id or 0) > TYPE_MAX:
            raise Refusal("transaction type not supported")
        if transaction.chain_id != self.engine.chain_id:
            raise Refusal("invalid chain id for signer")
        if transaction.gas > GAS_LIMIT:
            raise Refusal("exceeds block gas limit")
        state = self.engine.state(self.engine.head.block_number)
        cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if state.get_balance(transaction.sender) < cost:
            raise Refusal("insufficient funds for gas * price + value")
        self.pool.add(transaction, state.get_nonce(transaction.sender))
        return Digest(transaction.hash)

    def mine(self, balances: dict[Address, Wei] | None = None) -> None:
        """Append a block of what waits; ``balances`` are set before its first transaction."""
        now = int(time.time()) + self.skipped_seconds
        timestamp = max(now, self.engine.head.timestamp)
        refused = self.engine.mine(timestamp, self._offers(), balances)
        mined = self.engine.blocks[-1].mined
        line: Line = {"time": timestamp, "hash": self.engine.head.hash.hex()}
        if mined:
            line["transactions"] = [one.transaction.encode().hex() for one in mined]
        if balances:
            line["balances"] = {key.hex(): hex(amount) for key, amount in balances.items()}
        _write(self._journal, line)
        for one in (*refused, *(it.transaction for it in mined)):
            self.pool.drop(Address(one.sender), one.nonce)

    def _offers(self) -> Iterator[SignedTransactionAPI]:
        head = self.engine.head.block_number
        return self.pool.offers(self.engine.next_base_fee(), self.engine.state(head).get_nonce)


def decode(raw: bytes) -> SignedTransactionAPI:
    """Read a typed or legacy transaction; raises Refusal."""
    try:
        transaction = PragueVM.get_transaction_builder().decode(raw)
        transaction.validate()
        transaction.check_signature_validity()
    except (ValidationError, RLPException, ValueError, TypeError, IndexError) as error:
        raise Refusal(f"failed to decode signed transaction: {error}") from error
    return transaction


def _replay(engine: Engine, line: Line) -> None:
    transactions = [decode(bytes.fromhex(raw)) for raw in line.get("transactions", ())]
    balances = {
        Address(bytes.fromhex(key)): Wei(int(amount, 16))
        for key, amount in line.get("balances", {}).items()
    }
    engine.mine(line["time"], transactions, balances, work_seconds=FOREVER)
    if engine.head.hash.hex() != line["hash"]:
        raise ValueError(f"the journal's block {engine.head.block_number} does not replay")


def _write(journal: BinaryIO, line: Line) -> None:
    journal.write(json.dumps(line).encode() + b"\n")
    journal.flush()
