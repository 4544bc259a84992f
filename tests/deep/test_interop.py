"""Long walks: the contracts' bytecode and its reference in Python say and leave the same."""

from pathlib import Path

import pytest

from tests.contracts.twin import TwinLedger, running
from tests.contracts.walk import Walk
from tests.simulation.truthful_world import TruthfulWorld

WALKS = 10
STEPS = 200


@pytest.mark.parametrize("first", range(0, 100, WALKS))
def test_bytecode_and_reference_agree_on_long_walks(
    first: int, tmp_path: Path, record_property
) -> None:
    calls, convictions = 0, 0
    with running(tmp_path) as anvil:
        for seed in range(first, first + WALKS):
            ledger = TwinLedger(anvil)
            walk = Walk(TruthfulWorld(ledger=ledger), seed)
            for _ in range(STEPS):
                walk.step()
            ledger.compare_holdings()
            calls += ledger.calls
            convictions += len(walk.convictions)
    record_property("calls", calls)
    record_property("convictions", convictions)
