"""How capsules that are too large for a header are named in it: one slip for each column.

A slip is the root over the column's capsules, in the order of seats, absent ones left out, and a
bitmap of the column's places that have one. The header signs the slips, so a seat checks what it
pulls against the root, and pulls nothing of other columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.primitives import Digest
from flocknode.protocol.seating import Seating

ROOT_BYTES = 32


@dataclass(frozen=True, slots=True)
class Slip:
    """One column's capsules: their root and the seats that have one."""

    root: Digest
    seats: tuple[int, ...]


def write_slips(capsules: Sequence[bytes], seating: Seating) -> tuple[tuple[bytes, bytes], ...]:
    """Return each column's slip with the bytes that it names, in the order of columns.

    ``capsules`` is by seat, an absent one being empty. A column without any has an empty slip.
    """
    slips = []
    for column in range(seating.terms.columns):
        seats = seating.column(column)
        data = b"".join(capsules[seat] for seat in seats)
        places = sum(1 << place for place, seat in enumerate(seats) if capsules[seat])
        root = tree_root(TreeKind.CAPSULES, data) if data else bytes(ROOT_BYTES)
        slips.append((root + places.to_bytes(_bitmap_bytes(seating), "big"), data))
    return tuple(slips)


def read_slip(slip: bytes, column: int, seating: Seating) -> Slip | None:
    """Return what a slip says, or None if it names no seat of its column."""
    if len(slip) != ROOT_BYTES + _bitmap_bytes(seating):
        return None
    places = int.from_bytes(slip[ROOT_BYTES:], "big")
    if not 0 < places < 1 << seating.terms.seats_per_column:
        return None
    seats = (seat for place, seat in enumerate(seating.column(column)) if places >> place & 1)
    return Slip(Digest(slip[:ROOT_BYTES]), tuple(seats))


def present_seats(announced: Sequence[bytes], seating: Seating) -> set[int]:
    """Return the seats for which a header announces a capsule."""
    if seating.suite.in_header:
        return {seat for seat, capsule in enumerate(announced) if capsule}
    slips = (read_slip(slip, column, seating) for column, slip in enumerate(announced))
    return {seat for slip in slips if slip for seat in slip.seats}


def _bitmap_bytes(seating: Seating) -> int:
    return -(-seating.terms.seats_per_column // 8)
