"""EIP-1559 transactions and their signatures."""

from dataclasses import dataclass

from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_typing import HexAddress, HexStr
from hexbytes import HexBytes
from web3.types import Nonce
from web3.utils.address import get_create_address

from flocknode.chain.abi import read_address
from flocknode.crypto.hashing import keccak256
from flocknode.crypto.signing import SigningKey
from flocknode.primitives import Address, Digest, Wei


@dataclass(frozen=True, slots=True)
class Transaction:
    chain_id: int
    nonce: int
    tip: Wei
    """Most that the block's producer gets per gas."""
    fee_max: Wei
    """Most that is paid per gas, base fee and tip together."""
    gas: int
    to: Address | None
    """None creates a contract."""
    value: Wei
    data: bytes


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    raw: bytes
    digest: Digest


def sign(transaction: Transaction, key: SigningKey) -> SignedTransaction:
    """Sign with a key that keeps its secret to itself, and so signs no more than the hash."""
    fields = {
        "type": 2,
        "chainId": transaction.chain_id,
        "nonce": transaction.nonce,
        "maxPriorityFeePerGas": transaction.tip,
        "maxFeePerGas": transaction.fee_max,
        "gas": transaction.gas,
        "to": transaction.to or b"",
        "value": transaction.value,
        "data": transaction.data,
    }
    signature = key.sign_digest(Digest(TypedTransaction.from_dict(fields).hash()))
    fields["v"] = signature[64] - 27
    fields["r"] = int.from_bytes(signature[:32], "big")
    fields["s"] = int.from_bytes(signature[32:64], "big")
    raw = TypedTransaction.from_dict(fields).encode()
    return SignedTransaction(raw, keccak256(raw))


def read_transaction(raw: bytes) -> tuple[Transaction, SignedTransaction]:
    """Read what ``sign`` made; raises ValueError or LookupError for anything else."""
    fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    to = bytes(fields["to"])
    transaction = Transaction(
        chain_id=fields["chainId"],
        nonce=fields["nonce"],
        tip=Wei(fields["maxPriorityFeePerGas"]),
        fee_max=Wei(fields["maxFeePerGas"]),
        gas=fields["gas"],
        to=Address(to) if to else None,
        value=Wei(fields["value"]),
        data=bytes(fields["data"]),
    )
    return transaction, SignedTransaction(raw, keccak256(raw))


def created_address(sender: Address, nonce: int) -> Address:
    """Return where a transaction of ``sender`` creates its contract."""
    creator = HexAddress(HexStr("0x" + sender.hex()))
    return read_address(get_create_address(creator, Nonce(nonce)))
