"""The demo without anything that is not Python."""

import pytest

from tests.e2e.demo_process import Finished, run_demo

ROUNDS = 2
SMALL = ("--rounds", str(ROUNDS), "--trainers", "4", "--columns", "3", "--seats", "1")
NO_ANVIL = ("env", "FLOCKNODE_ANVIL=/nowhere/anvil", "PATH=/nowhere")


@pytest.fixture(scope="module")
def demo() -> Finished:
    finished = run_demo("--chain", "pyevm", "--seed", "7", *SMALL, prefix=NO_ANVIL)
    assert finished.code == 0, finished.stderr[-3000:]
    return finished


def test_rounds_settle_and_are_verified_without_anvil(demo: Finished) -> None:
    summary = demo.summary
    assert summary["rounds_settled"] == summary["rounds_verified"] == ROUNDS
    assert all(event["included"] == 4 for event in demo.of("round"))
    assert demo.of("start")[0]["chain"] == "pyevm"


def test_pay_is_claimed_and_no_process_left(demo: Finished) -> None:
    summary = demo.summary
    assert int(summary["rewards_left"]) < 1000
    assert summary["trainer_transactions"] == summary["processes_left"] == 0
