"""The round, model-checked: with all rules nothing breaks; without any one of them something."""

import pytest

from tests.deep.model.clock import ClockMachine
from tests.deep.model.explore import RULES, explore
from tests.deep.model.inclusion import InclusionMachine
from tests.deep.model.proposal import ProposalMachine
from tests.deep.model.release import ReleaseMachine

LIAR_AND_TRAINER = {"bad": [0], "bad_trainer": 2, "gives": {0, 1, 2, 3, 5}, "rotate": 1}
"""Seat 0 and trainer 2 lie; no seed of the trainer reached seat 4. Seat x is of column x mod k."""
TWO_OF_A_COLUMN = {"bad": [0, 3]}
ONE_OF_TWO_COLUMNS = {"bad": [0, 1]}
LATE = {"slow": [3, 4, 6, 7]}

HOLDS = {
    "a liar and a bad trainer": InclusionMachine(**LIAR_AND_TRAINER),
    "two liars and a bad trainer": InclusionMachine(
        columns=3, bad=[0, 1], bad_trainer=2, gives={0, 1, 2, 3, 4, 5, 8}, rotate=2, views=2
    ),
    "one crashed seat in each column": InclusionMachine(crashed=[0, 1], views=3),
    "as many views as liars and one": InclusionMachine(columns=3, trainers=2, bad=[0, 1], views=3),
    "a spent set and another trainer": InclusionMachine(spent=0b011),
    "a proposer that omits": InclusionMachine(bad=[0], victim=0),
    "replaced blocks": ReleaseMachine(),
    "three attempts": ReleaseMachine(seats=1, reorganisations=0, attempts=3, views=1),
    "a liar and a crashed seat of a column": ProposalMachine(
        bad=[0], crashed=[3], idle_challenges=True
    ),
    "nothing is timely": ProposalMachine(
        timely=False, idle_challenges=True, must_settle=False, **TWO_OF_A_COLUMN
    ),
    "two lying columns and a replaced block": ProposalMachine(
        bad=[0, 1, 3, 4], must_settle=False, views=2, replaced=1
    ),
    "views longer than all delays": ClockMachine(view=7),
}
for first in range(9):
    HOLDS[f"two liars of a column, first proposer {first}"] = ProposalMachine(
        idle_challenges=True, rotate=first, **TWO_OF_A_COLUMN
    )
    HOLDS[f"a liar in each of two columns, first proposer {first}"] = ProposalMachine(
        idle_challenges=True, rotate=first, **LATE, **ONE_OF_TWO_COLUMNS
    )

TWO_SUMS = "two sums are known"
SHOWN = "an honest column is shown"
BREAKS = {
    "reseal": (InclusionMachine(["reseal"], **LIAR_AND_TRAINER), {"no set"}),
    "relay": (InclusionMachine(["relay"], **LIAR_AND_TRAINER), {"no set"}),
    "spent_scope": (InclusionMachine(["spent_scope"], spent=0b011), {"no set"}),
    "all_attested": (
        InclusionMachine(["all_attested"], bad=[0], victim=0),
        {"a trainer is left out"},
    ),
    "final_first": (ReleaseMachine(["final_first"]), {TWO_SUMS}),
    "record": (ReleaseMachine(["record"], attempts=1), {"a slot is signed twice"}),
    "spent": (ReleaseMachine(["spent"]), {TWO_SUMS}),
    "demand_first": (ReleaseMachine(["demand_first"]), {TWO_SUMS}),
    "root_in_include": (
        ProposalMachine(["root_in_include"], **TWO_OF_A_COLUMN),
        {"nothing settles"},
    ),
    "root_wait": (ProposalMachine(["root_wait"], **LATE, **ONE_OF_TWO_COLUMNS), {SHOWN}),
    "sign_any": (ProposalMachine(["sign_any"], **TWO_OF_A_COLUMN), {"nothing settles"}),
    "own_root": (
        ProposalMachine(["own_root"], **TWO_OF_A_COLUMN),
        {"an honest seat signs a wrong root of its own column"},
    ),
    "seed_demand": (
        ProposalMachine(["seed_demand"], lacks=[6], must_settle=False, **TWO_OF_A_COLUMN),
        {"a wrong model settles"},
    ),
    "fuse_on_strike": (
        ProposalMachine(["fuse_on_strike"], idle_challenges=True, **ONE_OF_TWO_COLUMNS),
        {"nothing settles"},
    ),
    "seat_lock": (
        ProposalMachine(["seat_lock"], idle_challenges=True, **TWO_OF_A_COLUMN),
        {"nothing settles after a strike", "endless"},
    ),
    "strike_extends": (
        ProposalMachine(["strike_extends"], **TWO_OF_A_COLUMN),
        {"nothing settles after a strike"},
    ),
    "window_outlives_void": (
        ProposalMachine(["window_outlives_void"], views=3, **ONE_OF_TWO_COLUMNS),
        {"nothing settles"},
    ),
    "lock_first": (
        ProposalMachine(["lock_first"], bad=[0, 1, 3, 4], must_settle=False, views=2),
        {"two columns are shown"},
    ),
}
SHORT = {
    "too few views": (InclusionMachine(columns=3, trainers=2, bad=[0, 1], views=2), {"no set"}),
    "views as long as the delays alone": (ClockMachine(view=4), {"no set"}),
    "a root deadline before the roots": (
        ProposalMachine(timely=False, must_settle=False, **LATE, **ONE_OF_TWO_COLUMNS),
        {SHOWN},
    ),
}


@pytest.mark.parametrize("name", HOLDS)
def test_with_all_rules_nothing_breaks(name, record_property):
    found = explore(HOLDS[name])
    record_property("states", found.states)
    assert found.broken == {}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_without_a_rule_something_breaks(rule, record_property):
    machine, expected = BREAKS[rule]
    found = explore(machine)
    record_property("states", found.states)
    assert found.broken.keys() == expected


@pytest.mark.parametrize("name", SHORT)
def test_a_constant_that_is_too_small_breaks(name):
    machine, expected = SHORT[name]
    assert explore(machine).broken.keys() == expected
