"""All eight lies over a real network: told alone and together, proven on real bytecode."""

import pytest

from tests.e2e.demo_process import Finished, run_demo

SHAPE = ("--trainers", "4", "--validators", "12", "--timeout", "170")
CONVICTED = {
    ("equivocate", "minority"): ["equivocation"],
    ("inclusion", "minority"): [],
    ("inclusion", "majority"): ["bad_inclusion"] * 6,
    ("mask", "minority"): ["wrong_mask_sum"],
    ("mask", "majority"): ["wrong_mask_sum"] * 2,
    ("aggregate", "minority"): ["wrong_aggregate"],
    ("aggregate", "majority"): ["wrong_aggregate"] * 6,
    ("step", "minority"): ["wrong_step"],
    ("step", "majority"): ["wrong_step"] * 6,
    ("tree", "minority"): [],
    ("tree", "majority"): ["withheld_tree"],
    ("silent", "minority"): ["first_missed_duty", "missed_duty"],
    ("withhold", "minority"): [],
    ("withhold", "majority"): ["first_missed_duty"] * 2,
}
"""What the chain finds. A lone seat cannot bring a forged set there, and a question or a demand
that is answered costs a bond."""
STRUCK = {
    ("mask", "minority"),
    ("mask", "majority"),
    ("aggregate", "majority"),
    ("step", "majority"),
    ("tree", "majority"),
}
ON_PYEVM = (("equivocate", "minority"), ("mask", "majority"), ("step", "majority"))


def check(demo: Finished, told: tuple[str, str], rounds: int, record_property) -> None:
    assert demo.code == 0, demo.stderr[-3000:]
    verdicts = demo.of("slash")
    assert [verdict["offence"] for verdict in verdicts] == CONVICTED[told]
    assert {v["proposal_struck"] for v in verdicts} <= {told in STRUCK}
    for verdict in verdicts:
        assert verdict["honest_stake_lost"] == "0"
        record_property("proof_gas", verdict["proof_gas"])
    assert demo.summary["honest_stake_lost"] == "0"
    assert demo.summary["rounds_verified"] == rounds


@pytest.mark.parametrize("told", CONVICTED, ids="-".join)
def test_lie_is_proven_on_anvil_and_costs_its_liars_alone(told, record_property) -> None:
    lie, colluding = told
    rounds = 2 if lie == "silent" else 1
    options = ("--rounds", str(rounds), "--liar", lie, "--colluding", colluding)
    check(run_demo(*SHAPE, *options), told, rounds, record_property)


@pytest.mark.parametrize("told", ON_PYEVM, ids="-".join)
def test_lie_is_proven_on_the_python_chain(told, record_property) -> None:
    lie, colluding = told
    options = ("--rounds", "1", "--liar", lie, "--colluding", colluding, "--chain", "pyevm")
    check(run_demo(*SHAPE, *options), told, 1, record_property)


def test_nobody_is_slashed_where_nobody_lies(record_property) -> None:
    demo = run_demo(*SHAPE, "--rounds", "3")
    assert demo.code == 0, demo.stderr[-3000:]
    assert demo.of("slash") == []
    assert demo.summary["honest_stake_lost"] == "0"
    record_property("rounds", demo.summary["rounds_settled"])
