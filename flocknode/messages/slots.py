"""What may be stated once: the slots whose double use is an offence, and headers."""

from flocknode.messages.statements import (
    Attestation,
    Context,
    Header,
    Include,
    MaskRoot,
    Propose,
    SeatKey,
    Statement,
)
from flocknode.primitives import Digest

Slot = tuple[str, Digest, int]


def slot_of(statement: Statement) -> Slot | None:
    """Return the slot that ``statement`` fills, or None if it may be followed by another."""
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
