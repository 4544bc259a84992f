import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from flocknode.learning.modules import layout_of, read_parameters, write_parameters
from flocknode.learning.words import WordRangeError, from_words, to_words
from flocknode.model.errors import NonFiniteError
from flocknode.model.layout import LayoutError

UNIT = 2.0**-20


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20))
def test_every_word_survives_the_way_to_floats_and_back(values):
    words = np.array(values, np.int32)
    assert np.array_equal(to_words(from_words(words)), words)


def test_words_round_to_nearest_and_halves_up():
    units = np.array([0.5, -0.5, -1.5, 0.49, -0.51])
    assert to_words(units * UNIT).tolist() == [1, 0, -1, 0, -1]


@pytest.mark.parametrize("value", [2048.0, -2048.0 - UNIT, 1e30])
def test_parameter_beyond_a_word_is_refused(value):
    with pytest.raises(WordRangeError):
        to_words(np.array([value]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameter_that_is_no_number_is_refused(value):
    with pytest.raises(NonFiniteError):
        to_words(np.array([value]))


def test_module_takes_words_of_24_bits_exactly():
    module = nn.Linear(3, 1)
    words = np.array([2**24 - 1, -(2**24) + 1, 1, 0], np.int32)
    write_parameters(module, from_words(words))
    assert np.array_equal(to_words(read_parameters(module)), words)


def test_tied_parameter_counts_once():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    module[1].weight = module[0].weight
    assert layout_of(module).words == 4 + 2


def test_group_norm_passes_and_batch_norm_does_not():
    assert layout_of(nn.GroupNorm(1, 4)).words == 8
    with pytest.raises(LayoutError, match="running_mean"):
        layout_of(nn.BatchNorm1d(4))


def test_half_precision_is_refused():
    with pytest.raises(LayoutError, match="bfloat16"):
        layout_of(nn.Linear(1, 1, dtype=torch.bfloat16))
