"""Five hundred rounds judged by what colluders make of them; see ``tests/privacy``."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from scipy.stats import chi2

from tests.privacy.adversary import accuracy, observe, three_sigma

FITTED, JUDGED = 250, 500
CLASSES = 16


@pytest.fixture(scope="module")
def observations():
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return list(pool.map(observe, range(FITTED + JUDGED), chunksize=10))


def test_all_columns_but_one_and_all_trainers_but_two_learn_nothing(observations):
    right = accuracy(observations, "all columns but one", FITTED)
    print(f"\nall columns but one, N - 2 trainers: {right:.3f}")  # noqa: T201 - shown with -s
    assert abs(right - 0.5) <= three_sigma(JUDGED)


@pytest.mark.parametrize("view", ["and one seat of the last", "all other trainers"])
def test_who_sees_more_can_tell(observations, view):
    right = accuracy(observations, view, FITTED)
    print(f"\n{view}: {right:.3f}")  # noqa: T201 - shown with -s
    assert right > 0.95


@pytest.mark.parametrize("shift", [0, 12])
def test_masked_deltas_are_uniform_in_every_coordinate(observations, shift):
    classes = np.array([one.masked for one in observations]) >> shift & (CLASSES - 1)
    counts = np.array([(classes == value).sum(axis=0) for value in range(CLASSES)])
    expected = len(observations) / CLASSES
    statistics = ((counts - expected) ** 2 / expected).sum(axis=0)
    assert statistics.max() < chi2.isf(1e-6, CLASSES - 1)
    deviation = (2 * (CLASSES - 1) / statistics.size) ** 0.5
    assert abs(statistics.mean() - (CLASSES - 1)) < 4 * deviation
