from fractions import Fraction

import pytest

from flocknode.aggregation.step import check_terms
from flocknode.errors import ConfigurationError
from flocknode.learning.recipe import Reach, default_terms, quantiser_bits, roster_weights

REACH = Reach(norm=3.0, coordinate=0.8)


@pytest.mark.parametrize("trainers", [3, 16, 17, 32, 33, 64, 65, 128, 129, 256])
def test_terms_fit_the_ring_and_the_contract(trainers):
    terms = default_terms(1_000, trainers, REACH)
    check_terms(terms, trainers, 3)
    assert trainers * terms.quantised_max < 2 ** (terms.width - 1)
    wider = 2 ** (terms.bits + 1 - 1) - 1
    full = {12: 16, 11: 32, 10: 64, 9: 128, 8: 256}[terms.bits]
    assert full * wider >= 2 ** (terms.width - 1)


def test_roster_beyond_256_is_refused():
    with pytest.raises(ConfigurationError):
        quantiser_bits(257)


def test_bounds_are_four_times_the_reach_up_to_a_power_of_two():
    terms = default_terms(1_000, 12, REACH)
    assert terms.clip_norm_log2 == 4  # 12 -> 16
    assert terms.scale_bits == 12 - 1 - 2  # 3.2 -> 4


def test_bounds_are_twice_the_reach_where_bits_are_scarce():
    terms = default_terms(1_000, 256, REACH)
    assert terms.clip_norm_log2 == 3  # 6 -> 8
    assert terms.scale_bits == 8 - 1 - 1  # 1.6 -> 2


def test_power_of_two_is_its_own_bound():
    assert default_terms(1_000, 12, Reach(1.0, 0.25)).clip_norm_log2 == 2


@pytest.mark.parametrize("coordinate", [100.0, 0.8, 1e-3])
def test_step_turns_quantiser_units_into_model_words(coordinate):
    terms = default_terms(10, 12, Reach(100.0, coordinate), rate=Fraction(3, 2))
    step = Fraction(terms.numerator, terms.denominator)
    assert step == Fraction(3, 2) * 16 * Fraction(2) ** (20 - terms.scale_bits)
    assert (terms.numerator, terms.denominator) == step.as_integer_ratio()


def test_tiny_steps_stay_within_the_finest_scale():
    terms = default_terms(10, 12, Reach(1e-6, 1e-9))
    assert terms.scale_bits == 24
    check_terms(terms, 12, 3)


@pytest.mark.parametrize("norm", [0.0, float("nan"), float("inf")])
def test_recipe_that_learns_nothing_or_diverges_is_refused(norm):
    with pytest.raises(ConfigurationError):
        default_terms(10, 12, Reach(norm, norm))


def test_recipe_beyond_every_quantiser_is_refused():
    with pytest.raises(ConfigurationError, match="no quantiser covers"):
        default_terms(10, 12, Reach(1e6, 1e6))


def test_weights_are_linear_in_rows_and_never_zero():
    assert roster_weights((160, 80, 75, 1)) == (16, 8, 8, 1)  # 7.5 goes up
