from dataclasses import replace

import numpy as np
import pytest

from flocknode.model.errors import LengthError, TermsError
from flocknode.model.stages import ClippedDelta
from flocknode.model.terms import IntegerTerms
from flocknode.model.words import words_bytes
from flocknode.privacy.quantisation import dither_stream, quantise, restore_quantised

SEED = bytes(range(32))
# b = 8: Q = 127, s = 7: one unit is 2^-7; weight_max 16.
TERMS = IntegerTerms(
    words=4,
    width=16,
    bits=8,
    weight_max=16,
    tau=31,
    scale_bits=7,
    numerator=16 << 13,
    denominator=1,
    clip_norm_log2=0,
)


def quantised(values, weight, dither):
    terms = replace(TERMS, words=len(values))
    return quantise(ClippedDelta(np.array(values)), weight, terms, np.array(dither, np.uint32))


def test_floor_is_towards_minus_infinity_and_dither_lifts():
    # 1.5, -1.5 units; u = 0, then u = 1/2.
    assert quantised([1.5 / 128, -1.5 / 128], 16, [0, 0]).values.tolist() == [1, -2]
    assert quantised([1.5 / 128, -1.5 / 128], 16, [1 << 31, 1 << 31]).values.tolist() == [2, -1]


def test_largest_dither_does_not_lift_an_exact_integer():
    top = (1 << 32) - 1
    assert quantised([100 / 128, 0.0, -1 / 128], 16, [top] * 3).values.tolist() == [100, 0, -1]


def test_weight_scales_value_and_limit():
    # Limits: floor(127 * 16 / 16) = 127, floor(127 * 1 / 16) = 7.
    full, light = (quantised([2.0, -2.0, 0.25], k, [0] * 3) for k in (16, 1))
    assert full.values.tolist() == [127, -127, 32]
    assert light.values.tolist() == [7, -7, 2]
    assert full.saturated == light.saturated == 2


@pytest.mark.parametrize("weight", [0, -1, 17])
def test_weight_outside_the_terms_is_refused(weight):
    with pytest.raises(TermsError):
        quantised([0.0], weight, [0])


@pytest.mark.parametrize("value", [0.003, -0.003, 0.4 / 128, -31.7 / 128, 7 / 128])
def test_rounding_is_unbiased(value):
    count = 100_000
    result = quantised([value] * count, 16, dither_stream(SEED, count))
    # The error of one word has a standard deviation of at most half a unit: five sigma.
    assert result.values.mean() == pytest.approx(value * 128, abs=5 * 0.5 / count**0.5)


def test_dither_is_the_seeds_and_no_other():
    assert (dither_stream(SEED, 100) == dither_stream(SEED, 200)[:100]).all()
    assert (dither_stream(SEED, 100) != dither_stream(bytes(32), 100)).any()


def test_kept_delta_is_resent_as_it_was():
    first = quantised([0.3, -2.0, 0.0, 2.0], 3, dither_stream(SEED, 4))
    again = restore_quantised(bytes(words_bytes(first.values)), 3, TERMS)
    assert (again.values == first.values).all()


def test_kept_delta_of_other_terms_is_refused():
    kept = np.array([0, 8, 0, 0], np.int32)
    with pytest.raises(TermsError):
        restore_quantised(words_bytes(kept), 1, TERMS)
    with pytest.raises(LengthError):
        restore_quantised(words_bytes(kept[:3]), 16, TERMS)
