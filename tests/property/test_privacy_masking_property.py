"""Masks cancel exactly, and only all of them together do."""

from hashlib import sha256

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flocknode.aggregation.ring import centred, unmask
from flocknode.model.stages import QuantisedDelta
from flocknode.privacy.masking import mask, sum_masks


def seed(trainer, column):
    return sha256(bytes([trainer, column])).digest()


@st.composite
def cohorts(draw):
    """Quantised deltas whose sum fits the ring: shape [trainers, words]."""
    width = draw(st.sampled_from([8, 16, 32]))
    trainers = draw(st.integers(1, 8))
    words = draw(st.integers(1, 40))
    limit = ((1 << (width - 1)) - 1) // trainers
    word = st.sampled_from([-limit, 0, limit]) | st.integers(-limit, limit)
    rows = draw(
        st.lists(
            st.lists(word, min_size=words, max_size=words), min_size=trainers, max_size=trainers
        )
    )
    return width, np.array(rows, np.int64)


def masked_cohort(width, cohort, columns):
    trainers, words = cohort.shape
    masked = [
        mask(
            QuantisedDelta(row.astype(np.int32), 0),
            [seed(trainer, column) for column in range(columns)],
            width,
        )
        for trainer, row in enumerate(cohort)
    ]
    sums = [
        sum_masks([seed(trainer, column) for trainer in range(trainers)], words, width)
        for column in range(columns)
    ]
    return masked, sums


@given(cohorts(), st.integers(1, 7))
def test_masks_cancel_exactly(sized, columns):
    width, cohort = sized
    masked, sums = masked_cohort(width, cohort, columns)
    assert centred(unmask(masked, sums)).tolist() == cohort.sum(axis=0).tolist()


@given(cohorts(), st.integers(1, 7), st.randoms(use_true_random=False))
def test_order_of_trainers_and_columns_does_not_matter(sized, columns, random):
    masked, sums = masked_cohort(*sized, columns)
    expected = unmask(masked, sums).words.tolist()
    random.shuffle(masked)
    random.shuffle(sums)
    assert unmask(iter(masked), iter(sums)).words.tolist() == expected


def test_one_missing_mask_sum_leaves_noise():
    cohort = np.zeros((3, 1000), np.int64)
    masked, sums = masked_cohort(16, cohort, 3)
    for missing in range(3):
        kept = sums[:missing] + sums[missing + 1 :]
        # Of 1000 uniform 16-bit words about 0.015 are zero.
        assert np.count_nonzero(unmask(masked, kept).words == 0) < 5


def test_masked_delta_of_one_trainer_looks_uniform():
    masked, _ = masked_cohort(8, np.zeros((1, 25_600), np.int64), 2)
    counts = np.bincount(masked[0].words, minlength=256)
    # 256 cells of 100: chi-square has mean 255 and standard deviation 22.6.
    assert ((counts - 100) ** 2 / 100).sum() < 255 + 6 * 22.6
