"""Sums modulo 2^w: exact, so that no order of summation matters."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flocknode.model.errors import LengthError
from flocknode.model.stages import Aggregate, MaskedDelta, MaskSum


def unmask(masked: Iterable[MaskedDelta], mask_sums: Iterable[MaskSum]) -> Aggregate:
    """Return ``R = sum of y - sum of M_j (mod 2^w)`` over one set and all its columns.

    Reads its arguments once, so they may be fetched while they are summed. Raises
    ``LengthError`` when vectors differ in length. Without the mask sums of exactly these masked
    deltas the result is noise.
    """
    deltas = iter(masked)
    first = next(deltas, None)
    assert first is not None
    total = first.words.copy()
    for delta in deltas:
        np.add(total, _alike(delta.words, total), out=total)
    for mask_sum in mask_sums:
        np.subtract(total, _alike(mask_sum.words, total), out=total)
    return Aggregate(total)


def centred(aggregate: Aggregate) -> NDArray[np.int64]:
    """Return the representatives in [-2^(w-1), 2^(w-1)): R as the step reads it."""
    return centred_words(aggregate.words).astype(np.int64)


def centred_words(words: NDArray[np.unsignedinteger[Any]]) -> NDArray[np.signedinteger[Any]]:
    """View ring words as signed words of the same width."""
    return words.view(words.dtype.str.replace("u", "i"))


def _alike(
    words: NDArray[np.unsignedinteger[Any]], total: NDArray[np.unsignedinteger[Any]]
) -> NDArray[np.unsignedinteger[Any]]:
    if words.nbytes != total.nbytes:
        raise LengthError(words.nbytes, total.nbytes)
    assert words.dtype == total.dtype
    return words
