"""EIP-1559 transactions: encoding and signing."""

from dataclasses import dataclass

from flocknode.crypto.hashing import keccak256
from flocknode.crypto.signing import SigningKey
from flocknode.primitives import Address, Digest, Wei

_KIND = b"\x02"
Item = bytes | int | list["Item"]


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
    """Sign as EIP-1559 says: Keccak-256 of the type byte and the RLP list without signature."""
    fields: list[Item] = [
        transaction.chain_id,
        transaction.nonce,
        transaction.tip,
        transaction.fee_max,
        transaction.gas,
        b"" if transaction.to is None else transaction.to,
        transaction.value,
        transaction.data,
        [],
    ]
    signature = key.sign_digest(keccak256(_KIND + encode_rlp(fields)))
    r, s = (int.from_bytes(signature[index : index + 32], "big") for index in (0, 32))
    raw = _KIND + encode_rlp([*fields, signature[64] - 27, r, s])
    return SignedTransaction(raw, keccak256(raw))


def created_address(sender: Address, nonce: int) -> Address:
    """Return where a transaction of ``sender`` creates its contract."""
    return Address(keccak256(encode_rlp([sender, nonce]))[12:])


def encode_rlp(item: Item) -> bytes:
    """Encode as the Yellow Paper's appendix B says; an int has no leading zero bytes."""
    if isinstance(item, list):
        return _prefixed(b"".join(map(encode_rlp, item)), 0xC0)
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if len(item) == 1 and item[0] < 0x80:
        return item
    return _prefixed(item, 0x80)


def _prefixed(payload: bytes, offset: int) -> bytes:
    if len(payload) < 56:
        return bytes([offset + len(payload)]) + payload
    length = len(payload).to_bytes((len(payload).bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(length)]) + length + payload
