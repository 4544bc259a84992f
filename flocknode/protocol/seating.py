"""One drawn attempt: who sits where, and what is due when. Nothing here changes after the draw."""

from collections.abc import Mapping
from dataclasses import dataclass

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.hashing import committee_hash
from flocknode.crypto.suites import X25519, CapsulePlace, Suite
from flocknode.messages.statements import Context, statement_digest
from flocknode.model.terms import TaskTerms
from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.ledger import CommitteeDrawn
from flocknode.protocol.roster import Roster


@dataclass(frozen=True, slots=True)
class Seating:
    """The committee of one attempt and its calendar. Seat p sits in column p mod k."""

    domain: Domain
    terms: TaskTerms
    roster: Roster
    drawn: CommitteeDrawn
    peers: tuple[PeerId, ...]
    """The libp2p peer of each seat."""
    suite: Suite = X25519
    """What the task's capsules are sealed with."""

    @property
    def ctx(self) -> Digest:
        return self.drawn.ctx

    @property
    def seats(self) -> range:
        return range(self.terms.seats)

    @property
    def members(self) -> frozenset[PeerId]:
        """Return the peers of all seats and trainers."""
        return frozenset(self.peers).union(entry.peer for entry in self.roster.entries)

    @property
    def vector_bytes(self) -> int:
        """Length of one vector of ring words."""
        return self.terms.integers.words * self.terms.integers.width // 8

    @property
    def pause(self) -> int:
        """How many pauses the round has behind it: each ends a series of attempts."""
        return self.drawn.attempt // self.terms.attempts_max

    def signer_of(self, seat: int) -> Address:
        return self.drawn.signers[seat]

    def seat_of(self, signer: Address) -> int | None:
        """Return the seat of ``signer``, or None for a node without one."""
        return self.drawn.signers.index(signer) if signer in self.drawn.signers else None

    def column_of(self, seat: int) -> int:
        return seat % self.terms.columns

    def capsule_place(self, index: int, seat: int) -> CapsulePlace:
        """Name the capsule of the roster's trainer ``index`` for ``seat``."""
        trainer = self.roster.entries[index].trainer
        return CapsulePlace(self.ctx, trainer, self.column_of(seat), seat)

    def column(self, column: int) -> range:
        """Return the seats of ``column``."""
        return range(column, self.terms.seats, self.terms.columns)

    def proposer_of(self, view: int) -> int:
        """Return the seat that proposes in ``view``: (view + seed) mod n."""
        return (view + int.from_bytes(self.drawn.seed, "big")) % self.terms.seats

    def has_column_majorities(self, seats: frozenset[int] | set[int]) -> bool:
        """Tell whether ``seats`` hold a majority of every column."""
        return all(
            len(seats.intersection(self.column(column))) >= self.terms.column_majority
            for column in range(self.terms.columns)
        )

    @property
    def attest_deadline(self) -> int:
        return self.drawn.drawn_at + self.terms.windows.collect

    @property
    def views_begin(self) -> int:
        """When a set of less than the whole roster may be included."""
        return self.attest_deadline + self.terms.windows.settle

    @property
    def inclusion_end(self) -> int:
        return self.views_begin + self.terms.views * self.terms.windows.view

    @property
    def abort_at(self) -> int:
        return self.inclusion_end + self.terms.windows.abort

    def inclusion_view(self, timestamp: float) -> int | None:
        """Return the inclusion view at ``timestamp``; None when all have passed."""
        return _view(timestamp, self.views_begin, self.terms)

    def shown_before(self, view: int) -> int:
        """Return since when an attestation may be new to the proposer of an inclusion view.

        What a seat counted earlier it has forwarded, and an offer may not leave it out.
        """
        return self.attest_deadline + view * self.terms.windows.view

    def demand_end(self, accepted_at: int) -> int:
        return accepted_at + self.terms.windows.demand

    def root_deadline(self, accepted_at: int) -> int:
        windows = self.terms.windows
        return self.demand_end(accepted_at) + windows.finality + windows.roots

    def proposal_view(self, timestamp: float, accepted_at: int) -> int | None:
        """Return the proposal view at ``timestamp``; None when all have passed.

        Of the first turn: a strike begins another (``verdicts.py``).
        """
        return _view(timestamp, self.root_deadline(accepted_at), self.terms)

    def void_at(self, accepted_at: int) -> int:
        """Return when the last proposal view of the first turn ends."""
        return self.root_deadline(accepted_at) + self.terms.views * self.terms.windows.view


def _view(timestamp: float, begin: int, terms: TaskTerms) -> int | None:
    """View 0 also covers the time before ``begin``: who has nothing to wait for does not wait."""
    view = max(0, int(timestamp - begin) // terms.windows.view)
    return view if view < terms.views else None


def take_seats(
    domain: Domain,
    terms: TaskTerms,
    roster: Roster,
    drawn: CommitteeDrawn,
    peers: Mapping[int, PeerId],
    suite: Suite = X25519,
) -> Seating | None:
    """Return the seating of a draw, or None if the chain's ``ctx`` is not the one we compute.

    A committee of another size, or with a validator whose peer nobody named, is none either.
    """
    named = len(drawn.committee) == len(drawn.signers) == terms.seats
    if not named or not peers.keys() >= set(drawn.committee):
        return None
    context = Context(
        drawn.task,
        drawn.round,
        drawn.attempt,
        drawn.model_root,
        drawn.seed,
        committee_hash(drawn.committee, drawn.signers),
        roster.root(),
    )
    if statement_digest(domain, context) != drawn.ctx:
        return None
    return Seating(domain, terms, roster, drawn, tuple(peers[v] for v in drawn.committee), suite)
