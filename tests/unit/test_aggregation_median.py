import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocknode.aggregation.median import doubled_median, median_network

EXTREMES = {16: (-(1 << 15), (1 << 15) - 1), 32: (-(1 << 31), (1 << 31) - 1)}


@given(st.integers(1, 40), st.sampled_from([16, 32]), st.data())
def test_median_is_the_middle_of_the_sorted(members, width, data):
    word = st.sampled_from([*EXTREMES[width], -1, 0, 1]) | st.integers(*EXTREMES[width])
    row = st.lists(word, min_size=3, max_size=3)
    cohort = np.array(
        data.draw(st.lists(row, min_size=members, max_size=members)), f"i{width // 8}"
    )
    ordered = np.sort(cohort, axis=0).astype(np.int64)
    expected = ordered[(members - 1) // 2] + ordered[members // 2]
    assert doubled_median(cohort).tolist() == expected.tolist()


@pytest.mark.parametrize("members", range(1, 13))
def test_network_is_right_for_every_order_of_zeros_and_ones(members):
    """By the zero-one principle (Knuth, 5.3.4) it is right for every order of anything."""
    cohort = (np.arange(1 << members) >> np.arange(members)[:, None] & 1).astype(np.int16)
    ordered = np.sort(cohort, axis=0).astype(np.int64)
    expected = ordered[(members - 1) // 2] + ordered[members // 2]
    assert (doubled_median(cohort) == expected).all()


def test_tiles_do_not_show():
    cohort = np.random.default_rng(1).integers(-1000, 1000, (5, 40_000)).astype(np.int32)
    assert (doubled_median(cohort) == 2 * np.median(cohort, axis=0)).all()


def test_less_than_half_of_the_members_cannot_move_it_past_the_others():
    cohort = np.array([[3], [1], [2], [30_000], [30_000]], np.int16)
    assert doubled_median(cohort).tolist() == [6]


def test_network_leaves_out_what_the_middle_does_not_need():
    counted = sum(one.low_counts + one.high_counts for one in median_network(20))
    assert counted <= 150
