"""The demo as a user runs it: real libp2p, real bytecode, real processes."""

import json
import subprocess

import pytest

from flocknode.chain.devchain import find_anvil
from tests.e2e.demo_process import COMMAND, Finished, descendants, interrupt, run_demo, wait_gone

ROUNDS = 4
GAS_LIMIT = 1_400_000
IN_NAMESPACE = (
    "unshare",
    "--net",
    *("sh", "-c", 'ip link set lo up && "$@"; code=$?; cat /proc/net/dev >&2; exit $code', "sh"),
)
"""A network namespace of its own, whose byte counter is printed at the end."""


@pytest.fixture(scope="module")
def demo() -> Finished:
    find_anvil()  # there is nowhere to fetch it from inside the namespace
    finished = run_demo("--rounds", str(ROUNDS), "--seed", "7", prefix=IN_NAMESPACE)
    assert finished.code == 0, finished.stderr[-3000:]
    return finished


def test_every_round_settles_and_is_recomputed_from_public_data(demo: Finished) -> None:
    summary = demo.summary
    assert summary["rounds_settled"] == summary["rounds_verified"] == ROUNDS
    assert summary["receipts_verified"] == 12 * ROUNDS
    assert [event["round"] for event in demo.of("round")] == list(range(1, ROUNDS + 1))
    assert all(event["included"] == event["contributions"] == 12 for event in demo.of("round"))


def test_training_together_is_better_than_the_mean_of_training_alone(demo: Finished) -> None:
    summary = demo.summary
    assert summary["accuracy_federated"] > summary["accuracy_alone_mean"]
    assert summary["accuracy_federated"] >= summary["accuracy_pooled"] - 0.02


def test_epochs_change_the_committee(demo: Finished) -> None:
    committees = [tuple(event["committee"]) for event in demo.of("round")]
    assert committees[0] == committees[1] == committees[2]
    assert demo.summary["committees_distinct"] == len(set(committees)) >= 2


def test_a_round_costs_the_chain_at_most_the_promised_gas(demo: Finished) -> None:
    assert 0 < demo.summary["gas_per_round_max"] <= GAS_LIMIT
    for event in demo.of("round"):
        assert event["gas"] == sum(event["gas_by_step"].values())
        assert {"include", "propose", "settle"} <= event["gas_by_step"].keys()


def test_trainers_send_no_transaction_and_all_pay_is_claimed(demo: Finished) -> None:
    summary = demo.summary
    assert summary["trainer_transactions"] == 0
    assert summary["honest_stake_lost"] == "0"
    assert summary["processes_left"] == 0
    funded, claimed = int(summary["rewards_funded"]), int(summary["rewards_claimed"])
    assert funded == claimed + int(summary["rewards_left"])
    assert int(summary["rewards_left"]) < 1000  # what division leaves, in the smallest unit


def test_it_really_is_the_network(demo: Finished) -> None:
    loopback = next(line for line in demo.stderr.splitlines() if line.strip().startswith("lo:"))
    received = int(loopback.split(":")[1].split()[0])
    sent = demo.summary["bytes_gossiped"] + demo.summary["bytes_bulk"]
    assert received >= sent >= demo.summary["bytes_needed"]


def test_one_seed_gives_one_model_whoever_sums_it_and_interrupting_leaves_no_process(
    demo: Finished,
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--json", "--seed", "7", "--seats", "1", "--validators", "6"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    again = []
    while len(again) < 2:
        event = json.loads(process.stdout.readline())
        again += [event] if event["event"] == "round" else []
    started = descendants(process.pid)
    assert len(started) >= 2  # a chain and a training process
    interrupt(process)
    assert process.wait(20) == 130
    process.stdout.close()
    assert wait_gone(started, 5) == set()

    before = demo.of("round")[:2]
    assert [event["model_root"] for event in again] == [event["model_root"] for event in before]
    # Committees and masks come from the operating system's randomness: they never repeat.
    assert again[0]["mask_roots"] != before[0]["mask_roots"]
