"""Flat float parameters as model words and back."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flocknode.model.errors import ModelError, NonFiniteError
from flocknode.model.terms import MODEL_SCALE_BITS
from flocknode.model.words import MODEL_DTYPE

_SCALE: Final = float(1 << MODEL_SCALE_BITS)
_INT32: Final = np.iinfo(np.int32)


class WordRangeError(ModelError):
    """A parameter beyond +-2048, the range of a model word. Fault: the task's initial model."""


def to_words(flat: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    """Return ``floor(x * 2^20 + 1/2)`` of every parameter.

    Raises ``NonFiniteError`` and ``WordRangeError``.
    """
    if not np.all(np.isfinite(flat)):
        raise NonFiniteError("a model parameter is NaN or infinite")
    words = np.floor(flat.astype(np.float64) * _SCALE + 0.5)
    if np.any((words < _INT32.min) | (words > _INT32.max)):
        raise WordRangeError("a model parameter lies beyond +-2048")
    return words.astype(MODEL_DTYPE)


def from_words(words: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return ``words * 2^-20``, exact in float64."""
    return words.astype(np.float64) / _SCALE
