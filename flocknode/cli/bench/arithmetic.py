"""The arithmetic of a round on one core: against a memory copy, and against the bare cipher."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from flocknode.aggregation.median import doubled_median
from flocknode.aggregation.ring import unmask
from flocknode.cli.bench.figure import Figure
from flocknode.cli.bench.machine import fastest
from flocknode.crypto.masks import TILE_BYTES, add_masks, expand
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.model.stages import ClippedDelta, MaskedDelta, MaskSum
from flocknode.model.terms import IntegerTerms
from flocknode.privacy.quantisation import dither_stream, quantise

GIGA: Final = 1e9
WORDS: Final = 1_000_000
COLUMNS: Final = 3
TRAINERS: Final = 12
MEMBERS: Final = 20
REPEATS: Final = 12
SLOW_REPEATS: Final = 3
MASK_LIMIT: Final = 0.7
"""Of the bare cipher: what adding, tiles and calls may cost."""
MEDIAN_LIMIT: Final = 5.0
"""Times the speed of numpy's median."""

TERMS: Final = IntegerTerms(
    words=WORDS,
    width=16,
    bits=12,
    weight_max=16,
    tau=511,
    scale_bits=12,
    numerator=4096,
    denominator=1,
    clip_norm_log2=8,
)


@dataclass(frozen=True, slots=True)
class Work:
    """Something to time, with the bytes that it goes through."""

    name: str
    run: Callable[[], object]
    nbytes: int
    cipher_limit: float | None = None


def measure_arithmetic() -> Iterator[Figure]:
    """Time masking, quantising, hashing, summing; then the median."""
    works = _works()
    size = COLUMNS * WORDS * TERMS.width // 8
    source, target = np.ones(size, np.uint8), np.empty(size, np.uint8)
    deeds: dict[str, Callable[[], object]] = {
        "memory copy": lambda: np.copyto(target, source),
        "bare cipher": lambda: _encrypt(size),
        **{work.name: work.run for work in works},
    }
    seconds = fastest(deeds, REPEATS)
    copy, cipher = (size / seconds[name] / GIGA for name in ("memory copy", "bare cipher"))
    yield Figure("memory copy", copy, "GB/s", None, None)
    yield Figure("bare cipher, of memory copy", cipher, "GB/s", None, cipher / copy)
    for work in works:
        rate = work.nbytes / seconds[work.name] / GIGA
        least = work.cipher_limit * cipher if work.cipher_limit else None
        yield Figure(f"{work.name}, of bare cipher", rate, "GB/s", least, rate / cipher)
        yield Figure(f"{work.name}, of memory copy", rate, "GB/s", None, rate / copy)
    yield from _median(copy)


def _works() -> tuple[Work, ...]:
    rng = np.random.default_rng(1)
    seeds = [os.urandom(32) for _ in range(COLUMNS)]
    ring = expand(seeds[0], WORDS, TERMS.width)
    delta = ClippedDelta(rng.normal(0, 0.05, WORDS))
    dither = dither_stream(os.urandom(32), WORDS)
    masked = [MaskedDelta(expand(os.urandom(32), WORDS, 16)) for _ in range(TRAINERS)]
    sums = [MaskSum(expand(seed, WORDS, 16)) for seed in seeds]
    return (
        Work(
            "mask expand and add", lambda: add_masks(ring, seeds), COLUMNS * ring.nbytes, MASK_LIMIT
        ),
        Work("quantise", lambda: quantise(delta, 16, TERMS, dither), delta.values.nbytes),
        Work("merkle tree", lambda: tree_root(TreeKind.MASKED_VECTOR, ring.data), ring.nbytes),
        Work("ring sum", lambda: unmask(masked, sums), (TRAINERS + COLUMNS) * ring.nbytes),
    )


def _encrypt(size: int) -> None:
    """Make ``size`` bytes of keystream, tile by tile, and do nothing with them."""
    stream = Cipher(algorithms.ChaCha20(bytes(32), bytes(16)), mode=None).encryptor()
    zeros, tile = bytes(TILE_BYTES), memoryview(bytearray(TILE_BYTES))
    for start in range(0, size, TILE_BYTES):
        length = min(TILE_BYTES, size - start)
        stream.update_into(zeros[:length] if length < TILE_BYTES else zeros, tile[:length])


def _median(copy: float) -> Iterator[Figure]:
    rng = np.random.default_rng(2)
    cohort = rng.integers(-2047, 2048, (MEMBERS, WORDS)).astype(np.int16)
    deeds: dict[str, Callable[[], object]] = {
        "ours": lambda: doubled_median(cohort),
        "numpy": lambda: np.median(cohort, axis=0),
    }
    seconds = fastest(deeds, SLOW_REPEATS)
    ours, numpys = (cohort.nbytes / seconds[name] / GIGA for name in ("ours", "numpy"))
    name = f"median of {MEMBERS} x 1 M"
    yield Figure(f"{name}, of numpy's", ours, "GB/s", MEDIAN_LIMIT * numpys, ours / numpys)
    yield Figure(f"{name}, of memory copy", ours, "GB/s", None, ours / copy)
