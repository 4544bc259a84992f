"""Masking: a delta plus one keystream per column, and what a column subtracts again."""

from collections.abc import Sequence

import numpy as np

from flocknode.crypto.masks import add_masks
from flocknode.model.stages import MaskedDelta, MaskSum, QuantisedDelta
from flocknode.model.words import ring_dtype


def mask(delta: QuantisedDelta, seeds: Sequence[bytes], width: int) -> MaskedDelta:
    """Return ``q + sum over columns of ChaCha20(s_j) (mod 2^w)``; ``seeds`` has one per column.

    Every call needs fresh seeds: two masked deltas under one seed differ by the deltas' difference.
    """
    assert seeds
    words = delta.values.astype(ring_dtype(width))
    add_masks(words, seeds)
    return MaskedDelta(words)


def sum_masks(seeds: Sequence[bytes], words: int, width: int) -> MaskSum:
    """Return ``M_j = sum over the set of ChaCha20(s_ij) (mod 2^w)``; one seed per trainer."""
    total = np.zeros(words, ring_dtype(width))
    add_masks(total, seeds)
    return MaskSum(total)
