"""The server step: how an aggregate moves the model, in integers that a contract can repeat."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flocknode.aggregation.ring import centred_words
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.model.errors import LengthError, TermsError
from flocknode.model.stages import Aggregate
from flocknode.model.terms import MODEL_SCALE_BITS, IntegerTerms
from flocknode.model.words import MODEL_DTYPE, words_bytes
from flocknode.primitives import Digest

TRAINERS_MAX: Final = 256
WEIGHT_LIMIT: Final = 255
SCALE_BITS_MAX: Final = 24
STEP_LIMIT: Final = 1 << 62
"""The step's numerator stays below it, so its double denominator fits an int64 as well."""
_TILE_WORDS: Final = 1 << 15
_INT32: Final = np.iinfo(np.int32)


def server_step(
    model: NDArray[np.int32], aggregate: Aggregate, weight_sum: int, terms: IntegerTerms
) -> NDArray[np.int32]:
    """Return ``W' = sat32(W + floor((2 num Rc + den D) / (2 den D)))``; D is ``weight_sum``.

    ``Rc`` is R limited to ``+-floor(D tau / weight_max)``; floor is towards minus infinity. Under
    checked terms every intermediate fits an int64. Raises ``LengthError`` when the vectors are
    not ``terms.words`` long.
    """
    for vector in (model, aggregate.words):
        if vector.shape != (terms.words,):
            raise LengthError(vector.size, terms.words)
    assert weight_sum > 0
    sums = centred_words(aggregate.words)
    limit = weight_sum * terms.tau // terms.weight_max
    half = terms.denominator * weight_sum
    stepped = np.empty(terms.words, MODEL_DTYPE)
    for start in range(0, terms.words, _TILE_WORDS):
        tile = slice(start, start + _TILE_WORDS)
        clamped = np.clip(sums[tile].astype(np.int64), -limit, limit)
        moved = (clamped * (2 * terms.numerator) + half) // (2 * half) + model[tile]
        stepped[tile] = np.clip(moved, _INT32.min, _INT32.max)
    return stepped


def step_word(model: int, total: int, weight_sum: int, terms: IntegerTerms) -> int:
    """Return one word of ``server_step`` in plain integers, as a contract computes it."""
    limit = weight_sum * terms.tau // terms.weight_max
    clamped = min(limit, max(-limit, total))
    half = terms.denominator * weight_sum
    moved = model + (2 * terms.numerator * clamped + half) // (2 * half)
    return min(int(_INT32.max), max(int(_INT32.min), moved))


def model_root(words: NDArray[np.int32]) -> Digest:
    """Return the root that names a model: the tree over its little-endian int32 words."""
    assert words.dtype.itemsize == 4
    return tree_root(TreeKind.MODEL, words_bytes(words))


def check_terms(terms: IntegerTerms, trainers: int, trainers_min: int) -> None:
    """Refuse terms that overflow or do nothing: ``TermsError``. The contract refuses the same.

    ``trainers`` is the roster's length, ``trainers_min`` the smallest set; the smallest D is that
    of a smallest set in which every weight is one.
    """
    q, tau, d_max = terms.quantised_max, terms.tau, trainers * terms.weight_max
    rules = {
        "width is 8, 16 or 32": terms.width in (8, 16, 32),
        "bits are 2 to the width": 2 <= terms.bits <= terms.width,
        "words fit 32 bits": 1 <= terms.words < 1 << 32,
        "trainers are 1..256": 1 <= trainers_min <= trainers <= TRAINERS_MAX,
        "weight_max is 1..255": 1 <= terms.weight_max <= WEIGHT_LIMIT,
        "trainers * Q < 2^(w-1)": trainers * q < 1 << (terms.width - 1),
        "1 <= tau <= Q": 1 <= tau <= q,
        "L >= 1 at the smallest D": trainers_min * tau >= terms.weight_max,
        "0 <= s <= 24": 0 <= terms.scale_bits <= SCALE_BITS_MAX,
        "num and den are positive": terms.numerator > 0 and terms.denominator > 0,
        "2 num D_max tau + den D_max < 2^62": (2 * terms.numerator * tau + terms.denominator)
        * d_max
        < STEP_LIMIT,
    }
    for rule, holds in rules.items():
        if not holds:
            raise TermsError(f"the terms break the rule: {rule}")


class ErrorBound(NamedTuple):
    """How far a step may be from float FedAvg of the same clipped deltas, in model units."""

    max: float
    """Of every coordinate, for certain."""
    rms: float
    """Over the dither's randomness."""


def error_bound(terms: IntegerTerms, trainers: int, weight_sum: int) -> ErrorBound:
    """Return the bound for a set without limited or clamped words."""
    rounding = 2.0 ** -(MODEL_SCALE_BITS + 1)
    # eta 2^-s weight_max = num / den 2^-20.
    unit = terms.numerator / terms.denominator * 2.0**-MODEL_SCALE_BITS / weight_sum
    return ErrorBound(unit * trainers + rounding, unit * trainers**0.5 / 2 + rounding)
