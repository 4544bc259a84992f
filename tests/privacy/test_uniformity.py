"""What a column cannot open is uniform in every coordinate, those of a short last tile included."""

from hashlib import sha256

import numpy as np
import pytest
from scipy.stats import chi2

from flocknode.crypto.masks import TILE_BYTES
from flocknode.model.stages import QuantisedDelta
from flocknode.privacy.masking import mask

MASKINGS = 160
CLASSES = 8
LAST_TILE = 50
ENDS = 10_000
"""Words that are looked at from either end: the whole vector is masked."""


def seed(number, column):
    return sha256(number.to_bytes(4, "big") + bytes([column])).digest()


@pytest.fixture(scope="module", params=[8, 16])
def statistics(request):
    """Chi-square of each coordinate's top and low three bits over many maskings of one delta."""
    width = request.param
    words = TILE_BYTES // (width // 8) + LAST_TILE
    delta = QuantisedDelta(np.arange(words, dtype=np.int32) % 100 - 50, saturated=0)
    counts = np.zeros((2, CLASSES, 2 * ENDS), np.uint16)
    places = np.arange(2 * ENDS)
    for number in range(MASKINGS):
        whole = mask(delta, [seed(number, 0), seed(number, 1)], width).words
        masked = np.concatenate([whole[:ENDS], whole[-ENDS:]])
        counts[0, masked >> (width - 3), places] += 1
        counts[1, masked & (CLASSES - 1), places] += 1
    expected = MASKINGS / CLASSES
    return ((counts - expected) ** 2 / expected).sum(axis=1)


def test_no_coordinate_is_far_from_uniform(statistics):
    # One coordinate of a million would exceed it by chance once in a thousand runs.
    assert statistics.max() < chi2.isf(1e-9, CLASSES - 1)


def test_coordinates_together_are_uniform(statistics):
    for part in (statistics, statistics[:, -LAST_TILE:]):
        deviation = (2 * (CLASSES - 1) / part.size) ** 0.5
        assert abs(part.mean() - (CLASSES - 1)) < 5 * deviation
