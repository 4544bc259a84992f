"""The only component that signs: one statement per slot, remembered before it leaves."""

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.signing import SigningKey
from flocknode.messages.statements import (
    Attestation,
    Context,
    Header,
    Include,
    MaskRoot,
    Propose,
    SeatKey,
    Statement,
    statement_digest,
)
from flocknode.primitives import Digest

Slot = tuple[str, Digest, int]


class SlotSigner:
    """Signs a statement unless its slot holds another one."""

    def __init__(self, key: SigningKey, domain: Domain) -> None:
        self._key = key
        self._domain = domain
        self._slots: dict[Slot, Digest] = {}

    async def sign(self, statement: Statement) -> bytes | None:
        """Return the signature, or None if the slot already holds another statement."""
        digest = statement_digest(self._domain, statement)
        slot = slot_of(statement)
        if slot and self._slots.setdefault(slot, digest) != digest:
            return None
        return self._key.sign_digest(digest)


def slot_of(statement: Statement) -> Slot | None:
    """Return what may be stated once: the slots whose double use is an offence, and headers."""
    match statement:
        case SeatKey(ctx, seat):
            return ("seat key", ctx, seat)
        case Header(ctx, index):
            return ("header", ctx, index)
        case Include(ctx, view):
            return ("include", ctx, view)
        case MaskRoot(ctx, column):
            return ("mask root", ctx, column)
        case Propose(ctx, view):
            return ("propose", ctx, view)
        case Attestation() | Context():
            return None
