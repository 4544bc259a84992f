"""The sender against a real chain."""

import os

import pytest
import trio
from eth_account import Account

from flocknode.chain.abi import read_artifact
from flocknode.chain.client import ChainClient
from flocknode.chain.devchain import development_chain
from flocknode.chain.errors import CallReverted, RpcFailed, TransactionLost, TransactionRefused
from flocknode.chain.heads import connected
from flocknode.chain.sender import Request, Sender
from flocknode.chain.transaction import Transaction, created_address, sign
from flocknode.crypto.hashing import keccak256
from flocknode.crypto.signing import SigningKey, new_signing_key
from flocknode.primitives import Address, Wei
from tests.reorganisation import reorganise

SOMEBODY = Address(b"\x77" * 20)
# Runtime: revert with the call data as revert data. Creation copies what follows its 11 bytes.
RUNTIME = bytes.fromhex("366000600037366000fd")
CREATION = bytes([0x60, len(RUNTIME), 0x80, 0x60, 0x0B, 0x60, 0, 0x39, 0x60, 0, 0xF3]) + RUNTIME

REFUSER = read_artifact(
    {
        "contractName": "Refuser",
        "abi": [
            {
                "type": "error",
                "name": "RefuserTooLate",
                "inputs": [{"name": "deadline", "type": "uint256"}],
            }
        ],
        "bytecode": "0x" + CREATION.hex(),
        "deployedBytecode": "0x" + RUNTIME.hex(),
        "immutableReferences": {},
    }
)


def transfer(value: int) -> Request:
    return Request(SOMEBODY, b"", 21_000, Wei(value))


@pytest.fixture
async def unmined(tmp_path):
    """A sender on a chain that makes a block only when asked to, and the client to ask with."""
    async with (
        development_chain(tmp_path, block_seconds=1000) as chain,
        connected(chain.url, 0.01) as (client, heads),
    ):
        yield Sender(client, heads, chain.faucet, chain.chain_id), client


async def test_transactions_sent_without_waiting_keep_their_order(unmined):
    sender, client = unmined
    underway = [await sender.send(transfer(i)) for i in range(20)]
    await client.call("evm_mine")
    receipts = [await sender.confirm(pending) for pending in underway]
    nonces = [pending.transaction.nonce for pending in underway]
    assert nonces == list(range(nonces[0], nonces[0] + 20))
    assert len({receipt.block for receipt in receipts}) == 1
    assert all(receipt.gas_used == 21_000 for receipt in receipts)


async def test_a_custom_error_is_named_with_its_arguments(bench):
    key = new_signing_key()
    await bench.fund(key)
    sender = Sender(bench.client, bench.heads, key, bench.chain.chain_id, [REFUSER])
    pending = await sender.send(Request(None, REFUSER.creation_data(), 200_000))
    await sender.confirm(pending)
    refuser = created_address(sender.address, pending.transaction.nonce)
    revert_data = keccak256(b"RefuserTooLate(uint256)")[:4] + (41).to_bytes(32, "big")
    with pytest.raises(CallReverted) as caught:
        await sender.transact(Request(refuser, revert_data, 100_000))
    assert caught.value.error == "RefuserTooLate"
    assert caught.value.arguments == (41,)
    await sender.transact(transfer(1))  # The failure did not cost the sender its count.


async def test_a_creation_lands_at_the_address_foretold(bench):
    sender = await bench.sender()
    pending = await sender.send(Request(None, REFUSER.creation_data(), 200_000))
    await sender.confirm(pending)
    foretold = created_address(sender.address, pending.transaction.nonce)
    code = await bench.client.call("eth_getCode", "0x" + foretold.hex(), "latest")
    assert REFUSER.is_runtime(bytes.fromhex(code[2:]))


async def mine(client: ChainClient) -> None:
    while True:
        await client.call("evm_mine")
        await trio.sleep(0.05)


