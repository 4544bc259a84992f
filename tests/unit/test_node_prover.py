"""A proof is made where the contract will confirm it, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from flocknode.aggregation.step import server_step, step_word
from flocknode.crypto.masks import expand
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.model.stages import Aggregate
from flocknode.node.memory import MemoryStorage
from flocknode.node.prover import Prover, sum_group
from flocknode.protocol.effects import Prepare
from flocknode.protocol.evidence import AggregateProof, MaskProof, RecordProof, StepProof
from flocknode.protocol.proofs import (
    OpenSeeds,
    ProposalStatement,
    ProveAggregate,
    ProveBadInclusion,
    ProveStep,
)
from tests.consortium import DRAWN_AT, consortium


def starting_from(model):
    """Return the consortium with a model that its attempt starts from."""
    us = consortium()
    drawn = replace(us.seating.drawn, model_root=tree_root(TreeKind.MODEL, model))
    return replace(us, seating=replace(us.seating, drawn=drawn))


MODEL = bytes(4 * consortium().terms.integers.words)
US = starting_from(MODEL)
TERMS = US.terms.integers
CHOSEN = US.set_of(0, 1, 2, 3)
ACCEPTED = US.accepted(CHOSEN, DRAWN_AT)
COLUMN = 1
SEEDS = [US.seed(index, COLUMN) for index in range(4)]
VECTORS = [US.vector(index)[: US.seating.vector_bytes] for index in range(4)]


def ring(data):
    return np.frombuffer(data, "<u2").copy()


def sums():
    """Return the right mask sum of every column."""
    columns = range(US.terms.columns)
    return [
        sum(expand(US.seed(i, c), TERMS.words, TERMS.width).astype(np.uint16) for i in range(4))
        for c in columns
    ]


RIGHT = [words.astype("<u2").tobytes() for words in sums()]
AGGREGATE = (sum(map(ring, VECTORS)) - sum(map(ring, RIGHT))).astype("<u2").tobytes()
NEXT = (
    server_step(np.frombuffer(MODEL, "<i4"), Aggregate(ring(AGGREGATE)), ACCEPTED.weight, TERMS)
    .astype("<i4")
    .tobytes()
)


def spoilt(data, at=9):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class Shelf:
    """A prover over the bytes that it was given."""

    def __init__(self, seeds=SEEDS):
        self.blobs = MemoryStorage().blobs
        self.prover = Prover(self.blobs, lambda _seating, _headers: seeds)
        for vector in VECTORS:
            self.put(vector, TreeKind.MASKED_VECTOR)
        self.roots = tuple(self.put(data, TreeKind.MASK_SUM) for data in RIGHT)
        self.put(MODEL, TreeKind.MODEL)

    def put(self, data, kind, leaf_bytes=1024):
        root = tree_root(kind, data, leaf_bytes)
        self.blobs.put(root, data)
        return root

    def calls(self, request):
        return self.prover.prepare(Prepare(US.seating, request)).calls


def statement(roots, aggregate=AGGREGATE, model=NEXT):
    named = (tree_root(TreeKind.AGGREGATE, aggregate), tree_root(TreeKind.MODEL, model))
    return ProposalStatement(1, 0, roots, *named, 0b111111)


def mask_proof(shelf, used, own):
    roots = list(shelf.roots)
    roots[COLUMN] = shelf.put(used, TreeKind.MASK_SUM)
    own_root = shelf.put(own, TreeKind.MASK_SUM)
    return MaskProof(statement(tuple(roots)), CHOSEN, COLUMN, own_root, 0, ())


def test_wrong_mask_sum_is_opened_at_the_group_that_differs():
    shelf = Shelf()
    (call,) = shelf.calls(mask_proof(shelf, spoilt(RIGHT[COLUMN], 70), RIGHT[COLUMN]))
    assert isinstance(call, OpenSeeds)
    assert (call.group, [one.seed for one in call.contributions]) == (2, SEEDS)


def test_seat_whose_own_sum_is_wrong_opens_no_seed():
    shelf = Shelf()
    assert shelf.calls(mask_proof(shelf, RIGHT[COLUMN], spoilt(RIGHT[COLUMN]))) == ()


@pytest.mark.parametrize("which", ["used", "own"])
def test_seat_whose_disk_spoilt_a_sum_opens_no_seed(which):
    shelf = Shelf()
    proof = mask_proof(shelf, spoilt(RIGHT[COLUMN], 70), RIGHT[COLUMN])
    root = proof.own_root if which == "own" else proof.proposal.mask_roots[COLUMN]
    held = shelf.blobs.get(root)
    shelf.blobs.discard(root)
    shelf.blobs.put(root, spoilt(held, 3))
    assert not any(isinstance(call, OpenSeeds) for call in shelf.calls(proof))


def test_no_seed_leaves_once_one_is_gone():
    shelf = Shelf(seeds=None)
    assert shelf.calls(mask_proof(shelf, spoilt(RIGHT[COLUMN]), RIGHT[COLUMN])) == ()


def test_group_of_keystreams_is_the_summed_vector_there():
    assert [sum_group(SEEDS, group, TERMS.width) for group in (0, 1)] == [
        RIGHT[COLUMN][:32],
        RIGHT[COLUMN][32:64],
    ]


def test_wrong_aggregate_is_summed_where_it_differs():
    shelf = Shelf()
    wrong, right = spoilt(AGGREGATE), shelf.put(AGGREGATE, TreeKind.AGGREGATE)
    shelf.put(wrong, TreeKind.AGGREGATE)
    (call,) = shelf.calls(AggregateProof(statement(shelf.roots, wrong), CHOSEN, right))
    assert isinstance(call, ProveAggregate)
    assert (call.coordinate, len(call.headers), len(call.closing)) == (4, 4, 4)


def test_right_aggregate_is_not_accused_by_a_seat_that_computed_another():
    shelf = Shelf()
    mistaken = shelf.put(spoilt(AGGREGATE), TreeKind.AGGREGATE)
    shelf.put(AGGREGATE, TreeKind.AGGREGATE)
    assert shelf.calls(AggregateProof(statement(shelf.roots), CHOSEN, mistaken)) == ()


@pytest.mark.parametrize("lost", range(4))
def test_nothing_is_proven_without_every_vector(lost):
    shelf = Shelf()
    wrong, right = spoilt(AGGREGATE), shelf.put(AGGREGATE, TreeKind.AGGREGATE)
    shelf.put(wrong, TreeKind.AGGREGATE)
    shelf.blobs.discard(CHOSEN.vectors[lost])
    assert shelf.calls(AggregateProof(statement(shelf.roots, wrong), CHOSEN, right)) == ()


def step_proof(shelf, stated, computed):
    shelf.put(AGGREGATE, TreeKind.AGGREGATE)
    shelf.put(stated, TreeKind.MODEL)
    right = shelf.put(computed, TreeKind.MODEL)
    return StepProof(statement(shelf.roots, model=stated), ACCEPTED, right)


def test_wrong_step_is_shown_at_one_word():
    shelf = Shelf()
    (call,) = shelf.calls(step_proof(shelf, spoilt(NEXT, 21), NEXT))
    assert isinstance(call, ProveStep)
    assert call.coordinate == 5


def test_right_step_is_not_accused_by_a_seat_that_computed_another():
    shelf = Shelf()
    assert shelf.calls(step_proof(shelf, NEXT, spoilt(NEXT))) == ()


def test_one_word_of_the_step_is_the_vectors():
    words = ring(AGGREGATE).view("<i2")
    stepped = [step_word(0, int(word), ACCEPTED.weight, TERMS) for word in words]
    assert stepped == np.frombuffer(NEXT, "<i4").tolist()


def test_forged_record_is_found_and_sound_ones_are_not():
    shelf = Shelf()
    shelf.put(CHOSEN.records, TreeKind.INCLUSION, 321)
    assert shelf.calls(RecordProof(ACCEPTED)) == ()
    forged = spoilt(CHOSEN.records, 2 * 321 - 40)
    root = shelf.put(forged, TreeKind.INCLUSION, 321)
    (call,) = shelf.calls(RecordProof(replace(ACCEPTED, inclusion_root=root)))
    assert isinstance(call, ProveBadInclusion)
    assert (call.count, call.position, call.opening[:321]) == (4, 1, forged[321:642])


def test_records_that_are_not_here_prove_nothing():
    assert Shelf().calls(RecordProof(ACCEPTED)) == ()
