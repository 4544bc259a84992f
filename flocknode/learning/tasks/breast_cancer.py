"""Malignant or benign, from 30 measurements of cell nuclei: Breast Cancer Wisconsin (Diagnostic).

569 rows, 357 of them benign. Street, Wolberg and Mangasarian 1993; UCI, CC BY 4.0.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import nn

from flocknode.learning.shards import Shard, Split
from flocknode.learning.splits import dirichlet, stratified
from flocknode.learning.task import Task
from flocknode.learning.tasks.bundled import read_table

HELD_OUT_SHARE: Final = 0.2
ROWS_MIN: Final = 8
"""Of the smallest hospital."""
HIDDEN: Final = 16

# Each feature's lowest and highest value, as the data set's public description prints them: ten
# measurements (radius, texture, perimeter, area, smoothness, compactness, concavity, concave
# points, symmetry, fractal dimension) as mean, standard error and worst.
_LOWEST: Final = (
    *(6.981, 9.71, 43.79, 143.5, 0.053, 0.019, 0.0, 0.0, 0.106, 0.05),
    *(0.112, 0.36, 0.757, 6.802, 0.002, 0.002, 0.0, 0.0, 0.008, 0.001),
    *(7.93, 12.02, 50.41, 185.2, 0.071, 0.027, 0.0, 0.0, 0.156, 0.055),
)
_HIGHEST: Final = (
    *(28.11, 39.28, 188.5, 2501.0, 0.163, 0.345, 0.427, 0.201, 0.304, 0.097),
    *(2.873, 4.885, 21.98, 542.2, 0.031, 0.135, 0.396, 0.053, 0.079, 0.03),
    *(36.04, 49.54, 251.2, 4254.0, 0.223, 1.058, 1.252, 0.291, 0.664, 0.208),
)
_ZERO_SHARE: Final = 0.02
"""Of the highest value, added before the logarithm: some measurements are zero."""
_HALF_RANGE: Final = 2.5


class BreastCancer(Task):
    """A perceptron of one hidden layer, 530 words; hospitals of unequal size and case mix."""

    name = "breast-cancer"
    input_shape = (30,)
    classes = 2
    # Pooled training from there on fits its own rows, and its accuracy strays with the split.
    weight_decay = 2e-3

    def model(self) -> nn.Module:
        return nn.Sequential(nn.Linear(30, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, self.classes))

    def split(self, trainers: int, seed: int) -> Split:
        """Hold out a fifth of each label; deal the rest by Dirichlet(1) over the label."""
        rows = read_rows()
        generator = np.random.default_rng(seed)
        kept, held_out = stratified(rows.labels, HELD_OUT_SHARE, generator)
        hands = dirichlet(rows.labels[kept], trainers, 1.0, ROWS_MIN, generator)
        shards = tuple(rows.take(kept[hand]) for hand in hands)
        return Split(shards, rows.take(held_out))


def read_rows() -> Shard:
    """Read all rows: standardised measurements float32[569, 30] and labels, 1 is benign."""
    table = read_table("breast_cancer.csv", header_rows=1)
    assert table.shape == (569, 31)
    return Shard(standardise(table[:, :30]), table[:, 30].astype(np.int64))


def standardise(measurements: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map each published range to about +-2.5, by logarithms: the measurements are skewed.

    Constants that are public before anyone looks at a row. A hospital's own mean and deviation
    would erase what sets a hospital of one label apart and leave held-out rows without a scale of
    their own; pooled ones would publish a sum of patients' values outside the masks.
    """
    lowest, highest = np.array(_LOWEST), np.array(_HIGHEST)
    shift = _ZERO_SHARE * highest
    low, high = np.log(lowest + shift), np.log(highest + shift)
    middle, half = (low + high) / 2, (high - low) / 2
    scaled: NDArray[Any] = (np.log(measurements + shift) - middle) / half * _HALF_RANGE
    return scaled.astype(np.float32)
