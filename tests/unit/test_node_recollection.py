"""A node that does not remember what the chain says it signed stops."""

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.node.memory import CONTEXTS_MAX, MemorySlots
from flocknode.node.recollection import ForgottenStatement, Recollection
from flocknode.primitives import Address, Digest
from flocknode.protocol.ledger import Block, ChainProgress
from tests.consortium import consortium

US = consortium()
DRAWN = US.seating.drawn
SEAT = 4
ME = DRAWN.signers[SEAT]
ACCEPTED = US.accepted(US.set_of(0, 1, 2))
PROPOSAL = US.proposal()
EVERYTHING = ((1 << 9) - 1) ^ (1 << SEAT)
STATEMENTS = [("include", ACCEPTED), ("propose", PROPOSAL)]


def told(*events):
    name = Digest(bytes(32))
    return ChainProgress(None, (Block(1, name, name, 1_000, events),), 1)


def check(me, slots, *events):
    recollection = Recollection(me, slots)
    recollection.check(told(DRAWN))
    recollection.check(told(*events))


@pytest.mark.parametrize(("kind", "event"), STATEMENTS)
def test_statement_on_the_chain_that_was_never_recorded_stops_the_node(kind, event):
    assert event.seats >> SEAT & 1
    with pytest.raises(ForgottenStatement, match=kind.upper()) as refusal:
        check(ME, MemorySlots(), event)
    assert refusal.value.exit_code == 78


@pytest.mark.parametrize(("kind", "event"), STATEMENTS)
def test_recorded_statement_is_remembered(kind, event):
    slots = MemorySlots()
    slots.record((kind, DRAWN.ctx, event.view), sha256(b"statement"))
    check(ME, slots, event)


@pytest.mark.parametrize(("kind", "event"), STATEMENTS)
def test_record_of_another_view_does_not_count(kind, event):
    slots = MemorySlots()
    slots.record((kind, DRAWN.ctx, event.view + 1), sha256(b"statement"))
    with pytest.raises(ForgottenStatement):
        check(ME, slots, event)


def test_others_statements_are_theirs():
    check(Address(b"\x99" * 20), MemorySlots(), ACCEPTED, PROPOSAL)


def test_slots_in_memory_are_forgotten_by_whole_attempts_the_oldest_first():
    slots = MemorySlots()
    for number in range(CONTEXTS_MAX + 1):
        ctx = sha256(b"%d" % number)
        assert slots.record(("include", ctx, 0), sha256(b"one"))
        assert slots.record(("propose", ctx, 0), sha256(b"one"))
    assert not slots.holds(("include", sha256(b"0"), 0))
    assert slots.holds(("include", sha256(b"1"), 0))
    assert not slots.record(("include", sha256(b"1"), 0), sha256(b"two"))
