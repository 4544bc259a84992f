"""The step against exact rational arithmetic, and against float averaging of the same deltas."""

from dataclasses import replace
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flocknode.aggregation.ring import unmask
from flocknode.aggregation.step import check_terms, error_bound, server_step
from flocknode.crypto.masks import expand
from flocknode.model.errors import TermsError
from flocknode.model.stages import Aggregate, MaskedDelta, ModelDelta
from flocknode.model.terms import IntegerTerms
from flocknode.model.words import ring_dtype
from flocknode.privacy.clipping import clip_l2
from flocknode.privacy.quantisation import dither_stream, quantise

INT32 = (-(1 << 31), (1 << 31) - 1)


def exact_step(word, total, weight_sum, terms):
    limit = weight_sum * terms.tau // terms.weight_max
    clamped = min(limit, max(-limit, total))
    moved = Fraction(terms.numerator * clamped, terms.denominator * weight_sum) + Fraction(1, 2)
    return min(INT32[1], max(INT32[0], word + floor(moved)))


@st.composite
def sound_rounds(draw):
    """Terms that the check accepts and a weight sum that a round under them may have."""
    width = draw(st.sampled_from([8, 16, 32]))
    bits = draw(st.integers(2, width))
    quantised_max = (1 << (bits - 1)) - 1
    trainers = draw(st.integers(1, 256))
    positive = st.integers(1, 64).flatmap(lambda size: st.integers(1, (1 << size) - 1))
    terms = IntegerTerms(
        words=4,
        width=width,
        bits=bits,
        weight_max=draw(st.integers(1, 255)),
        tau=draw(st.integers(1, quantised_max)),
        scale_bits=draw(st.integers(0, 24)),
        numerator=draw(positive),
        denominator=draw(positive),
        clip_norm_log2=0,
    )
    trainers_min = draw(st.integers(1, trainers))
    try:
        check_terms(terms, trainers, trainers_min)
    except TermsError:
        assume(condition=False)
    return terms, draw(st.integers(trainers_min, trainers * terms.weight_max))


@given(sound_rounds(), st.data())
def test_step_is_exact_for_every_sound_task(sound, data):
    terms, weight_sum = sound
    half = 1 << (terms.width - 1)
    extremes = st.sampled_from([-half, -half + 1, -1, 0, 1, half - 1])
    sums = data.draw(st.lists(extremes | st.integers(-half, half - 1), min_size=4, max_size=4))
    model = data.draw(
        st.lists(st.sampled_from(INT32) | st.integers(*INT32), min_size=4, max_size=4)
    )
    words = (np.array(sums) % (2 * half)).astype(ring_dtype(terms.width))
    stepped = server_step(np.array(model, np.int32), Aggregate(words), weight_sum, terms)
    assert stepped.tolist() == [
        exact_step(word, total, weight_sum, terms) for word, total in zip(model, sums, strict=True)
    ]


def test_largest_terms_do_not_overflow():
    # den D is as near to 2^62 as the terms allow, so 2 den D nears 2^63.
    base = IntegerTerms(2, 32, 24, 1, 1, 0, 1, 1, 0)
    terms = replace(base, denominator=((1 << 62) - 1) // 256 - 2)
    check_terms(terms, 256, 1)
    words = np.array([-(1 << 31), (1 << 31) - 1], np.int32)
    sums = words.view(np.uint32).astype("<u4")
    stepped = server_step(words, Aggregate(sums), 256, terms)
    assert stepped.tolist() == words.tolist()


def weighted_fedavg(model, deltas, weights, eta):
    """Average in float64: what the integers stand for."""
    mean = sum(k * delta for k, delta in zip(weights, deltas, strict=True)) / sum(weights)
    return model + eta * mean


@pytest.mark.parametrize(
    ("bits", "trainers", "eta"), [(12, 16, 1), (10, 12, 5), (8, 200, 1), (8, 3, 2), (4, 12, 1)]
)
def test_error_against_float_averaging_is_within_its_bound(bits, trainers, eta):
    words, weight_max, coordinate_bound_log2 = 4096, 16, -2
    scale_bits = bits - 1 - coordinate_bound_log2
    terms = IntegerTerms(
        words=words,
        width=16,
        bits=bits,
        weight_max=weight_max,
        tau=(1 << (bits - 1)) - 1,
        scale_bits=scale_bits,
        numerator=eta * weight_max * 2 ** (20 - scale_bits),
        denominator=1,
        clip_norm_log2=2,
    )
    check_terms(terms, trainers, 3)
    rng = np.random.default_rng(bits * 1000 + trainers)
    model = rng.integers(-(1 << 20), 1 << 20, words).astype(np.int32)
    # A tight norm keeps every coordinate of these deltas far inside its bound of 1/4.
    deltas = [
        clip_l2(ModelDelta(rng.normal(size=words)), 2.0**terms.clip_norm_log2 / 2)
        for _ in range(trainers)
    ]
    weights = [int(k) for k in rng.integers(weight_max // 2, weight_max + 1, trainers)]
    quantised = [
        quantise(delta, k, terms, dither_stream(bytes([i]) * 32, words))
        for i, (delta, k) in enumerate(zip(deltas, weights, strict=True))
    ]
    assert sum(delta.saturated for delta in quantised) == 0

    plain = [MaskedDelta(delta.values.astype("<u2")) for delta in quantised]
    stepped = server_step(model, unmask(plain, []), sum(weights), terms) * 2.0**-20
    average = weighted_fedavg(model * 2.0**-20, [delta.values for delta in deltas], weights, eta)
    error = stepped - average
    bound = error_bound(terms, trainers, sum(weights))
    largest, rms = np.abs(error).max(), np.sqrt(np.mean(error**2))
    measured = f"max {largest:.3g} of {bound.max:.3g}, rms {rms:.3g} of {bound.rms:.3g}"
    assert largest < bound.max, measured
    assert rms < bound.rms, measured
    # A bound that nothing comes near would hide a step that is wrong by a factor.
    assert rms > bound.rms / 3, measured


@given(st.permutations(range(6)))
def test_order_of_summation_does_not_matter(order):
    masked = [MaskedDelta(expand(bytes([i]) * 32, 50, 16)) for i in range(6)]
    shuffled = unmask([masked[i] for i in order], [])
    assert (shuffled.words == unmask(masked, []).words).all()
