"""The exact median of each coordinate: the rule that half of the members cannot move far.

A network of comparisons (Batcher 1968, in Knuth's form for any length, TAOCP 5.2.2 M) without
those that the middle does not depend on. Each comparison is one pass over a tile that stays in the
cache, so the order of work does not depend on the data.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_TILE_BYTES: Final = 1 << 15
Cohort = NDArray[np.signedinteger[Any]]


class Comparison(NamedTuple):
    """Put the lesser of two rows at ``low`` and the greater at ``high``, as far as they count."""

    low: int
    high: int
    low_counts: bool
    high_counts: bool


def doubled_median(cohort: Cohort) -> NDArray[np.int64]:
    """Return twice the median of each coordinate, an integer for an even number of members too.

    ``cohort`` has shape ``[members, dimension]`` and integers of at most 32 bits.
    """
    members, dimension = cohort.shape
    assert members
    assert cohort.itemsize <= 4
    doubled = np.empty(dimension, np.int64)
    tile_words = _TILE_BYTES // cohort.itemsize
    rows = [np.empty(tile_words, cohort.dtype) for _ in range(members + 1)]
    for start in range(0, dimension, tile_words):
        tile = doubled[start : start + tile_words]
        used = [row[: tile.size] for row in rows]
        for row, member in zip(used, cohort, strict=False):
            row[:] = member[start : start + tile_words]
        _sort_middle(used)
        np.add(used[(members - 1) // 2], used[members // 2], out=tile, dtype=np.int64)
    return doubled


def _sort_middle(rows: list[Cohort]) -> None:
    """Bring the middle of all rows but the last, which is spare, to its place."""
    spare = rows.pop()
    for low, high, low_counts, high_counts in median_network(len(rows)):
        if low_counts:
            np.minimum(rows[low], rows[high], out=spare)
        if high_counts:
            np.maximum(rows[low], rows[high], out=rows[high])
        if low_counts:
            rows[low], spare = spare, rows[low]


@lru_cache(maxsize=64)
def median_network(members: int) -> tuple[Comparison, ...]:
    """Return the comparisons that bring the middle one or two of ``members`` to their places."""
    needed = {(members - 1) // 2, members // 2}
    network = []
    for low, high in reversed(list(_sorting_network(members))):
        if low in needed or high in needed:
            network.append(Comparison(low, high, low in needed, high in needed))
            needed |= {low, high}
    return tuple(reversed(network))


def _sorting_network(members: int) -> Iterator[tuple[int, int]]:
    top = 1 << max(0, (members - 1).bit_length() - 1)
    part = top
    while part:
        span, residue, distance = top, 0, part
        while distance:
            for low in range(members - distance):
                if low & part == residue:
                    yield low, low + distance
            distance, span, residue = span - part, span >> 1, part
        part >>= 1
