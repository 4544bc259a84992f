"""Quantising: the last line of a round that handles a float."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from flocknode.crypto.masks import expand
from flocknode.model.errors import TermsError
from flocknode.model.stages import ClippedDelta, QuantisedDelta
from flocknode.model.terms import IntegerTerms
from flocknode.model.words import model_words

_TILE_WORDS: Final = 1 << 15


def dither_stream(seed: bytes, words: int) -> NDArray[np.uint32]:
    """Return uniform uint32 words from a fresh secret 32-byte seed.

    The seed comes from the operating system and is used for nothing else: whoever knows the
    dither undoes the rounding noise.
    """
    return expand(seed, words, 32).astype(np.uint32, copy=False)


def quantise(
    delta: ClippedDelta, weight: int, terms: IntegerTerms, dither: NDArray[np.uint32]
) -> QuantisedDelta:
    """Round ``delta * k / weight_max * 2^s`` stochastically and limit it; k is ``weight``.

    ``dither`` has shape ``[words]``; u = dither * 2^-32 is uniform in [0, 1). In float64: in
    float32 ``floor(x + u)`` reaches the next integer when u is just below one.
    """
    assert delta.values.shape == dither.shape == (terms.words,)
    limit = weight_limit(weight, terms)
    scale = weight / terms.weight_max * 2.0**terms.scale_bits
    saturated = 0
    quantised = np.empty(terms.words, np.int32)
    for start in range(0, terms.words, _TILE_WORDS):
        tile = slice(start, start + _TILE_WORDS)
        rounded = np.floor(delta.values[tile] * scale + dither[tile] * 2.0**-32)
        saturated += int(np.count_nonzero(np.abs(rounded) > limit))
        quantised[tile] = np.clip(rounded, -limit, limit)
    return QuantisedDelta(quantised, saturated)


def weight_limit(weight: int, terms: IntegerTerms) -> int:
    """Return floor(Q k / weight_max), the largest magnitude of a word of a trainer of weight k.

    Raises ``TermsError`` for a weight outside 1..weight_max.
    """
    if not 1 <= weight <= terms.weight_max:
        raise TermsError(f"weight {weight} outside 1..{terms.weight_max}")
    return terms.quantised_max * weight // terms.weight_max


def restore_quantised(data: bytes | memoryview, weight: int, terms: IntegerTerms) -> QuantisedDelta:
    """Read a quantised delta back from its little-endian int32 bytes, as a retry resends it.

    What was cut was counted when it was made. Raises ``LengthError`` for another length and
    ``TermsError`` for words beyond the limit: both mean that the record is of other terms.
    """
    values = model_words(data, terms.words)
    limit = weight_limit(weight, terms)
    if np.max(values) > limit or np.min(values) < -limit:
        raise TermsError(f"a kept delta exceeds the limit {limit}")
    return QuantisedDelta(values, saturated=0)
