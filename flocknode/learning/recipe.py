"""Default integer terms of a task, and the roster's weights."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from flocknode.errors import ConfigurationError
from flocknode.model.terms import MODEL_SCALE_BITS, IntegerTerms

RING_WIDTH: Final = 16
WEIGHT_MAX: Final = 16
SCALE_BITS_MAX: Final = 24
_BITS: Final = ((16, 12), (32, 11), (64, 10), (128, 9), (256, 8))
"""(most trainers, b): the widest b with trainers * Q < 2^15."""
_FINE_BITS: Final = 10
"""From here on a bound four times too large costs nothing measurable, so it may err higher."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one round of the recipe moved a fresh model on one-class data, at most."""

    norm: float
    """L2 norm of the delta."""
    coordinate: float
    """Largest magnitude of one of its coordinates."""


def quantiser_bits(trainers_max: int) -> int:
    """Return b for a roster of up to 256 trainers."""
    for most, bits in _BITS:
        if trainers_max <= most:
            return bits
    raise ConfigurationError(
        f"a task has at most {_BITS[-1][0]} trainers, not {trainers_max}", "make the roster smaller"
    )


def default_terms(
    words: int, trainers_max: int, reach: Reach, rate: Fraction = Fraction(1)
) -> IntegerTerms:
    """Choose the terms of a model of ``words`` from what a dry run reached; ``rate`` is eta.

    Too small a bound loses accuracy and a coarse step hardly any: both bounds are ``reach`` times
    four, or two where bits are scarce, and then up to a power of two. Raises
    ``ConfigurationError`` for a recipe that does not move the model, or out of all bounds.
    """
    bits = quantiser_bits(trainers_max)
    slack = 4 if bits >= _FINE_BITS else 2
    clip_norm_log2 = _ceil_log2(slack * reach.norm)
    scale_bits = min(bits - 1 - _ceil_log2(slack * reach.coordinate), SCALE_BITS_MAX)
    if scale_bits < 0:
        raise ConfigurationError(
            f"one round moves a parameter by {reach.coordinate:g}: no quantiser covers that",
            "lower the recipe's learning rate",
        )
    step = rate * WEIGHT_MAX * Fraction(2) ** (MODEL_SCALE_BITS - scale_bits)
    return IntegerTerms(
        words=words,
        width=RING_WIDTH,
        bits=bits,
        weight_max=WEIGHT_MAX,
        tau=((1 << (bits - 1)) - 1) // 4,
        scale_bits=scale_bits,
        numerator=step.numerator,
        denominator=step.denominator,
        clip_norm_log2=clip_norm_log2,
    )


def roster_weights(rows: tuple[int, ...], weight_max: int = WEIGHT_MAX) -> tuple[int, ...]:
    """Return ``max(1, round(weight_max n / n_max))`` of every trainer's rows; halves go up."""
    most = max(rows)
    return tuple(max(1, (2 * weight_max * n + most) // (2 * most)) for n in rows)


def _ceil_log2(value: float) -> int:
    """Return the exponent of the power of two at or above ``value``, without a logarithm."""
    if not 0.0 < value < math.inf:
        raise ConfigurationError(
            f"a round on invented data moves the model by {value:g}",
            "correct the recipe: it learns nothing, or it diverges",
        )
    fraction, exponent = math.frexp(value)
    return exponent - 1 if fraction == 0.5 else exponent
