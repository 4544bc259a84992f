"""Vectors of words as bytes: little-endian, of exactly the length that was agreed."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flocknode.model.errors import LengthError

MODEL_DTYPE: Final[np.dtype[np.int32]] = np.dtype("<i4")
"""A model word and a quantised word: int32."""
_RING_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    8: np.dtype("u1"),
    16: np.dtype("<u2"),
    32: np.dtype("<u4"),
}


def ring_dtype(width: int) -> np.dtype[Any]:
    """Return the little-endian unsigned type of a ring of 8, 16 or 32 bits."""
    return _RING_DTYPES[width]


def words_bytes(words: NDArray[np.integer[Any]]) -> memoryview:
    """Return the little-endian bytes of a vector, without a copy on little-endian machines."""
    little = words.astype(words.dtype.newbyteorder("<"), order="C", copy=False)
    return little.data.cast("B")


def ring_words(
    data: bytes | memoryview, words: int, width: int
) -> NDArray[np.unsignedinteger[Any]]:
    """Read ``words`` ring words; shares memory with ``data``. Raises ``LengthError``."""
    return _read(data, words, ring_dtype(width))


def model_words(data: bytes | memoryview, words: int) -> NDArray[np.int32]:
    """Read ``words`` int32 words; shares memory with ``data``. Raises ``LengthError``."""
    return _read(data, words, MODEL_DTYPE)


def _read(data: bytes | memoryview, words: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    view = memoryview(data)
    if view.nbytes != words * dtype.itemsize:
        raise LengthError(view.nbytes, words * dtype.itemsize)
    return np.frombuffer(view, dtype)
