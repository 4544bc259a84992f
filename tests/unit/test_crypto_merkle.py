from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flocknode.crypto.errors import TreeError
from flocknode.crypto.merkle import (
    TreeKind,
    root_of_subtrees,
    subtrees,
    tree_path,
    tree_root,
    verify_path,
)

MODEL = TreeKind.MODEL


def h(data):
    return sha256(data).digest()


def leaf(data):
    return h(b"\0" + data)


def node(left, right):
    return h(b"\1" + left + right)


def root(length, kind, tree):
    return h(b"\2" + length.to_bytes(8, "big") + bytes([kind]) + tree)


def test_one_leaf():
    assert tree_root(MODEL, b"ab", 4) == root(2, 4, leaf(b"ab"))


def test_two_leaves_the_last_one_short():
    expected = root(6, 4, node(leaf(b"abcd"), leaf(b"ef")))
    assert tree_root(MODEL, b"abcdef", 4) == expected


def test_third_leaf_is_promoted():
    tree = node(node(leaf(b"abcd"), leaf(b"efgh")), leaf(b"i"))
    assert tree_root(TreeKind.ROSTER, b"abcdefghi", 4) == root(9, 6, tree)
    assert tree_path(b"abcdefghi", 2, 4) == (node(leaf(b"abcd"), leaf(b"efgh")),)
    assert tree_path(b"abcdefghi", 1, 4) == (leaf(b"abcd"), leaf(b"i"))


def test_leaves_of_data_are_one_kibibyte():
    data = bytes(1024) + b"x"
    assert tree_root(MODEL, data) == root(1025, 4, node(leaf(bytes(1024)), leaf(b"x")))


def test_any_contiguous_buffer_has_the_tree_of_its_bytes():
    words = np.arange(700, dtype="<u2")
    assert tree_root(MODEL, words.data) == tree_root(MODEL, words.tobytes())


def test_kind_and_length_are_bound():
    roots = {tree_root(kind, b"a") for kind in TreeKind} | {tree_root(MODEL, b"a\0")}
    assert len(roots) == len(TreeKind) + 1


def test_duplicated_last_leaf_is_another_tree():
    assert tree_root(MODEL, b"abc", 1) != tree_root(MODEL, b"abcc", 1)


def test_no_bytes_have_no_tree():
    with pytest.raises(TreeError):
        tree_root(MODEL, b"")


@pytest.mark.parametrize("index", [-1, 3])
def test_leaf_that_does_not_exist_has_no_path(index):
    with pytest.raises(TreeError):
        tree_path(b"abc", index, 1)
    assert not verify_path(tree_root(MODEL, b"abc", 1), MODEL, 3, index, b"a", (), 1)


@given(st.binary(min_size=1, max_size=80), st.integers(1, 9), st.data())
def test_every_leaf_has_a_path_and_no_other_bytes_do(data, leaf_bytes, draw):
    index = draw.draw(st.integers(0, (len(data) - 1) // leaf_bytes))
    opened = data[index * leaf_bytes : (index + 1) * leaf_bytes]
    named, path = tree_root(MODEL, data, leaf_bytes), tree_path(data, index, leaf_bytes)
    assert verify_path(named, MODEL, len(data), index, opened, path, leaf_bytes)

    parts = [opened, *path]
    part = draw.draw(st.integers(0, len(parts) - 1))
    position = draw.draw(st.integers(0, len(parts[part]) - 1))
    flipped = bytearray(parts[part])
    flipped[position] ^= 1 << draw.draw(st.integers(0, 7))
    parts[part] = bytes(flipped)
    assert not verify_path(named, MODEL, len(data), index, parts[0], parts[1:], leaf_bytes)


@pytest.mark.parametrize("byte_length", [8, 10, 0, -1, 1 << 70])
def test_path_under_another_length_fails(byte_length):
    data = b"abcdefghi"
    named, path = tree_root(MODEL, data, 1), tree_path(data, 3, 1)
    assert verify_path(named, MODEL, 9, 3, b"d", path, 1)
    assert not verify_path(named, MODEL, byte_length, 3, b"d", path, 1)


def test_path_too_short_or_too_long_fails():
    named, path = tree_root(MODEL, b"abcd", 1), tree_path(b"abcd", 0, 1)
    for wrong in (path[:-1], (*path, path[0]), ()):
        assert not verify_path(named, MODEL, 4, 0, b"a", wrong, 1)


def test_leaf_of_another_length_fails_even_under_a_root_made_for_it():
    forged = root(6, MODEL, node(leaf(b"abc"), leaf(b"def")))
    assert not verify_path(forged, MODEL, 6, 0, b"abc", (leaf(b"def"),), 4)


@given(st.binary(min_size=1, max_size=70), st.sampled_from([1, 2, 4, 8]))
def test_subtrees_of_any_size_fold_to_the_root(data, leaves):
    nodes = subtrees(data, leaves, 2)
    assert len(nodes) == -(-len(data) // (2 * leaves))
    assert root_of_subtrees(MODEL, len(data), nodes) == tree_root(MODEL, data, 2)


def test_subtree_of_a_chunk_is_that_of_the_whole():
    data = bytes(range(50))
    nodes = subtrees(data, 4, 4)
    assert [subtrees(data[i : i + 16], 4, 4)[0] for i in range(0, 50, 16)] == list(nodes)
