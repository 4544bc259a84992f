"""Every rule of acceptance has its line here: what breaks it, and what that is called."""

from dataclasses import replace

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.messages.codec import encode
from flocknode.messages.wire import Contribution, Outcome, WantKeys
from flocknode.primitives import PeerId
from flocknode.protocol.attempt import header_of
from flocknode.protocol.attestation import HEADERS_PER_TRAINER_MAX
from flocknode.protocol.chain_view import AttemptView
from flocknode.protocol.gossip_memory import GossipMemory
from flocknode.protocol.gossip_rules import (
    GossipIgnore,
    GossipReject,
    check_attestation,
    check_bundle,
    check_header,
    check_include_vote,
    check_mask_root,
    check_named_once,
    check_propose_vote,
    check_seat_key,
    check_vector,
    require_ctx,
    require_member,
)
from tests.consortium import MODEL_ROOT, consortium, sign

US = consortium()
SEATING = US.seating
CHOSEN = US.set_of(0, 1, 2)
DIGEST = sha256(b"something else")
VECTOR = US.contribution(US.valid(0)).vector
SIGNED = {
    "seat key": (check_seat_key, US.seat_key(4)),
    "attestation": (check_attestation, US.attestation(4, CHOSEN.headers)),
    "include vote": (check_include_vote, US.include_vote(4, 0, CHOSEN)),
    "mask root": (check_mask_root, US.mask_root(4, CHOSEN, DIGEST)),
    "propose vote": (check_propose_vote, US.propose_vote(4, 0)),
}


def reason(verdict, check, *args):
    with pytest.raises(verdict) as caught:
        check(*args)
    return str(caught.value)


def test_message_of_another_attempt_is_ignored():
    assert require_ctx(US.ctx, SEATING) is SEATING
    assert reason(GossipIgnore, require_ctx, DIGEST, SEATING) == "not the attempt in progress"
    assert reason(GossipIgnore, require_ctx, US.ctx, None) == "not the attempt in progress"


@pytest.mark.parametrize("name", SIGNED)
class TestSignedBySeat:
    def test_honest_message_is_accepted(self, name):
        check, message = SIGNED[name]
        assert check(message, SEATING) == message

    def test_seat_that_does_not_exist_is_rejected(self, name):
        check, message = SIGNED[name]
        message = replace(message, seat=9)
        assert reason(GossipReject, check, message, SEATING) == "no such seat"

    def test_signature_of_another_seat_is_rejected(self, name):
        check, message = SIGNED[name]
        message = replace(message, seat=7)
        assert reason(GossipReject, check, message, SEATING) == "signature of somebody else"

    def test_malformed_signature_is_rejected(self, name):
        check, message = SIGNED[name]
        for signature in (bytes(65), b"\xff" * 65, message.signature[:64] + b"\x1d"):
            bad = replace(message, signature=signature)
            assert reason(GossipReject, check, bad, SEATING) == "malformed signature"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("seat key", {"key": bytes(32)}),
        ("seat key", {"suite": 2}),
        ("attestation", {"sequence": 2}),
        ("attestation", {"headers": CHOSEN.headers[:2]}),
        ("include vote", {"view": 1}),
        ("include vote", {"trainers": b"\x0f"}),
        ("include vote", {"weight": 7}),
        ("include vote", {"commitment": DIGEST}),
        ("mask root", {"root": MODEL_ROOT}),
        ("mask root", {"inclusion_root": DIGEST}),
        ("propose vote", {"view": 1}),
        ("propose vote", {"model_root": DIGEST}),
        ("propose vote", {"aggregate_root": DIGEST}),
        ("propose vote", {"mask_roots_hash": DIGEST}),
    ],
)
def test_signature_covers_every_field(name, changes):
    check, message = SIGNED[name]
    changed = replace(message, **changes)
    assert reason(GossipReject, check, changed, SEATING) == "signature of somebody else"


def test_bundle_is_accepted_by_seat():
    assert [key.seat for key in check_bundle(US.bundle(), SEATING)] == list(range(9))


@pytest.mark.parametrize(
    ("seats", "why"),
    [
        ((0, 1, 1, 2, 3, 4, 5), "a bundle out of order"),
        ((1, 0, 2, 3, 4, 5), "a bundle out of order"),
        ((0, 1, 2, 3, 4), "a bundle for too few seats"),
    ],
)
def test_bundle_names_a_majority_of_every_column_in_order(seats, why):
    assert reason(GossipReject, check_bundle, US.bundle(*seats), SEATING) == why


def test_empty_bundle_is_rejected():
    empty = replace(US.bundle(), keys=())
    assert reason(GossipReject, check_bundle, empty, SEATING) == "a bundle for too few seats"


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (b"rubbish", "undecodable part of a bundle"),
        (encode(WantKeys(US.ctx)), "stranger in a bundle"),
        (encode(replace(US.seat_key(8), ctx=DIGEST)), "stranger in a bundle"),
        (encode(replace(US.seat_key(8), key=bytes(32))), "signature of somebody else"),
    ],
)
def test_every_part_of_a_bundle_is_a_key_of_the_attempt(part, why):
    bundle = replace(US.bundle(), keys=(*US.bundle().keys[:8], part))
    assert reason(GossipReject, check_bundle, bundle, SEATING) == why


