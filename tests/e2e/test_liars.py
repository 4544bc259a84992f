"""A lie told over a real network and proven on real bytecode."""

from tests.e2e.demo_process import run_demo


def test_column_that_lies_about_its_sum_is_slashed_and_the_right_model_settles() -> None:
    demo = run_demo(
        *("--rounds", "1", "--trainers", "3", "--validators", "9"),
        *("--liar", "mask", "--colluding", "majority"),
    )
    assert demo.code == 0, demo.stderr[-3000:]
    verdicts = demo.of("slash")
    assert [verdict["offence"] for verdict in verdicts] == ["wrong_mask_sum"] * 2
    for verdict in verdicts:
        assert verdict["proposal_struck"]
        assert verdict["honest_stake_lost"] == "0"
        lost = int(verdict["stake_before"]) - int(verdict["stake_after"])
        assert lost == int(verdict["amount"]) > 0
    (settled,) = demo.of("round")
    assert settled["view"] > verdicts[0]["view"]
    assert demo.summary["rounds_verified"] == 1
    assert demo.summary["honest_stake_lost"] == "0"
