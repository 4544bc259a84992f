"""What a sender leaves on its way when its process ends, and what the next one makes of it."""

import os
import signal
import subprocess
import sys

import pytest
import trio

from flocknode.chain.errors import EndpointUnreachable
from flocknode.chain.sender import Request, Sender
from flocknode.chain.transaction import Transaction, read_transaction, sign
from flocknode.crypto.signing import SigningKey, new_signing_key
from flocknode.primitives import Address, Wei
from flocknode.storage.errors import StorageError
from flocknode.storage.outbox import TransactionOutbox

SOMEBODY = Address(b"\x78" * 20)
# A sender that ends by SIGKILL at the point that its third argument names.
KILLED = """
import os, signal, sys
from pathlib import Path
import trio
from flocknode.chain.heads import connected
from flocknode.chain.sender import Request, Sender
from flocknode.crypto.signing import SigningKey
from flocknode.primitives import Address, Wei
from flocknode.storage.outbox import TransactionOutbox

url, directory, point = sys.argv[1:]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

class Outbox(TransactionOutbox):
    def keep(self, nonce, raw):
        super().keep(nonce, raw)
        if point == "kept":
            die()

async def main():
    async with connected(url, 0.02) as (client, heads):
        key = SigningKey(bytes.fromhex(sys.stdin.read()))
        sender = Sender(client, heads, key, 31337, outbox=Outbox(Path(directory)))
        await sender.send(Request(Address(bytes([0x78]) * 20), b"", 21_000, Wei(5)))
        die()

trio.run(main)
"""


@pytest.fixture
def outbox(tmp_path):
    opened = TransactionOutbox(tmp_path)
    yield opened
    opened.close()


def transfer(value: int, data: bytes = b"") -> Request:
    return Request(SOMEBODY, data, 21_000 + 100 * len(data), Wei(value))


async def sender_of(bench, outbox, key=None) -> Sender:
    if key is None:
        key = new_signing_key()
        await bench.fund(key)
    return Sender(bench.client, bench.heads, key, bench.chain.chain_id, outbox=outbox)


async def sent_by(bench, sender: Sender) -> int:
    who = "0x" + sender.address.hex()
    return int(await bench.client.call("eth_getTransactionCount", who, "latest"), 16)


@pytest.mark.parametrize("point", ["kept", "broadcast"])
def signed(sender: Sender, request: Request, nonce: int = 0) -> bytes:
    """What a process before this one signed."""
    fees = (Wei(10**9), Wei(20 * 10**9))
    fields = (request.gas, request.to, request.value, request.data)
    return sign(Transaction(31337, nonce, *fees, *fields), sender._key).raw


async def is_mined(bench, raw: bytes) -> bool:
    digest = "0x" + read_transaction(raw)[1].digest.hex()
    return await bench.client.call("eth_getTransactionReceipt", digest) is not None


async def resume(sender: Sender) -> None:
    with trio.fail_after(10):
        await sender.resume()


@pytest.mark.parametrize("point", ["kept", "broadcast"])
async def test_a_killed_senders_transaction_is_mined_once_whoever_asks_again(
    bench, tmp_path, point
):
    secret = os.urandom(32)
    key = SigningKey(secret)
    await bench.fund(key)
    died = await trio.run_process(
        [sys.executable, "-c", KILLED, bench.chain.url, tmp_path, point],
        stdin=secret.hex().encode(),
        check=False,
        stderr=subprocess.STDOUT,
        capture_stdout=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stdout
    outbox = TransactionOutbox(tmp_path)
    ((nonce, raw),) = outbox.kept()
    sender = await sender_of(bench, outbox, key)
    await resume(sender)
    assert nonce == 0
    assert await is_mined(bench, raw)
    assert await sent_by(bench, sender) == 1
    outbox.close()


async def test_who_asks_for_a_kept_transaction_waits_for_it(bench, outbox):
    sender = await sender_of(bench, outbox)
    outbox.keep(0, raw := signed(sender, transfer(5)))
    async with trio.open_nursery() as nursery:
        await nursery.start(sender.resume)
        receipt = await sender.transact(transfer(5))
    assert receipt.transaction == read_transaction(raw)[1].digest
    await sender.transact(transfer(5))  # That one is over: asked again, it is another transfer.
    assert await sent_by(bench, sender) == 2


async def test_a_new_transaction_does_not_take_a_kept_ones_nonce(bench, outbox):
    sender = await sender_of(bench, outbox)
    outbox.keep(0, raw := signed(sender, transfer(5)))
    async with trio.open_nursery() as nursery:
        await nursery.start(sender.resume)
        pending = await sender.send(transfer(6))
        await sender.confirm(pending)
    assert pending.transaction.nonce == 1
    assert await is_mined(bench, raw)


async def test_what_would_fail_now_is_not_sent_again_and_holds_nobody_up(bench, outbox):
    sender = await sender_of(bench, outbox)
    outbox.keep(0, stale := signed(sender, transfer(10**30)))
    outbox.keep(1, after := signed(sender, transfer(5), nonce=1))
    await resume(sender)
    pending = await sender.send(transfer(6))
    await sender.confirm(pending)
    assert pending.transaction.nonce == 0
    assert not await is_mined(bench, stale)
    assert not await is_mined(bench, after)


async def test_a_kept_transaction_whose_nonce_is_taken_is_left_alone(bench, outbox):
    sender = await sender_of(bench, outbox)
    await sender.transact(transfer(1))
    outbox.keep(0, raw := signed(sender, transfer(2)))
    await resume(sender)
    assert not await is_mined(bench, raw)
    await sender.transact(transfer(3))


async def test_a_disk_that_refuses_keeps_a_transaction_from_the_endpoint(bench, outbox):
    sender = await sender_of(bench, outbox)
    outbox._database.execute("PRAGMA query_only=1")
    with pytest.raises(StorageError):
        await sender.transact(transfer(1))
    who = "0x" + sender.address.hex()
    assert await bench.client.call("eth_getTransactionCount", who, "pending") == "0x0"


async def test_what_is_final_leaves_the_outbox(bench, outbox):
    sender = await sender_of(bench, outbox)
    receipt = await sender.transact(transfer(1))
    with trio.fail_after(10):
        while bench.heads.final.number < receipt.block:
            await bench.heads.beyond(bench.heads.newest.digest)
    await sender.transact(transfer(2))
    assert [nonce for nonce, _ in outbox.kept()] == [1]


async def test_a_transaction_whose_broadcast_went_unanswered_keeps_its_nonce(
    bench, outbox, monkeypatch
):
    sender = await sender_of(bench, outbox)
    call = bench.client.call

    async def deaf(method, *params):
        answer = await call(method, *params)
        if method == "eth_sendRawTransaction":
            raise EndpointUnreachable("here", "no answer in time")
        return answer

    monkeypatch.setattr(sender._client, "call", deaf)
    first, second = await sender.send(transfer(1)), await sender.send(transfer(2))
    assert [one.transaction.nonce for one in (first, second)] == [0, 1]
    await sender.confirm(first)
    await sender.confirm(second)
