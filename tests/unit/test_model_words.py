import numpy as np
import pytest

from flocknode.model.errors import LengthError
from flocknode.model.words import model_words, ring_words, words_bytes


def test_words_are_little_endian_whatever_the_machine_holds():
    expected = b"\x02\x01\xff\xff"
    assert bytes(words_bytes(np.array([0x0102, 0xFFFF], "<u2"))) == expected
    assert bytes(words_bytes(np.array([0x0102, 0xFFFF], ">u2"))) == expected
    assert bytes(words_bytes(np.array([-2, 1], np.int32))) == b"\xfe\xff\xff\xff\x01\0\0\0"


def test_bytes_are_shared_not_copied():
    words = np.zeros(4, "<u2")
    view = words_bytes(words)
    words[0] = 7
    assert view[0] == 7


@pytest.mark.parametrize("width", [8, 16, 32])
def test_words_survive_the_way_through_bytes(width):
    words = np.array([0, 1, (1 << width) - 1], f"<u{width // 8}")
    assert (ring_words(words_bytes(words), 3, width) == words).all()


@pytest.mark.parametrize("length", [0, 11, 13, 16])
def test_another_length_is_refused(length):
    with pytest.raises(LengthError):
        model_words(bytes(length), 3)
    with pytest.raises(LengthError):
        ring_words(bytes(length), 6, 16)
