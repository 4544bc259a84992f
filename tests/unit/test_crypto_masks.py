import numpy as np
import pytest

from flocknode.crypto.masks import (
    BLOCK_BYTES,
    TILE_BYTES,
    add_mask,
    add_masks,
    expand,
    keystream_block,
)

# RFC 8439, appendix A.1, test vectors 1 to 4: those with a zero nonce.
RFC_8439 = [
    (
        bytes(32),
        0,
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
    ),
    (
        bytes(32),
        1,
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
    ),
    (
        bytes(31) + b"\x01",
        1,
        "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
        "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0",
    ),
    (
        b"\x00\xff" + bytes(30),
        2,
        "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
        "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096",
    ),
]
SEED = bytes(range(32))


@pytest.mark.parametrize(("key", "counter", "block"), RFC_8439)
def test_block_is_that_of_rfc_8439(key, counter, block):
    assert keystream_block(key, counter).hex() == block


@pytest.mark.parametrize("width", [8, 16, 32])
def test_words_are_the_keystream_read_little_endian_across_tiles(width):
    size = width // 8
    words = (TILE_BYTES + 3 * BLOCK_BYTES) // size - 1
    stream = expand(SEED, words, width)
    assert stream.shape == (words,)
    for block in (0, 1, TILE_BYTES // BLOCK_BYTES - 1, TILE_BYTES // BLOCK_BYTES):
        raw = keystream_block(SEED, block)
        first = block * BLOCK_BYTES // size
        for lane in range(BLOCK_BYTES // size):
            expected = int.from_bytes(raw[lane * size : (lane + 1) * size], "little")
            assert stream[first + lane] == expected


def test_mask_that_was_added_is_subtracted_exactly():
    start = np.arange(1000, dtype="<u2")
    acc = start.copy()
    add_mask(acc, SEED)
    assert (acc != start).any()
    add_mask(acc, SEED, subtract=True)
    assert (acc == start).all()


def test_many_masks_are_the_sum_of_each():
    words = TILE_BYTES // 4 + 5
    seeds = [bytes([i]) * 32 for i in range(5)]
    acc = np.zeros(words, "<u4")
    add_masks(acc, seeds)
    expected = sum(expand(seed, words, 32).astype(np.uint64) for seed in seeds) % (1 << 32)
    assert (acc == expected).all()
