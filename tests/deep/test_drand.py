"""Whole nodes whose rounds are drawn by a consortium's own drand key."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from flocknode.chain.deploy import DrandTerms, NetworkTerms
from flocknode.chain.drand import DrandNetwork, create_round_key, load_round_key, sign_round
from flocknode.cli.demo import members, stage
from flocknode.cli.demo.plan import DemoOptions
from flocknode.cli.demo.run import watch
from flocknode.cli.demo.stage import open_grounds, set_stage, start_nodes
from flocknode.cli.node_config import NodeConfig
from flocknode.learning.pool import TrainerPool
from tests.contracts.test_chain_drand import verify_rounds

PERIOD = 3
ROUNDS = 2
OPTIONS = DemoOptions(
    task="breast-cancer",
    rounds=ROUNDS,
    trainers=4,
    validators=4,
    columns=3,
    seats=1,
    chain="anvil",
    seed=11,
    timeout=170,
    keep=None,
    port=0,
)


async def sign(network: DrandNetwork, scalar: int, directory: Path) -> None:
    """Leave each round in the directory when it is due, and none before."""
    number = int(time.time() - network.genesis) // network.period + 1
    while True:
        await trio.sleep(max(0.0, network.published_at(number) - time.time()))
        signature = await trio.to_thread.run_sync(sign_round, scalar, number)
        written = directory / f"{number}.new"
        written.write_text(json.dumps({"round": number, "signature": signature.hex()}))
        written.rename(directory / f"{number}.json")
        number += 1


def without_onion(create: Callable) -> Callable:
    return lambda *arguments: replace(create(*arguments), onion=None)


async def test_nodes_draw_and_settle_rounds_by_a_consortiums_own_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property
) -> None:
    rounds = tmp_path / "rounds"
    rounds.mkdir()
    create_round_key(tmp_path / "rounds.key")
    scalar, public = load_round_key(tmp_path / "rounds.key")
    network = DrandNetwork(public, genesis=int(time.time()) - 100, period=PERIOD)
    terms = partial(NetworkTerms, drand=DrandTerms(network, lead_seconds=PERIOD))
    monkeypatch.setattr(stage, "NetworkTerms", terms)
    monkeypatch.setattr(stage, "create_validator", without_onion(stage.create_validator))
    monkeypatch.setattr(members, "NodeConfig", partial(NodeConfig, drand=(str(rounds),)))
    async with (
        TrainerPool.open() as pool,
        open_grounds(tmp_path / "stage", pool, OPTIONS.chain) as grounds,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(sign, network, scalar, rounds)
        staged = await set_stage(grounds, OPTIONS)
        await start_nodes(staged, nursery)
        watcher = await watch(staged)
        for expected in range(ROUNDS):
            with trio.fail_after(120):
                record = await watcher.settled()
            assert record.settled.round == expected
        record_property("rounds", ROUNDS)
        nursery.cancel_scope.cancel()


async def test_a_published_round_verifies_on_the_python_chain(tmp_path: Path) -> None:
    await verify_rounds(tmp_path, "pyevm")
