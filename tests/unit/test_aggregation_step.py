from dataclasses import replace

import numpy as np
import pytest

from flocknode.aggregation.ring import unmask
from flocknode.aggregation.step import check_terms, model_root, server_step
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.model.errors import LengthError, TermsError
from flocknode.model.stages import Aggregate, MaskedDelta, MaskSum
from flocknode.model.terms import IntegerTerms

# b = 12: Q = 2047, s = 11, eta = 1: num / den = 16 * 2^9.
TERMS = IntegerTerms(
    words=3,
    width=16,
    bits=12,
    weight_max=16,
    tau=511,
    scale_bits=11,
    numerator=16 << 9,
    denominator=1,
    clip_norm_log2=0,
)
INT32_MAX, INT32_MIN = (1 << 31) - 1, -(1 << 31)


def step(model, sums, weight_sum, **changes):
    terms = replace(TERMS, words=len(model), **changes)
    words = np.array(sums, np.int64).astype("<u2")
    return server_step(np.array(model, np.int32), Aggregate(words), weight_sum, terms).tolist()


def test_mean_of_full_weights_moves_the_model():
    # Two trainers of weight 16: R = 4 units is a mean of 2 units of 2^-11 = 2 * 2^9 model words.
    assert step([5, 0, -5], [4, 0, -4], 32) == [5 + 1024, 0, -5 - 1024]


def test_halves_round_up_on_both_sides_of_zero():
    # num / (den D) = 1/2: half a word for R = 1, minus half for R = -1.
    assert step([0, 0, 0, 0], [1, -1, 3, -3], 16, numerator=8) == [1, 0, 2, -1]


def test_sum_is_clamped_to_its_share():
    # L = floor(32 * 511 / 16) = 1022, and 1022 * 8192 / 32 = 261632.
    assert step([0, 0, 0], [1022, 1023, -32768], 32) == [261632, 261632, -261632]


def test_model_words_saturate():
    ends = [INT32_MAX - 1, INT32_MIN + 1, INT32_MAX]
    assert step(ends, [4, -4, -4], 32) == [INT32_MAX, INT32_MIN, INT32_MAX - 1024]


def test_vector_of_another_length_is_refused():
    model, sums = np.zeros(3, np.int32), np.zeros(3, "<u2")
    with pytest.raises(LengthError):
        server_step(model[:2], Aggregate(sums), 16, TERMS)
    with pytest.raises(LengthError):
        server_step(model, Aggregate(sums[:2]), 16, TERMS)


def test_vectors_of_different_length_do_not_add():
    short, full = np.zeros(2, "<u2"), np.zeros(3, "<u2")
    with pytest.raises(LengthError):
        unmask([MaskedDelta(full), MaskedDelta(short)], [])
    with pytest.raises(LengthError):
        unmask([MaskedDelta(full)], [MaskSum(short)])


def test_unmasking_leaves_its_arguments_alone():
    first = np.array([1, 2], "<u2")
    unmask([MaskedDelta(first), MaskedDelta(first)], [MaskSum(first)])
    assert first.tolist() == [1, 2]


def test_model_root_is_the_tree_of_little_endian_words():
    root = model_root(np.array([1, -1], np.int32))
    assert root == tree_root(TreeKind.MODEL, b"\1\0\0\0\xff\xff\xff\xff")


def test_sound_terms_are_accepted():
    # 16 trainers of Q = 2047 reach 32752 < 2^15.
    check_terms(TERMS, trainers=16, trainers_min=3)


@pytest.mark.parametrize(
    ("rule", "changes", "trainers", "trainers_min"),
    [
        ("width", {"width": 64}, 16, 3),
        ("width", {"width": 12}, 16, 3),
        ("bits", {"bits": 1, "tau": 0}, 16, 3),
        ("bits", {"bits": 17}, 1, 1),
        ("words", {"words": 0}, 16, 3),
        ("words", {"words": 1 << 32}, 16, 3),
        ("trainers are", {"width": 32}, 257, 3),
        ("trainers are", {}, 16, 17),
        ("trainers are", {}, 16, 0),
        ("weight_max", {"weight_max": 0}, 16, 3),
        ("weight_max", {"weight_max": 256}, 16, 3),
        ("trainers \\* Q", {}, 17, 3),
        ("tau", {"tau": 0}, 16, 3),
        ("tau", {"tau": 2048}, 16, 3),
        ("L >= 1", {"tau": 5}, 16, 3),
        ("s <= 24", {"scale_bits": 25}, 16, 3),
        ("s <= 24", {"scale_bits": -1}, 16, 3),
        ("positive", {"denominator": 0}, 16, 3),
        ("positive", {"denominator": -1}, 16, 3),
        ("positive", {"numerator": 0}, 16, 3),
        ("2\\^62", {"numerator": 1 << 45}, 16, 3),
        ("2\\^62", {"denominator": 1 << 54}, 16, 3),
    ],
)
def test_unsound_terms_are_refused(rule, changes, trainers, trainers_min):
    with pytest.raises(TermsError, match=rule):
        check_terms(replace(TERMS, **changes), trainers, trainers_min)


def test_limits_of_the_terms_are_sharp():
    # (2 num tau + den) D_max with D_max = 256: the largest denominator below 2^62 / 256 passes.
    rest = (1 << 54) - 2 * TERMS.numerator * TERMS.tau
    check_terms(replace(TERMS, denominator=rest - 1), 16, 3)
    with pytest.raises(TermsError):
        check_terms(replace(TERMS, denominator=rest), 16, 3)
    check_terms(replace(TERMS, tau=6), 16, 3)
    check_terms(replace(TERMS, tau=2047, scale_bits=24), 16, 1)