def test_header_is_accepted_with_its_leaf():
    header = US.valid(1).header
    valid = check_header(header, SEATING)
    assert valid.record.endswith(header.signature)
    assert valid.digest == sha256(valid.record)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"index": 4}, "not in the roster"),
        ({"index": 2}, "not in the roster"),
        ({"trainer": US.trainers[0].address}, "not in the roster"),
        ({"words": 41}, "vector of another shape"),
        ({"width": 32}, "vector of another shape"),
        ({"commitments": US.valid(1).header.commitments[:2]}, "commitments or capsules missing"),
        ({"capsules": US.valid(1).header.capsules[:8]}, "commitments or capsules missing"),
        ({"root": DIGEST}, "signature of somebody else"),
        ({"commitments": (DIGEST,) * 3}, "signature of somebody else"),
        ({"capsules": (b"",) * 9}, "signature of somebody else"),
        ({"ctx": DIGEST}, "signature of somebody else"),
        ({"signature": bytes(65)}, "malformed signature"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_header_that_breaks_a_rule_is_rejected(changes, why):
    header = replace(US.valid(1).header, **changes)
    assert reason(GossipReject, check_header, header, SEATING) == why


def test_majority_of_every_column_can_open_a_capsule():
    assert check_header(US.header(0, absent=(0, 1, 2)), SEATING)
    few = US.header(0, absent=(0, 3))
    assert reason(GossipReject, check_header, few, SEATING) == "capsules for too few seats"


def test_after_a_spent_attempt_other_trainers_are_ignored():
    frozen = US.frozen(0b0101).seating
    assert check_header(US.valid(2).header, frozen)
    assert reason(GossipIgnore, check_header, US.valid(1).header, frozen) == "not in the frozen set"


def test_inline_bytes_are_the_announced_ones():
    kind, root, length = TreeKind.MASKED_VECTOR, US.valid(0).header.root, len(VECTOR)
    assert check_vector(VECTOR, root, kind, length) == VECTOR
    flipped = bytes([VECTOR[0] ^ 1]) + VECTOR[1:]
    for args in (
        (flipped, root, kind, length),
        (VECTOR[:-1], tree_root(kind, VECTOR[:-1]), kind, length),
        (VECTOR, root, TreeKind.MASK_SUM, length),
    ):
        assert reason(GossipReject, check_vector, *args) == "bytes of another root"


def test_inline_sum_of_a_mask_root_is_checked():
    root = tree_root(TreeKind.MASK_SUM, VECTOR)
    assert check_mask_root(US.mask_root(1, CHOSEN, root, VECTOR), SEATING)
    bad = US.mask_root(1, CHOSEN, DIGEST, VECTOR)
    assert reason(GossipReject, check_mask_root, bad, SEATING) == "bytes of another root"


def test_mask_sum_of_another_length_is_rejected():
    bad = replace(US.mask_root(1, CHOSEN, DIGEST), words=41)
    assert reason(GossipReject, check_mask_root, bad, SEATING) == "mask sum of another length"


def test_header_is_named_once():
    twice = (*CHOSEN.headers, CHOSEN.headers[0])
    assert check_named_once(CHOSEN.headers) == CHOSEN.headers
    assert reason(GossipReject, check_named_once, twice) == "a header named twice"
    attestation = US.attestation(4, twice)
    why = reason(GossipReject, check_attestation, attestation, SEATING)
    assert why == "a header named twice"


def test_questions_of_strangers_are_ignored():
    require_member(SEATING.peers[3], SEATING)
    require_member(PeerId(b"trainer 2"), SEATING)
    why = reason(GossipIgnore, require_member, PeerId(b"stranger"), SEATING)
    assert why == "a question of a stranger"


@pytest.mark.parametrize(
    ("header", "why"),
    [(b"rubbish", "undecodable header"), (encode(WantKeys(US.ctx)), "no header in a contribution")],
)
def test_contribution_holds_a_header(header, why):
    assert header_of(US.contribution(US.valid(0))) == US.valid(0).header
    assert reason(GossipReject, header_of, Contribution(header, VECTOR)) == why


def test_gossiped_bundle_must_grow():
    memory = GossipMemory()
    memory.admit_bundle(6)
    for size in (6, 5):
        assert reason(GossipIgnore, memory.admit_bundle, size) == "a bundle that adds nothing"
    memory.admit_bundle(9)


def test_gossiped_header_is_forwarded_once_and_its_trainer_has_two():
    memory = GossipMemory()
    for salt in range(HEADERS_PER_TRAINER_MAX):
        memory.admit_header(US.valid(0, salt))
        why = reason(GossipIgnore, memory.admit_header, US.valid(0, salt))
        assert why == "a header that adds nothing"
    third = US.valid(0, HEADERS_PER_TRAINER_MAX)
    assert reason(GossipIgnore, memory.admit_header, third) == "a header that adds nothing"
    memory.admit_header(US.valid(1))


def test_gossiped_outcome_is_the_chains_and_forwarded_once():
    memory, proposal = GossipMemory(), US.proposal()
    outcome = Outcome(US.ctx, 3, CHOSEN.root, proposal.aggregate_root, proposal.model_root)
    why = "an outcome that adds nothing"
    assert reason(GossipIgnore, memory.admit_outcome, outcome) == why
    view = AttemptView(drawn=SEATING.drawn, accepted=US.accepted(CHOSEN), proposal=proposal)
    memory.note_outcome(view)
    forged = replace(outcome, aggregate_root=DIGEST)
    assert reason(GossipIgnore, memory.admit_outcome, forged) == why
    memory.admit_outcome(outcome)
    assert reason(GossipIgnore, memory.admit_outcome, outcome) == why


def test_signature_by_the_right_key_over_another_statement_is_rejected():
    key = US.seat_key(4)
    other = replace(key, signature=sign(US.seats[4], US.propose_vote(4, 0).statement()))
    assert reason(GossipReject, check_seat_key, other, SEATING) == "signature of somebody else"
