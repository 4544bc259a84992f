"""Step 3 to 4: how a vector too long to travel inline reaches all seats from two uploads.

A trainer offers it to two seats; the others pull it from whoever attests it. Only when that took
too long, because those two are gone or keep it to themselves, does it offer it to two more. Both
sides work the turns out for themselves, so nobody has to tell the trainer how far things are.
"""

from flocknode.messages.limits import INLINE_VECTOR_MAX
from flocknode.primitives import Digest, PeerId, Seconds
from flocknode.protocol.pace import RESEND_SECONDS, Pace
from flocknode.protocol.seating import Seating

UPLOADS = 2
"""Seats that a trainer uploads to in one turn."""

BYTES_PER_SECOND_MIN = 1 << 20
"""What a turn's length is worked out by; below 8 Mbit/s a trainer uploads more often."""


def is_long(seating: Seating) -> bool:
    """Tell whether the attempt's vectors are pulled."""
    return seating.vector_bytes > INLINE_VECTOR_MAX


def turn_of(seating: Seating, index: int, seat: int) -> int:
    """Return when it is the turn of ``seat`` to ask trainer ``index``; trainers spread their load.

    Neighbours in this order sit in different columns, so one dead column stops nobody.
    """
    return (seat - index) % seating.terms.seats // UPLOADS


def offered(
    seating: Seating, index: int, root: Digest, pace: Pace, now: Seconds
) -> tuple[PeerId, ...]:
    """Return the seats that may have the vector under ``root`` from its trainer by now."""
    return tuple(
        seating.peers[seat]
        for seat in seating.seats
        if _is_due(seating, turn_of(seating, index, seat), root, pace, now)
    )


def may_ask(
    seating: Seating, index: int, root: Digest, seat: int, pace: Pace, now: Seconds
) -> bool:
    """Tell whether ``seat`` may ask the trainer for the vector under ``root``."""
    return _is_due(seating, turn_of(seating, index, seat), root, pace, now)


def _is_due(seating: Seating, turn: int, root: Digest, pace: Pace, now: Seconds) -> bool:
    patience = 2 * RESEND_SECONDS + seating.vector_bytes / BYTES_PER_SECOND_MIN
    return pace.after(("upload", root), now, turn * patience)
