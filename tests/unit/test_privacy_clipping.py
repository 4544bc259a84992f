import numpy as np
import pytest

from flocknode.model.errors import NonFiniteError
from flocknode.model.stages import ModelDelta
from flocknode.privacy.clipping import clip_l2


def test_delta_within_the_norm_is_unchanged():
    values = np.array([3.0, 4.0])
    assert clip_l2(ModelDelta(values), 5.0).values.tolist() == [3.0, 4.0]


def test_delta_beyond_the_norm_keeps_its_direction():
    assert clip_l2(ModelDelta(np.array([30.0, -40.0])), 5.0).values == pytest.approx([3.0, -4.0])


@pytest.mark.parametrize("magnitude", [1e-320, 1e-200, 1e200, 1.7e308])
def test_extreme_deltas_neither_overflow_nor_vanish(magnitude):
    clipped = clip_l2(ModelDelta(np.full(4, magnitude)), 1.0).values
    assert clipped == pytest.approx(np.full(4, min(magnitude, 0.5)))


def test_zero_delta_stays_zero():
    assert not clip_l2(ModelDelta(np.zeros(3)), 1.0).values.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_delta_is_refused(value):
    with pytest.raises(NonFiniteError):
        clip_l2(ModelDelta(np.array([0.0, value, 1.0])), 1.0)
