"""The stages of a delta as types: holding a value proves that its check was done."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ModelDelta:
    """What local training changed: float64[d], made by a ``Trainer`` only."""

    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ClippedDelta:
    """A delta of L2 norm at most the task's clip norm: float64[d], made by ``clip_l2`` only."""

    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class QuantisedDelta:
    """A weighted delta in integers of the task's bit width: int32[d], made by ``quantise`` only."""

    values: NDArray[np.int32]
    saturated: int
    """Number of words that the limit cut: more than one in a thousand deserves a warning."""


@dataclass(frozen=True, slots=True, eq=False)
class MaskedDelta:
    """A quantised delta plus one keystream per column: uint[d] mod 2^w, made by ``mask`` only."""

    words: NDArray[np.unsignedinteger]


@dataclass(frozen=True, slots=True, eq=False)
class MaskSum:
    """One column's keystreams summed over a set: uint[d] mod 2^w, made by ``sum_masks`` only."""

    words: NDArray[np.unsignedinteger]


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """The sum of the included deltas: uint[d] mod 2^w, made by ``unmask`` only."""

    words: NDArray[np.unsignedinteger]
