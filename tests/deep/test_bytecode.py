"""What takes a compiler minutes: the same bytes again, and long walks through the contracts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = [sys.executable, str(ROOT / "scripts" / "build_contracts.py")]
CALLS_A_WALK = 100
WALKS = {"InvariantOfRounds": 500, "InvariantOfEpochs": 500, "ProofInvariant": 100}
"""By campaign, as the profile `deep` has them; a call of the last one proves whole rounds."""


def run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [*BUILD, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_fresh_build_gives_the_same_bytes():
    run("--check")


@pytest.mark.parametrize("campaign", WALKS)
def test_invariants_hold_on_long_random_walks(campaign, record_property):
    told = run(
        "--test",
        "--match-contract",
        campaign,
        FOUNDRY_PROFILE="deep",
    )
    (runs, calls), *others = re.findall(r"runs: (\d+), calls: (\d+), reverts: 0", told)
    assert not others
    assert int(runs) == WALKS[campaign]
    record_property("calls", int(calls))
    assert int(calls) >= WALKS[campaign] * CALLS_A_WALK
