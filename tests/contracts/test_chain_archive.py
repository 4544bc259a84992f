"""Kept blocks prove themselves, on anvil and on py-evm; an auditor may ask the chain instead."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import pytest
import rlp
from trie import HexaryTrie

from flocknode.chain.archive import ArchivedBlock, encode_header, fetch_blocks, read_block
from flocknode.chain.bindings import Bindings
from flocknode.chain.deploy import NetworkTerms, create_task, deploy_contracts, send_all
from flocknode.chain.devchain import DevChain
from flocknode.chain.errors import MalformedBlock, WrongContract
from flocknode.chain.heads import connected
from flocknode.chain.trie import ordered_root
from flocknode.cli.audit.command import verify_with_chain
from flocknode.cli.audit.directory import MANIFEST, RunDirectory, block_name
from flocknode.cli.audit.export import export_run
from flocknode.cli.audit.manifest import load_manifest
from flocknode.cli.task_file import TaskFile
from flocknode.errors import UnavailableError
from flocknode.primitives import Address, PeerId
from flocknode.protocol.roster import Roster, RosterEntry
from tests.contracts.conftest import POLL_SECONDS, Workbench, running
from tests.contracts.test_chain_ledger import PLAN, TERMS


@pytest.fixture(scope="module", params=["anvil", "pyevm"])
def chain(request, tmp_path_factory) -> Iterator[DevChain]:
    with running(tmp_path_factory.mktemp("chain"), request.param, finality_blocks=2) as chain:
        yield chain


@dataclass
class Kept:
    """A task without rounds on a real chain, and its blocks up to a final one."""

    bench: Workbench
    bindings: Bindings
    task: int
    task_file: TaskFile
    blocks: list[ArchivedBlock]


_kept: dict[str, Kept] = {}


@pytest.fixture
async def kept(chain) -> AsyncIterator[Kept]:
    async with connected(chain.url, POLL_SECONDS) as (client, heads):
        bench = Workbench(client, heads, chain)
        if chain.url not in _kept:
            _kept[chain.url] = await _keep(bench)
        yield replace(_kept[chain.url], bench=bench)


async def _keep(bench: Workbench) -> Kept:
    sender = await bench.sender()
    terms = NetworkTerms(registrar=sender.address, treasury=sender.address)
    deployment = await deploy_contracts(bench.client, sender, bench.chain.chain_id, terms)
    bindings = Bindings(deployment)
    people = [Address(bytes([place + 1]) * 20) for place in range(TERMS.trainers)]
    entries = (RosterEntry(i, it, 1, PeerId(bytes([i + 1]))) for i, it in enumerate(people))
    file = TaskFile("none", PLAN.model_root, PLAN.model_root, TERMS, Roster(tuple(entries)))
    plan = replace(PLAN, configuration=file.digest(), roster_root=file.roster.root())
    give = [bindings.request("FlockToken", "faucet", it, gas=200_000) for it in people]
    await send_all(sender, give)
    task = await create_task(bindings, sender, plan)
    newest = bench.heads.newest.number
    while bench.heads.final.number < newest:
        await bench.heads.beyond(bench.heads.newest.digest)
    blocks = await fetch_blocks(bench.client, deployment.block, newest)
    return Kept(bench, bindings, task, file, blocks)


async def test_blocks_prove_their_order_and_the_chains_own_logs(kept):
    for parent, child in pairwise(kept.blocks):
        assert child.parent == parent.digest
    assert all(read_block(block.to_bytes()) == block for block in kept.blocks)
    first, last = kept.blocks[0].number, kept.blocks[-1].number
    asked = {"fromBlock": hex(first), "toBlock": hex(last)}
    told = await kept.bench.client.call("eth_getLogs", asked)
    mine = [log for block in kept.blocks for logs in block.logs() for log in logs]
    assert mine == [{name: log[name] for name in ("address", "topics", "data")} for log in told]
    assert len(mine) > TERMS.trainers
    assert max(len(block.receipts) for block in kept.blocks) > 1


async def test_bytes_of_a_block_that_were_changed_are_refused_or_give_another_hash(kept):
    block = max(kept.blocks, key=lambda it: len(it.receipts))
    data = block.to_bytes()
    for at in range(0, len(data), max(1, len(data) // 200)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            assert read_block(changed).digest != block.digest
        except MalformedBlock:
            continue
    for wrong in (b"", b"\xc0", data + b"\0", rlp.encode([block.header, [[]]]), b"\xff" * 40):
        with pytest.raises(MalformedBlock):
            read_block(wrong)


async def test_a_header_whose_hash_is_not_its_own_is_refused(kept):
    number = hex(kept.blocks[-1].number)
    told = await kept.bench.client.call("eth_getBlockByNumber", number, False)
    assert encode_header(told) == kept.blocks[-1].header
    with pytest.raises(ValueError, match="do not give its hash"):
        encode_header({**told, "gasUsed": "0x1"})


@pytest.mark.parametrize("count", [0, 1, 2, 3, 16, 127, 128, 129, 300])
def test_the_root_of_receipts_is_that_of_py_evm(count):
    # Short values too: a node below 32 bytes stands in its parent itself.
    values = [bytes([1 + place & 255]) * (1 + place % 70) for place in range(count)]
    theirs = HexaryTrie({})
    for place, value in enumerate(values):
        theirs[rlp.encode(place)] = value
    assert ordered_root(values) == theirs.root_hash


async def test_an_auditor_may_ask_the_chain_in_place_of_the_files(kept, tmp_path):
    run = export(kept, tmp_path)
    for block in kept.blocks:
        (tmp_path / block_name(block.number)).unlink()
    report = await verify_with_chain(run, kept.bench.chain.url)
    assert report.faults == []
    assert report.manifest is not None
    assert report.manifest.anchor == kept.blocks[-1].digest


async def test_an_anchor_that_the_chain_does_not_have_is_found(kept, tmp_path):
    run = export(kept, tmp_path)
    lie(run, anchor=kept.blocks[-2].digest)
    (fault,) = (await verify_with_chain(run, kept.bench.chain.url)).faults
    assert fault.file == MANIFEST
    assert "anchored in another block" in fault.what


async def test_blocks_that_are_not_final_and_other_contracts_are_no_ground(kept, tmp_path):
    run = export(kept, tmp_path)
    url = kept.bench.chain.url
    lie(run, last=kept.blocks[-1].number + 1_000)
    with pytest.raises(UnavailableError, match="is not final"):
        await verify_with_chain(run, url)
    deployment = kept.bindings.deployment
    codes = {**deployment.codes, "RoundManager": deployment.codes["TaskRegistry"]}
    lie(run, last=kept.blocks[-1].number, deployment=replace(deployment, codes=codes))
    with pytest.raises(WrongContract):
        await verify_with_chain(run, url)


def export(kept: Kept, path: Path) -> RunDirectory:
    run = RunDirectory(path)
    run.create()
    export_run(run, kept.bindings, kept.task, kept.task_file, kept.blocks, {})
    return run


def lie(run: RunDirectory, **changes: object) -> None:
    run.write(MANIFEST, replace(load_manifest(run), **changes).to_bytes())
