"""Executes blocks with py-evm and keeps everything that can be asked about them in memory.

py-evm's own chain classes are not used: they refuse two blocks of one second and rebuild both
tries after every transaction. An empty block takes 2 KiB and 1 ms, a transaction about 10 ms.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eth._utils.address import generate_contract_address
from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI, StateAPI
from eth.consensus import ConsensusContext
from eth.db.atomic import AtomicDB
from eth.db.chain import ChainDB
from eth.exceptions import Revert, VMError
from eth.vm.chain_context import ChainContext
from eth.vm.forks.london.headers import calculate_expected_base_fee_per_gas
from eth.vm.forks.prague import PragueVM
from eth.vm.message import Message
from eth_utils.exceptions import ValidationError

from flocknode.chain.pyevm.refusal import REVERTED, Refusal
from flocknode.primitives import Address, Digest, Wei

GAS_LIMIT = 60_000_000
GENESIS_FEE = 10**9
BLOCK_WORK_SECONDS = 0.4
"""A block takes no further transaction after that much work, so that questions get answered."""

_NOWHERE = b""


@dataclass(frozen=True, slots=True)
class Mined:
    """One transaction in its block."""

    transaction: SignedTransactionAPI
    receipt: ReceiptAPI
    gas_used: int
    first_log: int
    """Index of its first log in the block."""

    @property
    def created(self) -> bytes | None:
        """The address of the contract that it created, if that was its purpose."""
        sent = self.transaction
        return None if sent.to else generate_contract_address(sent.sender, sent.nonce)


@dataclass(frozen=True, slots=True)
class Block:
    header: BlockHeaderAPI
    mined: tuple[Mined, ...]


class Engine:
    """A chain of Prague blocks without proposers; the fee for them goes to nobody."""

    def __init__(self, chain_id: int, timestamp: int) -> None:
        self.chain_id = chain_id
        self._chaindb = ChainDB(AtomicDB())
        self._consensus = ConsensusContext(self._chaindb.db)
        genesis = PragueVM.create_genesis_header(
            difficulty=0, gas_limit=GAS_LIMIT, timestamp=timestamp, base_fee_per_gas=GENESIS_FEE
        )
        self._chaindb.persist_header(genesis)
        self.blocks = [Block(genesis, ())]
        self.places: dict[Digest, tuple[int, int]] = {}
        """Block number and index of every transaction."""
        self.numbers = {Digest(genesis.hash): 0}
        self._head_state = self._vm(genesis).state

    @property
    def head(self) -> BlockHeaderAPI:
        return self.blocks[-1].header

    def next_base_fee(self) -> int:
        return int(calculate_expected_base_fee_per_gas(self.head))

    def state(self, number: int) -> StateAPI:
        """Return the accounts after block ``number``, for reading."""
        if number == self.head.block_number:
            return self._head_state
        return self._vm(self.blocks[number].header).state

    def mine(
        self,
        timestamp: int,
        transactions: Iterable[SignedTransactionAPI] = (),
        balances: Mapping[Address, Wei] | None = None,
        work_seconds: float = BLOCK_WORK_SECONDS,
    ) -> list[SignedTransactionAPI]:
        """Append a block; ``balances`` are set before its first transaction.

        Return the transactions that can be in no block at this place.
        """
        parent = self.head
        # Nobody proposes here, so prevrandao has no secret to draw from.
        header = PragueVM.create_header_from_parent(
            parent, timestamp=timestamp, gas_limit=GAS_LIMIT, mix_hash=parent.hash
        )
        vm = self._vm(header)
        for address, amount in (balances or {}).items():
            vm.state.set_balance(address, amount)
        taken: list[SignedTransactionAPI] = []
        receipts: list[ReceiptAPI] = []
        refused: list[SignedTransactionAPI] = []
        end = time.monotonic() + work_seconds
        for transaction in transactions:
            if transaction.gas > GAS_LIMIT - header.gas_used:
                break
            try:
                receipt, _ = vm.apply_transaction(header, transaction)
            except ValidationError:
                refused.append(transaction)
                continue
            header = vm.add_receipt_to_header(header, receipt)
            taken.append(transaction)
            receipts.append(receipt)
            if time.monotonic() > end:
                break
        if taken or balances:
            vm.state.persist()
            full = vm.set_block_transactions_and_withdrawals(
                vm.get_block(), header, taken, receipts
            )
            header = full.header.copy(state_root=vm.state.state_root)
            self._head_state = vm.state
        self._append(header, taken, receipts)
        return refused

    def call(
        self, number: int, sender: Address, to: Address | None, value: Wei, gas: int, data: bytes
    ) -> bytes:
        """Execute after block ``number`` with its time, free of charge, and forget the effects.

        Raises Refusal, with the data of a revert.
        """
        state = self._vm(self.blocks[number].header).state
        is_creation = to is None
        created = generate_contract_address(sender, state.get_nonce(sender))
        message = Message(
            gas=min(gas, GAS_LIMIT),
            to=to or _NOWHERE,
            sender=sender,
            value=value,
            data=b"" if is_creation else data,
            code=data if is_creation else state.get_code(to),
            create_address=created if is_creation else None,
        )
        context = state.get_transaction_context_class()(gas_price=0, origin=sender)
        machine = state.computation_class
        apply = machine.apply_create_message if is_creation else machine.apply_message
        try:
            done = apply(state, message, context)
            done.raise_if_error()
        except Revert as error:
            raise Refusal("execution reverted", REVERTED, "0x" + done.output.hex()) from error
        except VMError as error:
            raise Refusal(f"EVM error {type(error).__name__}: {error}") from error
        return bytes(done.output)

    def _append(
        self,
        header: BlockHeaderAPI,
        transactions: Sequence[SignedTransactionAPI],
        receipts: Sequence[ReceiptAPI],
    ) -> None:
        self._chaindb.persist_header(header)
        self.numbers[Digest(header.hash)] = header.block_number
        mined, logs, gas = [], 0, 0
        for index, (transaction, receipt) in enumerate(zip(transactions, receipts, strict=True)):
            mined.append(Mined(transaction, receipt, receipt.gas_used - gas, logs))
            self.places[Digest(transaction.hash)] = header.block_number, index
            gas, logs = receipt.gas_used, logs + len(receipt.logs)
        self.blocks.append(Block(header, tuple(mined)))

    def _vm(self, header: BlockHeaderAPI) -> PragueVM:
        return PragueVM(header, self._chaindb, ChainContext(self.chain_id), self._consensus)
