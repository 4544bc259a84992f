from hashlib import sha256

import numpy as np
import pytest

from flocknode.model.errors import LengthError
from flocknode.model.layout import LayoutError, ModelLayout

LAYOUT = ModelLayout.describe({"weight": (2, 3), "bias": (2,), "scale": ()})


def test_flat_vector_returns_to_the_same_arrays():
    flat = np.arange(9.0)
    arrays = LAYOUT.unflatten(flat)
    assert arrays["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays["bias"].tolist() == [6, 7]
    assert arrays["scale"] == 8
    assert np.array_equal(LAYOUT.flatten(arrays), flat)


def test_order_of_the_layout_and_not_of_the_arrays_decides():
    arrays = LAYOUT.unflatten(np.arange(9.0))
    assert np.array_equal(LAYOUT.flatten(dict(reversed(arrays.items()))), np.arange(9.0))


def test_float32_flattens_exactly():
    value = np.float32(0.1)
    flat = ModelLayout.describe({"bias": (1,)}).flatten({"bias": np.array([value])})
    assert flat.dtype == np.float64
    assert np.float32(flat[0]) == value


def test_digest_depends_on_order_names_and_shapes():
    others = [
        {"bias": (2,), "weight": (2, 3), "scale": ()},
        {"weight": (3, 2), "bias": (2,), "scale": ()},
        {"weights": (2, 3), "bias": (2,), "scale": ()},
    ]
    digests = {ModelLayout.describe(other).digest for other in others} | {LAYOUT.digest}
    assert len(digests) == 4


def test_digest_is_the_same_in_every_release():
    # A pair; the tag; one parameter: its name and its one size.
    encoded = b"\x92\xafflock/layout/v1" + b"\x91\x92\xa1w\x91\x01"
    assert ModelLayout.describe({"w": (1,)}).digest == sha256(encoded).digest()


def test_batch_norm_is_refused_with_a_remedy():
    buffers = [("norm.running_mean", np.dtype(np.float32))]
    with pytest.raises(LayoutError, match=r"'norm\.running_mean' .* GroupNorm"):
        ModelLayout.describe({"weight": (1,)}, buffers)


def test_integer_buffers_are_left_out():
    buffers = [("count", np.dtype(np.int64)), ("seen", np.dtype(np.bool_))]
    assert ModelLayout.describe({"weight": (1,)}, buffers).words == 1


def test_model_without_parameters_is_refused():
    with pytest.raises(LayoutError, match="not 0"):
        ModelLayout.describe({})


def test_foreign_names_and_shapes_are_refused():
    arrays = LAYOUT.unflatten(np.zeros(9))
    with pytest.raises(LayoutError, match="'bias'"):
        LAYOUT.flatten(arrays | {"bias": np.zeros(3)})
    del arrays["scale"]
    with pytest.raises(LayoutError, match="'scale'"):
        LAYOUT.flatten(arrays)


def test_vector_of_another_length_is_refused():
    with pytest.raises(LengthError):
        LAYOUT.unflatten(np.zeros(10))
