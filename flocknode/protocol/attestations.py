"""What all seats say that they hold: counted, dated, and shown to every other seat once."""

from flocknode.messages.codec import encode
from flocknode.messages.wire import AttestationBundle, AttestationMessage
from flocknode.primitives import Digest
from flocknode.protocol.seating import Seating

HEADERS_PER_TRAINER_MAX = 2
"""A trainer that signs two headers for one attempt gains nothing by a third."""

APART_MAX = 8
"""Attestations of one seat of which none contains another. Within a life each contains the one
before, so an honest seat has as many as lives; all of them are forwarded to all seats."""

BUNDLE_BYTES_MAX = 80 * 1024
"""Of the attestations in one message; a link carries 96 KiB."""


class Attestations:
    """The attestations of one attempt as one seat knows them.

    What a seat once attested counts for good: a seat that says one thing here and another there
    ends up having said both everywhere, since everybody forwards what it counts.
    """

    def __init__(self, seating: Seating, seat: int) -> None:
        self._seating = seating
        self._seat = seat
        self._named: dict[int, set[Digest]] = {}
        """What each seat attested, in all its attestations."""
        self._messages: dict[int, list[AttestationMessage]] = {}
        """The attestations that no other of the same seat contains."""
        self._unsent: list[AttestationMessage] = []
        self._counted: tuple[Digest, ...] = ()
        """The headers that a majority of every column attests."""
        self._since: dict[Digest, int] = {}
        """Block time at which each header was first seen attested by a majority of every column."""

    def is_news(self, message: AttestationMessage) -> bool:
        """Tell whether it says anything new; of a seat that named too many, nothing is."""
        named = self._named.get(message.seat, set())
        return self._counts(message.seat) and not named.issuperset(message.headers)

    def hear(self, message: AttestationMessage, timestamp: int) -> None:
        """Count a checked attestation at block time ``timestamp``."""
        if not self.is_news(message):
            return
        seat, headers = message.seat, set(message.headers)
        self._named.setdefault(seat, set()).update(headers)
        older = self._messages.get(seat, [])
        contained = [m for m in older if headers.issuperset(m.headers)]
        self._messages[seat] = [*(m for m in older if m not in contained), message]
        if seat != self._seat:
            self._unsent = [*(m for m in self._unsent if m not in contained), message]
        self._counted = self._count()
        for header in self._counted:
            self._since.setdefault(header, timestamp)

    def attested(self, before: int | None = None) -> tuple[Digest, ...]:
        """Return the headers that a majority of every column attests.

        With ``before`` only those that were seen so at an earlier block time.
        """
        if before is None:
            return self._counted
        return tuple(header for header in self._counted if self._since[header] < before)

    def attesters(self, header: Digest) -> set[int]:
        """Return the seats that attest ``header``."""
        return {seat for seat, named in self._named.items() if header in named}

    def naming(self, headers: set[Digest]) -> tuple[AttestationMessage, ...]:
        """Return the attestations that name any of ``headers``."""
        known = (m for messages in self._messages.values() for m in messages)
        return tuple(m for m in known if headers.intersection(m.headers))

    def forward(self) -> list[AttestationBundle]:
        """Return what was counted of other seats and not returned before."""
        bundles: list[list[bytes]] = []
        room = 0
        for message in self._unsent:
            data = encode(message)
            if len(data) > room or len(bundles[-1]) >= self._seating.terms.seats:
                bundles.append([])
                room = BUNDLE_BYTES_MAX
            bundles[-1].append(data)
            room -= len(data)
        self._unsent.clear()
        return [AttestationBundle(self._seating.ctx, tuple(parts)) for parts in bundles]

    def _counts(self, seat: int) -> bool:
        """Tell whether a seat's word counts: none does that said more than an honest seat says.

        That is one header a trainer in each of two lives, in as many attestations as lives.
        """
        named_max = HEADERS_PER_TRAINER_MAX * len(self._seating.roster.entries)
        is_short = len(self._named.get(seat, ())) <= named_max
        return is_short and len(self._messages.get(seat, ())) <= APART_MAX

    def _count(self) -> tuple[Digest, ...]:
        seats: dict[Digest, set[int]] = {}
        for seat, named in self._named.items():
            if self._counts(seat):
                for header in named:
                    seats.setdefault(header, set()).add(seat)
        found = (h for h, s in seats.items() if self._seating.has_column_majorities(s))
        return tuple(sorted(found))
