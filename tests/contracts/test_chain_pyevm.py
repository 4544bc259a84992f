"""The development chain in Python: what nodes do on anvil they do on it unchanged."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from flocknode.chain import devchain
from flocknode.chain.bindings import Bindings
from flocknode.chain.client import ChainClient
from flocknode.chain.deploy import NetworkTerms, deploy_contracts, send_all
from flocknode.chain.deployment import CONTRACTS
from flocknode.chain.devchain import DevChain, development_chain
from flocknode.chain.errors import CallReverted, RpcFailed
from flocknode.chain.heads import connected
from flocknode.chain.sender import Request, Sender
from flocknode.chain.transaction import Transaction, sign
from flocknode.crypto.signing import SigningKey, new_signing_key
from flocknode.errors import UnavailableError
from flocknode.primitives import Address, Wei
from flocknode.protocol.ledger import Draw, RoundSettled
from tests.contracts.conftest import Workbench, running
from tests.contracts.test_chain_ledger import draw, events_until, ledger_of, set_up, settle

SOMEBODY, SOMEBODY_ELSE = Address(b"\x11" * 20), Address(b"\x22" * 20)
GWEI = 10**9


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Iterator[DevChain]:
    with running(tmp_path_factory.mktemp("chain"), "pyevm", finality_blocks=2) as chain:
        yield chain


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[tuple[Workbench, subprocess.Popen]]:
    """A server of this test's own, for it to kill."""
    port = devchain._free_port(0)
    log = directory / "log"
    process = devchain.launch(devchain.pyevm_command(directory, 0.05, port, 2), log)
    try:
        chain = await devchain._ready(process, f"http://127.0.0.1:{port}", log)
        async with connected(chain.url, 0.02) as (client, heads):
            yield Workbench(client, heads, chain), process
    finally:
        devchain.stop(process)


def transfer(bench: Workbench, key: SigningKey, nonce: int, tip: int = GWEI) -> str:
    fee_max = Wei(20 * GWEI + tip)
    fields = (bench.chain.chain_id, nonce, Wei(tip), fee_max, 21_000, SOMEBODY, Wei(1), b"")
    return "0x" + sign(Transaction(*fields), key).raw.hex()


async def history(client: ChainClient, last: int) -> list:
    """Every block, receipt and log up to block ``last``."""
    numbers = [hex(number) for number in range(last + 1)]
    blocks = await client.batch([("eth_getBlockByNumber", (it, False)) for it in numbers])
    receipts = await client.batch([("eth_getBlockReceipts", (it,)) for it in numbers])
    logs = await client.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": hex(last)})
    return [blocks, receipts, logs]


async def test_a_round_is_set_up_drawn_and_settled_on_it(bench):
    network = await set_up(bench)
    committee = await draw(bench, network)
    with pytest.raises(CallReverted) as caught:
        await ledger_of(bench, network, network.members[1]).submit(Draw(network.task))
    assert caught.value.error == "RoundManagerWrongPhase"
    assert caught.value.arguments[0] == network.task
    done = await settle(bench, network, committee)
    ledger = ledger_of(bench, network, network.members[2])
    events = await events_until(ledger, RoundSettled)
    assert events[-1].model_root == done.propose.model_root
    assert done.gas < 1_000_000


async def test_after_a_kill_it_goes_on_with_the_same_blocks(tmp_path):
    key = new_signing_key()
    async with served(tmp_path) as (bench, process):
        await bench.fund(key)
        sender = Sender(bench.client, bench.heads, key, bench.chain.chain_id)
        deployment = await deploy_contracts(
            bench.client, sender, bench.chain.chain_id, NetworkTerms(SOMEBODY, SOMEBODY)
        )
        bindings = Bindings(deployment)
        give = bindings.request("FlockToken", "faucet", SOMEBODY, gas=200_000)
        block = (await sender.transact(give)).block
        await bench.client.call("evm_increaseTime", 3600)
        while bench.heads.final.number < block:
            await bench.heads.beyond(bench.heads.newest.digest)
        final, newest = bench.heads.final.number, bench.heads.newest
        before = await history(bench.client, newest.number)
        balance = await bench.client.call("eth_getBalance", "0x" + key.address.hex(), "latest")
        process.kill()
        process.wait()
    with (tmp_path / "chain.jsonl").open("ab") as journal:
        journal.write(b'{"time": 17000')  # what a kill leaves of a line
    async with served(tmp_path) as (bench, _):
        assert len(before[2]) >= 1
        assert await history(bench.client, newest.number) == before
        assert bench.heads.newest.number > newest.number
        assert bench.heads.newest.timestamp >= newest.timestamp
        assert bench.heads.final.number >= final
        asked = ("0x" + key.address.hex(), "latest")
        assert await bench.client.call("eth_getBalance", *asked) == balance
        assert (
            int(await bench.client.call("eth_getTransactionCount", *asked), 16)
            == len(CONTRACTS) + 1
        )
        artifacts = bindings.artifacts
        sender = Sender(bench.client, bench.heads, key, bench.chain.chain_id, artifacts)
        with pytest.raises(CallReverted, match="FlockToken"):
            await sender.transact(give)  # the contract remembers whom it gave to
        give = bindings.request("FlockToken", "faucet", SOMEBODY_ELSE, gas=200_000)
        assert (await sender.transact(give)).block > newest.number


