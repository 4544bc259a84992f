"""Masks: ChaCha20 keystreams (RFC 8439, zero nonce, counter 0) as little-endian ring words."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms
from numpy.typing import NDArray

SEED_BYTES: Final = 32
BLOCK_BYTES: Final = 64
TILE_BYTES: Final = 1 << 18
"""Stays in the second-level cache: the best of the sizes that were measured."""

RingWords = NDArray[np.unsignedinteger[Any]]

_ZEROS: Final = memoryview(bytes(TILE_BYTES))


def add_mask(acc: RingWords, seed: bytes, *, subtract: bool = False) -> None:
    """Add the seed's keystream to ``acc`` in place, or subtract it; see ``add_masks``."""
    add_masks(acc, (seed,), subtract=subtract)


def add_masks(acc: RingWords, seeds: Sequence[bytes], *, subtract: bool = False) -> None:
    """Add the keystreams of 32-byte seeds to ``acc`` in place, modulo 2^w.

    ``acc`` has shape ``[words]``, is contiguous, unsigned and little-endian. Tiles are
    outermost, so that a tile of ``acc`` is fetched from memory once for all seeds.
    """
    assert acc.ndim == 1
    assert acc.flags.c_contiguous
    assert acc.dtype.kind == "u"
    assert acc.dtype == acc.dtype.newbyteorder("<")
    streams = [_keystream(seed) for seed in seeds]
    combine = np.subtract if subtract else np.add
    tile_words = TILE_BYTES // acc.itemsize
    buffer = np.empty(tile_words, acc.dtype)
    buffer_bytes = buffer.data.cast("B")
    for start in range(0, acc.size, tile_words):
        tile = acc[start : start + tile_words]
        for stream in streams:
            stream.update_into(_ZEROS[: tile.nbytes], buffer_bytes[: tile.nbytes])
            combine(tile, buffer[: tile.size], out=tile)


def expand(seed: bytes, words: int, width: int) -> RingWords:
    """Return the first ``words`` words of ``width`` bits (8, 16 or 32) of a seed's keystream."""
    acc = np.zeros(words, np.dtype(f"<u{width // 8}"))
    add_mask(acc, seed)
    return acc


def keystream_block(seed: bytes, counter: int) -> bytes:
    """Return the 64 bytes of one block, as a contract recomputes them."""
    return _keystream(seed, counter).update(bytes(BLOCK_BYTES))


def _keystream(seed: bytes, counter: int = 0) -> CipherContext:
    assert len(seed) == SEED_BYTES
    # The library's 16-byte nonce is the 32-bit little-endian counter and RFC 8439's 12 bytes.
    nonce = counter.to_bytes(4, "little") + bytes(12)
    return Cipher(algorithms.ChaCha20(seed, nonce), mode=None).encryptor()
