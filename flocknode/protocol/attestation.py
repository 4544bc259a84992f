"""Step 4: a seat collects contributions and attests those whose seed and vector it holds."""

from collections.abc import Iterable

from flocknode.crypto.hashing import headers_hash
from flocknode.crypto.merkle import TreeKind
from flocknode.messages.codec import encode
from flocknode.messages.limits import TRAINERS_MAX
from flocknode.messages.statements import Attestation
from flocknode.messages.wire import (
    AttestationMessage,
    Contribution,
    ContributionHeader,
    WantContributions,
)
from flocknode.primitives import Digest, PeerId, Seconds
from flocknode.protocol.attestations import HEADERS_PER_TRAINER_MAX, Attestations
from flocknode.protocol.capsules import CapsuleOpener
from flocknode.protocol.effects import Effect, Fetch, Hold, Send, Sign
from flocknode.protocol.gossip_rules import ValidContribution
from flocknode.protocol.pace import RESEND_SECONDS, Pace
from flocknode.protocol.sealing_keys import others
from flocknode.protocol.seating import Seating


class Attester:
    """One seat's contributions and everybody's attestations."""

    def __init__(self, seating: Seating, seat: int, pace: Pace) -> None:
        self._seating = seating
        self._seat = seat
        self._pace = pace
        self._capsules = CapsuleOpener(seating, seat)
        self._contributions: dict[Digest, ValidContribution] = {}
        self._vectors: dict[Digest, bytes] = {}
        """Vectors held, by root; empty bytes stand for one too long to travel inline."""
        self._fetching: set[Digest] = set()
        self._opened: set[Digest] = set()
        self._chosen: dict[int, Digest] = {}
        """The header that this seat attests of each trainer: the first it held."""
        self._attested: tuple[Digest, ...] = ()
        self._sequence = 0
        self._mine: AttestationMessage | None = None
        self.attestations = Attestations(seating, seat)

    def receive(
        self, valid: ValidContribution, vector: bytes, sender: PeerId | None
    ) -> list[Effect]:
        """Take a checked contribution; an empty ``vector`` is pulled from its sender.

        Without a sender to ask it is looked for here: the node may have been restarted.
        """
        effects: list[Effect] = []
        root = valid.header.root
        if valid.digest not in self._contributions:
            if not self._has_room_for(valid):
                return []
            self._contributions[valid.digest] = valid
        if valid.digest not in self._opened:
            effects += self._capsules.open(valid, sender)
        if vector and root not in self._vectors:
            self._vectors[root] = vector
            effects.append(Hold(root, vector))
        elif root not in self._vectors and root not in self._fetching:
            self._fetching.add(root)
            effects.append(self._fetch(root, (sender,) if sender else ()))
        return effects

    def has_vector(self, root: Digest) -> bool:
        return root in self._vectors

    def fetch_attested(self, now: Seconds) -> list[Effect]:
        """Pull the vectors that are lacking from the seats that attest them."""
        effects: list[Effect] = []
        for digest, contribution in self._contributions.items():
            root = contribution.header.root
            if root in self._vectors or root in self._fetching:
                continue
            seats = list(self.attestations.attesters(digest) - {self._seat})
            if seats and self._pace.every(("pull", root), now):
                # Different seats start with different holders.
                seats.sort(key=lambda seat: (seat - self._seat) % self._seating.terms.seats)
                self._fetching.add(root)
                effects.append(self._fetch(root, tuple(self._seating.peers[s] for s in seats)))
        return effects

    def holds_vectors(self, roots: Iterable[Digest]) -> bool:
        return self._vectors.keys() >= set(roots)

    def vectors_lost(self, roots: Iterable[Digest]) -> None:
        """Note that vectors had to make room; those that are needed come again."""
        for root in roots:
            self._vectors.pop(root, None)
            self._fetching.discard(root)

    def vector_held(self, root: Digest) -> None:
        self._vectors.setdefault(root, b"")

    def capsules_held(self, root: Digest) -> list[Effect]:
        """Open this seat's capsule among those of its column."""
        return self._capsules.held(root)

    def fetch_failed(self, root: Digest) -> None:
        """Let the next copy of the contribution try again."""
        self._fetching.discard(root)
        self._capsules.fetch_failed(root)

    def capsule_opened(self, header: Digest, *, valid: bool) -> None:
        if valid:
            self._opened.add(header)

    def holds(self, header: Digest) -> bool:
        """Tell whether seed and vector of ``header`` are both here."""
        contribution = self._contributions.get(header)
        return (
            contribution is not None
            and header in self._opened
            and contribution.header.root in self._vectors
        )

    def lacking_seed(self, header: Digest) -> ContributionHeader | None:
        """Return the known header whose seed is not here, or None."""
        contribution = self._contributions.get(header)
        return contribution.header if contribution and header not in self._opened else None

    def count(self) -> int:
        return len({c.header.index for c in self._contributions.values()})

    def lacking(self, headers: Iterable[Digest]) -> tuple[Digest, ...]:
        return tuple(header for header in headers if not self.holds(header))

    def contributions_of(self, headers: Iterable[Digest]) -> tuple[ValidContribution, ...]:
        """Return those of ``headers`` that this seat knows."""
        return tuple(self._contributions[h] for h in headers if h in self._contributions)

    def held_of(self, trainers: int) -> tuple[ValidContribution, ...]:
        """Return a held contribution of each of the roster bitmap ``trainers``.

        Of a trainer that signed two headers it is one that a majority of every column attests.
        """
        attested = self.contributions_of(self.attestations.attested())
        known = (*attested, *self._contributions.values())
        held: dict[int, ValidContribution] = {}
        for contribution in known:
            index = contribution.header.index
            if trainers >> index & 1 and self.holds(contribution.digest):
                held.setdefault(index, contribution)
        return tuple(held.values())

    def known_of(self, trainers: int) -> tuple[ValidContribution, ...]:
        """Return a known contribution of each of the roster bitmap, attested ones first."""
        known = (
            *self.contributions_of(self.attestations.attested()),
            *self._contributions.values(),
        )
        first: dict[int, ValidContribution] = {}
        for contribution in known:
            if trainers >> contribution.header.index & 1:
                first.setdefault(contribution.header.index, contribution)
        return tuple(first.values())

    def without_seed(self, headers: Iterable[Digest]) -> tuple[Digest, ...]:
        """Return those of ``headers`` whose seed is not here."""
        return tuple(header for header in headers if header not in self._opened)

    def attest(self, timestamp: int) -> list[Effect]:
        """Sign what is held, if it grew and the deadline has not come."""
        if timestamp >= self._seating.attest_deadline:
            return []
        for digest, contribution in self._contributions.items():
            if self.holds(digest):
                self._chosen.setdefault(contribution.header.index, digest)
        headers = tuple(digest for _, digest in sorted(self._chosen.items()))
        if headers == self._attested:
            return []
        self._attested = headers
        self._sequence += 1
        return [
            Sign(Attestation(self._seating.ctx, self._seat, self._sequence, headers_hash(headers)))
        ]

    def attest_if_complete(self, timestamp: int) -> list[Effect]:
        """Attest at once when the whole roster is here: nothing is left to wait for."""
        complete = len(self._opened) >= len(self._seating.roster.entries)
        return self.attest(timestamp) if complete else []

    def signed(
        self, statement: Attestation, signature: bytes, timestamp: int, now: Seconds
    ) -> list[Effect]:
        """Send the own attestation to the other seats."""
        if statement.sequence != self._sequence:
            return []
        self._mine = AttestationMessage(
            self._seating.ctx, self._seat, self._sequence, self._attested, signature
        )
        self._pace.mark("attestation", now)
        self.attestations.hear(self._mine, timestamp)
        return [Send(others(self._seating, self._seat), self._mine)]

    def omitted(self, headers: Iterable[Digest], before: int) -> tuple[Digest, ...]:
        """Return the headers seen attested ``before`` whose trainer ``headers`` leave out."""
        named = set(headers)
        trainers = {c.header.index for c in self.contributions_of(named)}
        left_out = [h for h in self.attestations.attested(before) if h not in named]
        known = {c.digest: c.header.index for c in self.contributions_of(left_out)}
        return tuple(h for h in left_out if known.get(h) not in trainers)

    def answer(self, headers: tuple[Digest, ...], peer: PeerId, now: Seconds) -> list[Effect]:
        """Give a member the contributions that it lacks; long vectors it pulls."""
        return [
            Send((peer,), Contribution(encode(c.header), self._vectors.get(c.header.root, b"")))
            for c in self.contributions_of(headers)
            if self._pace.every(("answer", peer, c.digest), now)
        ]

    def tick(self, timestamp: int, now: Seconds, *, is_open: bool) -> list[Effect]:
        """Attest what grew; repeat the newest attestation until a set is accepted."""
        if not is_open:
            return []
        effects = self.attest(timestamp)
        if self._mine and self._pace.every("attestation", now):
            effects.append(Send(others(self._seating, self._seat), self._mine))
        return effects + self._forward(timestamp, now) + self._want_attested(now)

    def _forward(self, timestamp: int, now: Seconds) -> list[Effect]:
        """Show all seats what this one counts; a round that includes at once never needs it."""
        patient = self._pace.after("forward", now, RESEND_SECONDS)
        due = patient and self._pace.every("forward", now)
        if not due and timestamp < self._seating.attest_deadline:
            return []
        seats = others(self._seating, self._seat)
        return [Send(seats, bundle) for bundle in self.attestations.forward()]

    def _want_attested(self, now: Seconds) -> list[Effect]:
        """Ask a mate for what it attests and this seat lacks; the trainer may be gone."""
        missing = self.lacking(self.attestations.attested())[:TRAINERS_MAX]
        if not missing or not self._pace.every("want", now):
            return []
        mates = self._seating.column(self._seating.column_of(self._seat))
        # A majority of every column attests it, so some mate does.
        holders = sorted(self.attestations.attesters(missing[0]).intersection(mates))
        holder = self._seating.peers[holders[int(now) % len(holders)]]
        return [Send((holder,), WantContributions(self._seating.ctx, missing))]

    def _fetch(self, root: Digest, holders: tuple[PeerId, ...]) -> Fetch:
        length = self._seating.vector_bytes
        return Fetch(root, TreeKind.MASKED_VECTOR, length, holders)

    def _has_room_for(self, valid: ValidContribution) -> bool:
        """Tell whether to keep another header; what the committee attests always has room."""
        index = valid.header.index
        count = sum(c.header.index == index for c in self._contributions.values())
        return count < HEADERS_PER_TRAINER_MAX or valid.digest in self.attestations.attested()
