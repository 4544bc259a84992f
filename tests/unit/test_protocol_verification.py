"""A settled round of a real world, and the same round with one byte wrong."""

from dataclasses import replace

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.messages.statements import RECORD_BYTES
from flocknode.protocol.ledger import (
    CommitteeDrawn,
    ProposalAccepted,
    RoundSettled,
    SetAccepted,
    TaskCreated,
)
from flocknode.protocol.seating import take_seats
from flocknode.protocol.verification import (
    SettledRound,
    VerificationError,
    read_record,
    verify_consent,
    verify_model,
    verify_set,
)
from flocknode.sim.world import World
from tests.builders import task_terms

OTHER = sha256(b"other")


class Evidence:
    """What a watcher gathers of one settled round."""

    def __init__(self):
        world = World(seed=1, terms=task_terms(columns=2, rounds=1), validators=7)
        world.run(seconds=60)

        def find(kind):
            return next(event for event in world.events if isinstance(event, kind))

        drawn, created = find(CommitteeDrawn), find(TaskCreated)
        peers = {number: node.peer for number, node in enumerate(world.validators)}
        seating = take_seats(world.domain, created.terms, world.roster, drawn, peers)
        self.settled = SettledRound(seating, find(SetAccepted), find(ProposalAccepted))
        self.final_root = find(RoundSettled).model_root
        self.everything = {}
        for node in world.nodes:
            self.everything.update(node.blobs._blobs)
        self.records = self.everything[self.settled.accepted.inclusion_root]
        self.headers = verify_set(self.settled, self.records)

    def with_records(self, records, **changes):
        """Return the round as if the chain had accepted ``records``."""
        root = tree_root(TreeKind.INCLUSION, records, RECORD_BYTES)
        accepted = replace(self.settled.accepted, inclusion_root=root, **changes)
        return replace(self.settled, accepted=accepted), records


@pytest.fixture(scope="module")
def evidence():
    return Evidence()


def refusal(function, *args):
    with pytest.raises(VerificationError) as caught:
        function(*args)
    return str(caught.value).removeprefix("does not hold: ")


def test_convicted_seats_neither_count_nor_agree(evidence):
    few = replace(evidence.settled, proposal=replace(evidence.settled.proposal, seats=0b110000))
    assert refusal(verify_consent, few) == "two thirds of the others agree"
    verify_consent(replace(few, slashed=0b111))
    convicted = replace(few, slashed=0b10111)
    assert refusal(verify_consent, convicted) == "nobody agrees who was convicted before"


def test_honest_round_verifies(evidence):
    model = verify_model(evidence.settled, evidence.headers, evidence.everything)
    assert len(evidence.headers) == 5
    assert tree_root(TreeKind.MODEL, model) == evidence.final_root


def test_record_reads_back(evidence):
    for position, header in enumerate(evidence.headers):
        leaf = evidence.records[position * RECORD_BYTES :][:RECORD_BYTES]
        assert read_record(leaf)[0].record(leaf[256:]) == leaf
        assert read_record(leaf)[0] == header


def test_cut_records_are_named(evidence):
    assert refusal(verify_set, evidence.settled, evidence.records[:-1]).endswith("length")


def test_flipped_byte_breaks_the_inclusion_root(evidence):
    records = evidence.records[:-1] + bytes([evidence.records[-1] ^ 1])
    assert refusal(verify_set, evidence.settled, records) == "the inclusion root"


@pytest.mark.parametrize(
    ("offset", "what"),
    [
        (0, "a header's context"),
        (1 * 32 + 31, "a header's trainer"),
        (1 * 32, "a header's index"),
        (2 * 32, "a leaf's encoding"),
        (2 * 32 + 31, "a header's trainer"),
        (3 * 32, "a header's signature"),
        (4 * 32 + 31, "a vector's shape"),
        (5 * 32 + 31, "a vector's shape"),
        (6 * 32, "a header's signature"),
        (7 * 32, "a header's signature"),
        (256, "a header's signature"),
        (256 + 64, "a header's signature is malformed"),
    ],
)
def test_every_field_of_a_leaf_is_checked(evidence, offset, what):
    records = bytearray(evidence.records)
    records[offset] ^= 1 if offset != 256 + 64 else 0x80
    settled, data = evidence.with_records(bytes(records))
    assert refusal(verify_set, settled, data).startswith(what)


def test_order_of_leaves_is_checked(evidence):
    first, second = evidence.records[:RECORD_BYTES], evidence.records[RECORD_BYTES:]
    settled, data = evidence.with_records(second + first)
    assert refusal(verify_set, settled, data) == "the order of the headers"


def test_trainer_twice_is_found(evidence):
    first = evidence.records[:RECORD_BYTES]
    settled, data = evidence.with_records(first + first, trainers=0b11)
    assert refusal(verify_set, settled, data) == "the order of the headers"


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"trainers": 0b111101}, "the roster bitmap"), ({"weight": 99}, "the set's weight")],
)
def test_bitmap_and_weight_are_checked(evidence, changes, what):
    accepted = replace(evidence.settled.accepted, **changes)
    settled = replace(evidence.settled, accepted=accepted)
    assert refusal(verify_set, settled, evidence.records) == what


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"aggregate_root": OTHER}, "the aggregate root"),
        ({"model_root": OTHER}, "the model root"),
        ({"mask_roots": (OTHER, OTHER)}, f"bytes of {OTHER.hex()[:8]} are there"),
    ],
)
def test_every_root_of_a_proposal_is_recomputed(evidence, changes, what):
    proposal = replace(evidence.settled.proposal, **changes)
    settled = replace(evidence.settled, proposal=proposal)
    assert refusal(verify_model, settled, evidence.headers, evidence.everything) == what


def test_wrong_mask_sum_gives_another_aggregate(evidence):
    first, _ = evidence.settled.proposal.mask_roots
    proposal = replace(evidence.settled.proposal, mask_roots=(first, first))
    settled = replace(evidence.settled, proposal=proposal)
    what = refusal(verify_model, settled, evidence.headers, evidence.everything)
    assert what == "the aggregate root"


def test_vector_of_another_length_is_found(evidence):
    short = bytes(evidence.settled.seating.vector_bytes - 2)
    root = tree_root(TreeKind.MASK_SUM, short)
    proposal = replace(evidence.settled.proposal, mask_roots=(root, root))
    settled = replace(evidence.settled, proposal=proposal)
    blobs = {**evidence.everything, root: short}
    what = refusal(verify_model, settled, evidence.headers, blobs)
    assert what == f"the length of {root.hex()[:8]}"


def test_every_blob_is_checked_against_its_root(evidence):
    settled = evidence.settled
    before = settled.seating.drawn.model_root
    roots = [*(h.root for h in evidence.headers), *settled.proposal.mask_roots, before]
    for root in roots:
        data = evidence.everything[root]
        wrong = {**evidence.everything, root: bytes([data[0] ^ 1]) + data[1:]}
        what = refusal(verify_model, settled, evidence.headers, wrong)
        assert what == f"the bytes of {root.hex()[:8]}"
        gone = {name: blob for name, blob in evidence.everything.items() if name != root}
        what = refusal(verify_model, settled, evidence.headers, gone)
        assert what == f"bytes of {root.hex()[:8]} are there"
