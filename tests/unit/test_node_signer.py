from dataclasses import replace

import pytest

from flocknode.crypto.hashing import sha256
from flocknode.crypto.signing import recover
from flocknode.messages.slots import slot_of
from flocknode.messages.statements import (
    Attestation,
    Header,
    Include,
    MaskRoot,
    Propose,
    SeatKey,
    statement_digest,
)
from flocknode.node.memory import MemorySlots
from flocknode.node.signer import SlotSigner
from flocknode.primitives import Address
from tests.consortium import DOMAIN, key

CTX, ONE, OTHER = sha256(b"ctx"), sha256(b"one"), sha256(b"other")
KEY = key("seat 0")
SLOTTED = [
    (SeatKey(CTX, 0, ONE), {"key_hash": OTHER}, {"seat": 1}),
    (
        Header(CTX, 0, Address(bytes(20)), ONE, 40, 16, ONE, ONE),
        {"root": OTHER},
        {"index": 1},
    ),
    (Include(CTX, 0, ONE, 7, 6, ONE), {"commitment": OTHER}, {"view": 1}),
    (MaskRoot(CTX, 0, ONE, ONE, 40), {"root": OTHER}, {"column": 1}),
    (Propose(CTX, 0, ONE, ONE, ONE, ONE), {"model_root": OTHER}, {"view": 1}),
]


def name(value):
    return type(value).__name__ if not isinstance(value, dict) else next(iter(value))


@pytest.mark.parametrize(("statement", "change", "elsewhere"), SLOTTED, ids=name)
async def test_slot_holds_one_statement(statement, change, elsewhere):
    signer = SlotSigner(KEY, DOMAIN, MemorySlots())
    first = await signer.sign(statement)
    assert recover(statement_digest(DOMAIN, statement), first) == KEY.address
    assert await signer.sign(replace(statement, **change)) is None
    assert await signer.sign(statement) == first
    assert await signer.sign(replace(statement, **elsewhere)) is not None
    assert await signer.sign(replace(statement, ctx=OTHER, **change)) is not None


async def test_attestations_grow():
    signer = SlotSigner(KEY, DOMAIN, MemorySlots())
    for sequence in (1, 2):
        statement = Attestation(CTX, 0, sequence, ONE)
        assert slot_of(statement) is None
        assert await signer.sign(statement)
