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
from flocknode.protocol.effects import Effect, Fetch, Hold, OpenCapsule, Send, Sign
from flocknode.protocol.gossip_rules import ValidContribution
from flocknode.protocol.pace import Pace
from flocknode.protocol.sealing_keys import others
from flocknode.protocol.seating import Seating

HEADERS_PER_TRAINER_MAX = 2
"""A trainer that signs two headers for one attempt gains nothing by a third."""


class Attester:
    """One seat's contributions and everybody's attestations."""

    def __init__(self, seating: Seating, seat: int, pace: Pace) -> None:
        self._seating = seating
        self._seat = seat
        self._pace = pace
        self._contributions: dict[Digest, ValidContribution] = {}
        self._vectors: dict[Digest, bytes] = {}
        """Vectors held, by root; empty bytes stand for one too long to travel inline."""
        self._fetching: set[Digest] = set()
        self._opened: set[Digest] = set()
        self._chosen: dict[int, Digest] = {}
        """The header that this seat attests of each trainer: the first it held."""
        self._attested: tuple[Digest, ...] = ()
        self._sequence = 0
        self._heard: dict[int, AttestationMessage] = {}

    def receive(self, valid: ValidContribution, vector: bytes, sender: PeerId) -> list[Effect]:
        """Take a checked contribution; an empty ``vector`` is pulled from its sender."""
        effects: list[Effect] = []
        root = valid.header.root
        if valid.digest not in self._contributions:
            if not self._has_room_for(valid):
                return []
            self._contributions[valid.digest] = valid
            effects += self._open_capsule(valid)
        if vector and root not in self._vectors:
            self._vectors[root] = vector
            effects.append(Hold(root, vector))
        elif root not in self._vectors and root not in self._fetching:
            self._fetching.add(root)
            effects.append(self._fetch(root, sender))
        return effects

    def vector_held(self, root: Digest) -> None:
        self._vectors.setdefault(root, b"")

    def fetch_failed(self, root: Digest) -> None:
        """Let the next copy of the contribution try again."""
        self._fetching.discard(root)

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
        known = (*self.contributions_of(self.attested()), *self._contributions.values())
        held: dict[int, ValidContribution] = {}
        for contribution in known:
            index = contribution.header.index
            if trainers >> index & 1 and self.holds(contribution.digest):
                held.setdefault(index, contribution)
        return tuple(held.values())

    def known_of(self, trainers: int) -> tuple[ValidContribution, ...]:
        """Return a known contribution of each of the roster bitmap, attested ones first."""
        known = (*self.contributions_of(self.attested()), *self._contributions.values())
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

    def signed(self, statement: Attestation, signature: bytes, now: Seconds) -> list[Effect]:
        """Send the own attestation to the other seats."""
        if statement.sequence != self._sequence:
            return []
        message = AttestationMessage(
            self._seating.ctx, self._seat, self._sequence, self._attested, signature
        )
        self._pace.mark("attestation", now)
        self.hear(message)
        return [Send(others(self._seating, self._seat), message)]

    def hear(self, message: AttestationMessage) -> None:
        """Keep the newest attestation of each seat."""
        known = self._heard.get(message.seat)
        if known is None or message.sequence > known.sequence:
            self._heard[message.seat] = message

    def attested(self) -> tuple[Digest, ...]:
        """Return the headers that a majority of every column attests."""
        seats: dict[Digest, set[int]] = {}
        for seat, message in self._heard.items():
            for header in message.headers:
                seats.setdefault(header, set()).add(seat)
        return tuple(h for h, s in seats.items() if self._seating.has_column_majorities(s))

    def omitted(self, headers: Iterable[Digest]) -> tuple[Digest, ...]:
        """Return the attested headers whose trainer ``headers`` leave out, as far as is known."""
        named = set(headers)
        trainers = {c.header.index for c in self.contributions_of(named)}
        left_out = [h for h in self.attested() if h not in named]
        known = {c.digest: c.header.index for c in self.contributions_of(left_out)}
        return tuple(h for h in left_out if known.get(h) not in trainers)

    def evidence(self, headers: Iterable[Digest]) -> tuple[AttestationMessage, ...]:
        """Return the attestations that name any of ``headers``."""
        wanted = set(headers)
        return tuple(m for m in self._heard.values() if wanted.intersection(m.headers))

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
        mine = self._heard.get(self._seat)
        if mine and self._pace.every("attestation", now):
            effects.append(Send(others(self._seating, self._seat), mine))
        return effects + self._want_attested(now)

    def _want_attested(self, now: Seconds) -> list[Effect]:
        """Ask a mate for what it attests and this seat lacks; the trainer may be gone."""
        missing = self.lacking(self.attested())[:TRAINERS_MAX]
        if not missing or not self._pace.every("want", now):
            return []
        mates = self._seating.column(self._seating.column_of(self._seat))
        # A majority of every column attests it, so some mate does.
        holders = [m for m in mates if m in self._heard and missing[0] in self._heard[m].headers]
        holder = self._seating.peers[holders[int(now) % len(holders)]]
        return [Send((holder,), WantContributions(self._seating.ctx, missing))]

    def _open_capsule(self, valid: ValidContribution) -> list[Effect]:
        header = valid.header
        capsule = header.capsules[self._seat]
        if not capsule:
            return []
        commitment = header.commitments[self._seating.column_of(self._seat)]
        return [
            OpenCapsule(self._seating, valid.digest, header.index, self._seat, capsule, commitment)
        ]

    def _fetch(self, root: Digest, sender: PeerId) -> Fetch:
        length = self._seating.vector_bytes
        return Fetch(root, TreeKind.MASKED_VECTOR, length, (sender,))

    def _has_room_for(self, valid: ValidContribution) -> bool:
        """Tell whether to keep another header; what the committee attests always has room."""
        index = valid.header.index
        count = sum(c.header.index == index for c in self._contributions.values())
        return count < HEADERS_PER_TRAINER_MAX or valid.digest in self.attested()
