"""Networks that draw by drand: signatures on every chain and fork, and a committee drawn by one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from flocknode.chain import devchain
from flocknode.chain.abi import load_artifact
from flocknode.chain.deploy import DrandTerms
from flocknode.chain.deployment import load_deployment, verify
from flocknode.chain.drand import (
    QUICKNET,
    DrandNetwork,
    create_round_key,
    g2_words,
    load_round_key,
    proof_bytes,
    sign_round,
)
from flocknode.chain.drand_rounds import DirectoryRounds
from flocknode.chain.errors import CallReverted, RpcFailed
from flocknode.chain.heads import connected
from flocknode.chain.reader import Reader
from flocknode.chain.sender import Request, Sender
from flocknode.chain.transaction import created_address
from flocknode.primitives import Address
from flocknode.protocol.ledger import BeaconRequested, CommitteeDrawn, Draw, OpenRound, RoundOpened
from tests.contracts.test_chain_ledger import events_until, ledger_of, pass_time, set_up
from tests.unit.test_chain_drand import OUTSIDE, RANDOMNESS, ROUND, SIGNATURE, flipped

SOMEBODY = Address(b"\x11" * 20)
LEAD = 4


@asynccontextmanager
async def running(tmp_path, kind: str) -> AsyncIterator[tuple]:
    port = devchain._free_port(0)
    if kind == "pyevm":
        command = devchain.pyevm_command(tmp_path, 0.05, port, 2)
    else:
        command = devchain.anvil_command(tmp_path, 0.05, port, 2)
        command[command.index("--hardfork") + 1] = kind
    process = devchain.launch(command, tmp_path / "log")
    try:
        chain = await devchain._ready(process, f"http://127.0.0.1:{port}", tmp_path / "log")
        async with connected(chain.url, 0.02) as (client, heads):
            yield client, Sender(client, heads, chain.faucet, chain.chain_id)
    finally:
        devchain.stop(process)


def outside_proof() -> bytes:
    """x = 4 with its y, of a point that is not in the group."""
    p = int(
        "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab",
        16,
    )
    x = int.from_bytes(OUTSIDE, "big") & ((1 << 381) - 1)
    y = pow(x**3 + 4, (p + 1) // 4, p)
    return x.to_bytes(48, "big") + y.to_bytes(48, "big")


@pytest.mark.parametrize("kind", ["prague", "osaka"])
async def test_a_published_round_verifies_on_chain_and_nothing_else_does(tmp_path, kind):
    await verify_rounds(tmp_path, kind)


async def verify_rounds(tmp_path, kind: str) -> None:
    """Ask a chain of this kind about a round of quicknet, and about what is none."""
    artifact = load_artifact("DrandBeacon")
    network = (g2_words(QUICKNET.public_key), QUICKNET.dst, QUICKNET.genesis, QUICKNET.period)
    data = artifact.creation_data((SOMEBODY, SOMEBODY, network, 30, 600))
    proof = proof_bytes(ROUND, SIGNATURE)
    async with running(tmp_path, kind) as (client, sender):
        nonce = await sender.next_nonce()
        await sender.transact(Request(None, data, 5_000_000))
        to = "0x" + created_address(sender.address, nonce).hex()

        async def ask(number: int, point: bytes) -> str:
            call = "0x" + artifact.call_data("verify", (number, point)).hex()
            return await client.call(
                "eth_call", {"to": to, "data": call, "gas": hex(1_000_000)}, "latest"
            )

        assert await ask(ROUND, proof) == "0x" + RANDOMNESS
        refused = [(ROUND + 1, proof), (ROUND, flipped(proof, 700))]
        if kind != "pyevm":  # A pairing takes it seconds, and its precompiles are the same code.
            refused += [(ROUND, bytes(96)), (ROUND, outside_proof()), (ROUND, proof[:48])]
        for number, point in refused:
            with pytest.raises(RpcFailed):
                await ask(number, point)


async def prove_in_turn(bench, network, sources, *, turns: int) -> None:
    """Let every validator look once: whose turn it is proves what a source has."""
    provers = [
        ledger_of(bench, network, member).prover(network.task, sources)
        for member in network.members
    ]
    assert sum([await prover.prove_due() for prover in provers]) == turns


async def test_a_committee_is_drawn_by_a_consortiums_own_key(bench, tmp_path):
    create_round_key(tmp_path / "rounds.key")
    scalar, public = load_round_key(tmp_path / "rounds.key")
    own = DrandNetwork(public, genesis=QUICKNET.genesis, period=1)
    network = await set_up(bench, DrandTerms(own, lead_seconds=LEAD))
    network.deployment.save(tmp_path / "network.json")
    assert load_deployment(tmp_path / "network.json") == network.deployment
    await verify(bench.client, network.deployment)

    ledger = ledger_of(bench, network, network.members[0])
    await ledger.submit(OpenRound(network.task))
    events = await events_until(ledger, RoundOpened)
    request = next(event for event in events if isinstance(event, BeaconRequested))
    assert request.members == ()
    reader = Reader(bench.client, network.deployment)
    number, deadline = await reader.view("DrandBeacon", "requestOf", request.request)
    assert deadline == own.published_at(number) + DrandTerms(own).prove_seconds
    with pytest.raises(CallReverted, match="RoundManagerBeaconNotReady"):
        await ledger.submit(Draw(network.task))

    await pass_time(bench, LEAD + 1)
    lie, truth = tmp_path / "lie", tmp_path / "truth"
    for directory, signed in ((lie, number + 1), (truth, number)):
        directory.mkdir()
        said = {"round": number, "signature": sign_round(scalar, signed).hex()}
        (directory / f"{number}.json").write_text(json.dumps(said))
    await prove_in_turn(bench, network, [DirectoryRounds(lie)], turns=0)
    await prove_in_turn(bench, network, [DirectoryRounds(lie), DirectoryRounds(truth)], turns=1)
    await ledger.submit(Draw(network.task))
    events = await events_until(ledger, CommitteeDrawn)
    assert len(set(events[-1].committee)) == 9