async def test_a_transaction_that_became_too_cheap_is_offered_for_more(unmined):
    sender, client = unmined
    async with trio.open_nursery() as nursery:
        pending = await sender.send(transfer(1))
        offered = pending.transaction
        await client.call("anvil_setNextBlockBaseFeePerGas", hex(40 * offered.fee_max))
        nursery.start_soon(mine, client)
        with trio.fail_after(10):
            await sender.confirm(pending)
        assert len(pending.attempts) == 2
        assert pending.transaction.fee_max >= 1.125 * offered.fee_max
        assert pending.transaction.tip >= 1.125 * offered.tip
        nursery.cancel_scope.cancel()


async def test_without_funds_the_endpoint_refuses(bench):
    sender = Sender(bench.client, bench.heads, new_signing_key(), bench.chain.chain_id)
    with pytest.raises(TransactionRefused):
        await sender.transact(transfer(1))


async def test_sending_the_same_bytes_twice_is_no_error(unmined):
    sender, client = unmined
    pending = await sender.send(transfer(1))
    raw = "0x" + pending.attempts[0].raw.hex()
    with pytest.raises(RpcFailed, match="already"):
        await client.call("eth_sendRawTransaction", raw)
    await sender._broadcast(pending)
    await client.call("evm_mine")
    await sender.confirm(pending)


async def test_a_sender_goes_on_after_a_reorganisation_threw_its_transactions_away(bench):
    key = new_signing_key()
    await bench.fund(key)
    sender = Sender(bench.client, bench.heads, key, bench.chain.chain_id)
    for _ in range(3):
        await sender.transact(transfer(1))
    await reorganise(bench.client, 5)
    await bench.fund(key)  # The reorganisation took the funds as well.
    with trio.fail_after(5):
        await sender.transact(transfer(2))


async def test_a_nonce_freed_by_a_chain_that_forgot_holds_up_nothing_underway(unmined):
    sender, client = unmined
    undone = await sender.send(transfer(1))
    await client.call("evm_mine")
    await sender.confirm(undone)
    underway = await sender.send(transfer(2))
    await client.call("anvil_reorg", 1, [])
    await client.call("anvil_dropAllTransactions")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.confirm, underway)
        fills = await sender.send(transfer(3))
        assert fills.transaction.nonce == undone.transaction.nonce
        nursery.start_soon(sender.confirm, fills)
        with trio.fail_after(5):
            while sender._underway:
                await client.call("evm_mine")
                await trio.sleep(0.05)


async def test_a_transaction_above_what_the_chain_forgot_is_given_up_and_the_next_goes_through(
    unmined,
):
    sender, client = unmined
    undone = [await sender.send(transfer(1)) for _ in range(3)]
    await client.call("evm_mine")
    for pending in undone:
        await sender.confirm(pending)
    cut_off = await sender.send(transfer(2))
    await client.call("anvil_reorg", 1, [])
    await client.call("anvil_dropAllTransactions")
    lost = []

    async def give_up():
        try:
            await sender.confirm(cut_off)
        except TransactionLost:
            lost.append(cut_off)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(give_up)
        with trio.fail_after(5):
            while not lost:
                await client.call("evm_mine")
                await trio.sleep(0.05)
    following = await sender.send(transfer(3))
    await client.call("evm_mine")
    await sender.confirm(following)
    assert following.transaction.nonce == undone[0].transaction.nonce


def test_a_transaction_is_signed_as_its_account_signs_it():
    secret = os.urandom(32)
    for to in (None, SOMEBODY):
        unsigned = Transaction(1, 0, Wei(0), Wei(2), 21_000, to, Wei(0), b"\x00")
        signed = sign(unsigned, SigningKey(secret))
        fields = {
            "type": 2,
            "chainId": 1,
            "nonce": 0,
            "maxPriorityFeePerGas": 0,
            "maxFeePerGas": 2,
            "gas": 21_000,
            "to": to or b"",
            "value": 0,
            "data": b"\x00",
        }
        expected = Account.from_key(secret).sign_transaction(fields)
        assert signed.raw == expected.raw_transaction
        assert signed.digest == expected.hash
