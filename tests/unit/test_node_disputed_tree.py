import pytest

from flocknode.crypto.merkle import LEAF_BYTES, TreeKind, tree_root, verify_path
from flocknode.node.disputed_tree import Branch, Leaf, find_difference
from flocknode.node.memory import MemoryStorage
from flocknode.node.prover import Prover
from flocknode.primitives import Digest
from flocknode.protocol.effects import Prepare
from flocknode.protocol.evidence import Answer, Node, TreeAnswer
from tests.consortium import consortium

SEATING = consortium().seating


def vector(leaves):
    """Return as many leaves, all different, the last one short."""
    return b"".join(i.to_bytes(2, "big") * (LEAF_BYTES // 2) for i in range(leaves))[:-100]


def spoilt(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def answer_of(other, branch):
    """Answer as the machine of a seat that holds ``other`` does."""
    storage = MemoryStorage()
    root = tree_root(TreeKind.AGGREGATE, other)
    storage.blobs.put(root, other)
    prover = Prover(storage.blobs, lambda _seating, _headers: None)
    node = Node(root, TreeKind.AGGREGATE, len(other), LEAF_BYTES, branch.level, branch.index)
    prepared = prover.prepare(Prepare(SEATING, TreeAnswer(Digest(bytes(32)), node)))
    (call,) = prepared.calls
    return Answer(branch.level, branch.index, call.answer)


def descend(own, other):
    answers = []
    while isinstance(found := find_difference(own, None, answers), Branch):
        answers.append(answer_of(other, found))
    return found, len(answers)


@pytest.mark.parametrize(
    ("leaves", "at", "questions"),
    [(1, 7, 1), (3, 2 * LEAF_BYTES, 2), (300, 299 * LEAF_BYTES + 5, 3), (300, 0, 3)],
)
def test_answers_lead_to_the_leaf_that_differs(leaves, at, questions):
    own = vector(leaves)
    other = spoilt(own, at)
    found, asked = descend(own, other)
    assert isinstance(found, Leaf)
    assert found == find_difference(own, other, ())
    assert (found.at, asked) == (at, questions)
    path = [
        Digest(found.opening[i : i + 32]) for i in range(len(found.data), len(found.opening), 32)
    ]
    root = tree_root(TreeKind.AGGREGATE, other)
    assert verify_path(root, TreeKind.AGGREGATE, len(other), found.number, found.data, path)


def test_equal_trees_lead_nowhere():
    own = vector(300)
    assert descend(own, own)[0] is None
    assert find_difference(own, own, ()) is None


def test_leaf_is_read_by_the_vectors_offsets():
    own = vector(3)
    found = find_difference(own, spoilt(own, LEAF_BYTES + 8), ())
    assert found.read(LEAF_BYTES + 8, 2) == bytes([own[LEAF_BYTES + 8] ^ 1, own[LEAF_BYTES + 9]])
