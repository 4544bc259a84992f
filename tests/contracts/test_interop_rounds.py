"""The bytecode and the reference agree, call by call, on rounds, proofs, duties and pay."""

from collections.abc import Iterator

import pytest

from tests.contracts.twin import Anvil, TwinLedger, running
from tests.contracts.walk import Walk
from tests.simulation.truthful_world import TruthfulWorld

STEPS = 30


@pytest.fixture(scope="module")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anvil]:
    with running(tmp_path_factory.mktemp("twin")) as anvil:
        yield anvil


@pytest.mark.parametrize("seed", [3])
def test_bytecode_and_reference_agree_on_a_random_walk_through_rounds(anvil, seed) -> None:
    ledger = TwinLedger(anvil)
    walk = Walk(TruthfulWorld(ledger=ledger), seed)
    for _ in range(STEPS):
        walk.step()
    ledger.compare_holdings()
    assert ledger.state.rounds[1].round > 0
    assert ledger.refusals
