"""Colluders look at real rounds: machines, vaults, messages; only network and chain are simulated.

In half of the rounds two trainers' deltas are swapped. Whoever can tell which half a round is from
has learned something about one trainer's delta. ``tests/deep/test_privacy.py`` judges 500 rounds.
"""

import numpy as np
import pytest

from tests.privacy.adversary import accuracy, observe, three_sigma

FITTED, JUDGED = 12, 20


@pytest.fixture(scope="module")
def observations():
    return [observe(seed) for seed in range(FITTED + JUDGED)]


def test_all_columns_but_one_and_all_trainers_but_two_learn_nothing(observations):
    right = accuracy(observations, "all columns but one", FITTED)
    assert abs(right - 0.5) <= three_sigma(JUDGED)


def test_one_seat_of_the_last_column_gives_the_deltas_away(observations):
    assert accuracy(observations, "and one seat of the last", FITTED) > 0.95


def test_all_other_trainers_can_subtract_their_own(observations):
    """The limit of any sum: only differential privacy answers it."""
    assert accuracy(observations, "all other trainers", FITTED) > 0.95


def test_both_worlds_were_seen(observations):
    assert 0.3 < np.mean([one.swapped for one in observations]) < 0.7