async def test_a_journal_that_gives_other_blocks_is_refused(tmp_path):
    async with served(tmp_path) as (bench, _):
        await bench.fund(new_signing_key())
    journal = tmp_path / "chain.jsonl"
    journal.write_text(journal.read_text().replace(hex(10**21), hex(10**22)))
    with pytest.raises(UnavailableError, match=r"block \d+ does not replay"):
        async with served(tmp_path):
            pass


async def test_many_transactions_share_a_block_in_the_order_of_nonces(bench):
    sender = await bench.sender()
    receipts = await send_all(sender, [Request(SOMEBODY, b"", 21_000, Wei(1))] * 20)
    blocks = [receipt.block for receipt in receipts]
    assert blocks == sorted(blocks)
    assert len(set(blocks)) < len(blocks)


async def test_time_never_runs_back_and_two_blocks_may_share_a_second(bench):
    for _ in range(8):
        await bench.heads.beyond(bench.heads.newest.digest)
    blocks, _, _ = await history(bench.client, bench.heads.newest.number)
    times = [int(block["timestamp"], 16) for block in blocks]
    assert times == sorted(times)
    assert len(set(times)) < len(times)
    assert all(child["parentHash"] == parent["hash"] for parent, child in pairwise(blocks))


async def test_finality_follows_two_blocks_behind(bench):
    newest, final = await bench.client.batch(
        [("eth_getBlockByNumber", (tag, False)) for tag in ("latest", "finalized")]
    )
    assert int(newest["number"], 16) - int(final["number"], 16) == 2


async def test_a_gap_waits_until_its_nonce_comes(bench):
    key = new_signing_key()
    await bench.fund(key)
    asked = ("eth_getTransactionCount", "0x" + key.address.hex())
    await bench.client.call("eth_sendRawTransaction", transfer(bench, key, 1))
    for _ in range(2):
        await bench.heads.beyond(bench.heads.newest.digest)
    assert await bench.client.call(*asked, "pending") == "0x0"
    await bench.client.call("eth_sendRawTransaction", transfer(bench, key, 0))
    assert await bench.client.call(*asked, "pending") == "0x2"
    with trio.fail_after(5):
        while await bench.client.call(*asked, "latest") != "0x2":
            await bench.heads.beyond(bench.heads.newest.digest)


async def test_a_replacement_has_to_offer_a_tenth_more(bench):
    key = new_signing_key()
    await bench.fund(key)
    await bench.client.call("eth_sendRawTransaction", transfer(bench, key, 1))
    for tip, words in ((GWEI, "already known"), (GWEI + 1, "underpriced")):
        with pytest.raises(RpcFailed, match=words):
            await bench.client.call("eth_sendRawTransaction", transfer(bench, key, 1, tip))
    await bench.client.call("eth_sendRawTransaction", transfer(bench, key, 1, 30 * GWEI))


@pytest.mark.parametrize(
    ("raw", "words"), [("0x02", "decode"), ("0x", "decode"), ("02", "0x"), ("0x02c0", "decode")]
)
async def test_what_is_no_transaction_is_refused(bench, raw, words):
    with pytest.raises(RpcFailed, match=words):
        await bench.client.call("eth_sendRawTransaction", raw)


async def test_a_transaction_without_funds_or_of_another_chain_is_refused(bench):
    key = new_signing_key()
    with pytest.raises(RpcFailed, match="insufficient funds"):
        await bench.client.call("eth_sendRawTransaction", transfer(bench, key, 0))
    fields = (1, 0, Wei(GWEI), Wei(2 * GWEI), 21_000, SOMEBODY, Wei(1), b"")
    raw = "0x" + sign(Transaction(*fields), key).raw.hex()
    with pytest.raises(RpcFailed, match="chain id"):
        await bench.client.call("eth_sendRawTransaction", raw)


async def test_an_unknown_method_and_wrong_parameters_are_errors_of_their_own(bench):
    for method, params, code in (
        ("eth_mystery", (), -32601),
        ("eth_getBalance", ("0x11", "latest"), -32602),
        ("eth_getBalance", (), -32602),
        ("anvil_setBalance", ("0x" + "11" * 20, hex(2**256)), -32602),
    ):
        with pytest.raises(RpcFailed) as caught:
            await bench.client.call(method, *params)
        assert caught.value.code == code


async def test_without_py_evm_the_remedy_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(devchain.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UnavailableError, match="py-evm is not installed") as caught:
        async with development_chain(tmp_path, kind="pyevm"):
            pass
    assert caught.value.remedy == "pip install flocknode[devchain]"


async def test_a_second_server_on_its_directory_or_port_ends_with_one_line(tmp_path):
    async with served(tmp_path / "one") as (bench, _):
        port = int(bench.chain.url.rsplit(":", 1)[1])
        for directory in ("one", "two"):
            command = devchain.pyevm_command(tmp_path / directory, 0.2, port, 2)
            done = await trio.run_process(
                command, check=False, capture_stdout=True, capture_stderr=True
            )
            assert done.returncode == 1
            assert len(done.stderr.splitlines()) == 1, done.stderr
