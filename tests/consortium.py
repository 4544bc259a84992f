"""One drawn committee with everybody's keys: makes what each member would honestly say."""

from dataclasses import dataclass, replace
from functools import cache

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.hashing import (
    capsules_hash,
    committee_hash,
    headers_hash,
    mask_commitment,
    seed_commitment,
    seeds_hash,
    sha256,
)
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.sealing import sealing_key_hash
from flocknode.crypto.signing import SigningKey
from flocknode.crypto.suites import X25519, AnySealingKey, Suite, read_key, seal_seed
from flocknode.messages.codec import encode
from flocknode.messages.statements import Context, Statement, statement_digest
from flocknode.messages.wire import (
    AttestationMessage,
    Contribution,
    ContributionHeader,
    IncludeOffer,
    IncludeVote,
    MaskRootMessage,
    ProposeVote,
    SeatKeyBundle,
    SeatKeyMessage,
)
from flocknode.model.terms import TaskTerms
from flocknode.primitives import Address, Digest, PeerId
from flocknode.protocol.capsule_slips import write_slips
from flocknode.protocol.gossip_rules import ValidContribution, check_header
from flocknode.protocol.inclusion_set import InclusionSet, form_set
from flocknode.protocol.ledger import CommitteeDrawn, ProposalAccepted, SetAccepted
from flocknode.protocol.roster import Roster, RosterEntry
from flocknode.protocol.seating import Seating, take_seats
from tests.builders import task_terms

DOMAIN = Domain(chain_id=31337, verifying_contract=Address(b"\x01" * 20))
DRAWN_AT = 1_000
SEED = Digest((7).to_bytes(32, "big"))
"""Seat 7 of 9 proposes in view 0."""
MODEL_ROOT = sha256(b"model")
SIGNATURE_BYTES = 65


@cache
def key(label: str) -> SigningKey:
    return SigningKey(sha256(label.encode()))


def sign(signer: SigningKey, statement: Statement) -> bytes:
    return signer.sign_digest(statement_digest(DOMAIN, statement))


@dataclass(frozen=True)
class Consortium:
    """Trainer i has weight i + 1; seat p is held by validator 100 + p."""

    seating: Seating
    trainers: tuple[SigningKey, ...]
    seats: tuple[SigningKey, ...]
    sealing: tuple[AnySealingKey, ...]

    @property
    def ctx(self) -> Digest:
        return self.seating.ctx

    @property
    def terms(self) -> TaskTerms:
        return self.seating.terms

    def frozen(self, trainers: int) -> "Consortium":
        """Return the same attempt after a spent one over ``trainers``."""
        drawn = replace(self.seating.drawn, frozen_trainers=trainers)
        return replace(self, seating=replace(self.seating, drawn=drawn))

    def seat_key(self, seat: int) -> SeatKeyMessage:
        public = self.sealing[seat].public
        suite = self.seating.suite.number
        message = SeatKeyMessage(self.ctx, seat, suite, public, bytes(SIGNATURE_BYTES))
        statement = message.statement(sealing_key_hash(suite, public))
        return replace(message, signature=sign(self.seats[seat], statement))

    def bundle(self, *seats: int) -> SeatKeyBundle:
        """Return the keys of ``seats``, by default of all."""
        chosen = seats or tuple(self.seating.seats)
        return SeatKeyBundle(self.ctx, tuple(encode(self.seat_key(seat)) for seat in chosen))

    def vector(self, index: int, salt: int = 0) -> bytes:
        return sha256(bytes([index, salt])) * (self.seating.vector_bytes // 32 + 1)

    def seed(self, index: int, column: int) -> bytes:
        return sha256(b"seed" + bytes([index, column]))

    def header(self, index: int, salt: int = 0, absent: tuple[int, ...] = ()) -> ContributionHeader:
        """Return a trainer's header; ``salt`` makes another one, ``absent`` seats get nothing."""
        trainer = self.trainers[index]
        columns = range(self.terms.columns)
        commitments = tuple(
            seed_commitment(self.ctx, trainer.address, c, self.seed(index, c)) for c in columns
        )
        capsules = tuple(b"" if s in absent else self.capsule(index, s) for s in self.seating.seats)
        vector = self.vector(index, salt)[: self.seating.vector_bytes]
        header = ContributionHeader(
            self.ctx,
            index,
            trainer.address,
            tree_root(TreeKind.MASKED_VECTOR, vector),
            self.terms.integers.words,
            self.terms.integers.width,
            commitments,
            self.announced(capsules),
            bytes(SIGNATURE_BYTES),
        )
        return self.signed(header)

    def capsule(self, index: int, seat: int) -> bytes:
        place = self.seating.capsule_place(index, seat)
        seed = self.seed(index, place.column)
        return seal_seed(self.seating.suite, self.sealing[seat].public, seed, place)

    def announced(self, capsules: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """Return what a header says of its capsules: themselves, or slips."""
        if self.seating.suite.in_header:
            return capsules
        return tuple(slip for slip, _ in write_slips(capsules, self.seating))

    def signed(self, header: ContributionHeader) -> ContributionHeader:
        statement = header.statement(seeds_hash(header.commitments), capsules_hash(header.capsules))
        return replace(header, signature=sign(self.trainers[header.index], statement))

    def valid(self, index: int, salt: int = 0) -> ValidContribution:
        return _valid(self, index, salt)

    def contribution(self, valid: ValidContribution, salt: int = 0) -> Contribution:
        vector = self.vector(valid.header.index, salt)[: self.seating.vector_bytes]
        return Contribution(encode(valid.header), vector)

    def attestation(
        self, seat: int, headers: tuple[Digest, ...], sequence: int = 1
    ) -> AttestationMessage:
        message = AttestationMessage(self.ctx, seat, sequence, headers, bytes(SIGNATURE_BYTES))
        statement = message.statement(headers_hash(headers))
        return replace(message, signature=sign(self.seats[seat], statement))

    def set_of(self, *indices: int) -> InclusionSet:
        chosen = form_set([self.valid(index) for index in indices], self.seating)
        assert chosen is not None
        return chosen

    def offer(self, view: int, chosen: InclusionSet) -> IncludeOffer:
        return IncludeOffer(self.ctx, view, chosen.headers)

    def include_vote(self, seat: int, view: int, chosen: InclusionSet) -> IncludeVote:
        commitment = mask_commitment(self.ctx, seat, sha256(b"sum"))
        trainers = chosen.trainers.to_bytes(1, "big")
        vote = IncludeVote(
            self.ctx,
            view,
            seat,
            chosen.root,
            trainers,
            chosen.weight,
            commitment,
            bytes(SIGNATURE_BYTES),
        )
        return replace(vote, signature=sign(self.seats[seat], vote.statement()))

    def accepted(self, chosen: InclusionSet, accepted_at: int = DRAWN_AT + 1) -> SetAccepted:
        drawn = self.seating.drawn
        everyone = (1 << self.terms.seats) - 1
        return SetAccepted(
            drawn.task,
            drawn.round,
            drawn.attempt,
            0,
            chosen.root,
            chosen.trainers,
            chosen.weight,
            everyone,
            tuple(sha256(bytes([seat])) for seat in self.seating.seats),
            accepted_at,
        )

    def mask_root(
        self, seat: int, chosen: InclusionSet, root: Digest, vector: bytes = b""
    ) -> MaskRootMessage:
        words = self.terms.integers.words
        message = MaskRootMessage(
            self.ctx, seat, chosen.root, root, words, bytes(SIGNATURE_BYTES), vector
        )
        statement = message.statement(self.seating.column_of(seat))
        return replace(message, signature=sign(self.seats[seat], statement))

    def propose_vote(self, seat: int, view: int) -> ProposeVote:
        digests = [sha256(bytes([i])) for i in range(4)]
        vote = ProposeVote(self.ctx, view, seat, *digests, bytes(SIGNATURE_BYTES))
        return replace(vote, signature=sign(self.seats[seat], vote.statement()))

    def proposal(self, view: int = 0, accepted_at: int = DRAWN_AT + 5) -> ProposalAccepted:
        drawn = self.seating.drawn
        return ProposalAccepted(
            drawn.task,
            drawn.round,
            drawn.attempt,
            view,
            tuple(sha256(bytes([c])) for c in range(self.terms.columns)),
            sha256(b"aggregate"),
            sha256(b"next model"),
            (1 << self.terms.seats) - 1,
            accepted_at,
        )


@cache
def _valid(consortium: Consortium, index: int, salt: int) -> ValidContribution:
    # Sealing is random: a header is made once.
    return check_header(consortium.header(index, salt), consortium.seating)


@cache
def roster(trainers: int) -> Roster:
    return Roster(
        tuple(
            RosterEntry(i, key(f"trainer {i}").address, i + 1, PeerId(b"trainer %d" % i))
            for i in range(trainers)
        )
    )


def draw(terms: TaskTerms, **changes: object) -> CommitteeDrawn:
    """Return the draw of round 3, attempt 0, by the chain's own rule for ``ctx``."""
    committee = tuple(range(100, 100 + terms.seats))
    signers = tuple(key(f"seat {seat}").address for seat in range(terms.seats))
    drawn = CommitteeDrawn(
        task=1,
        round=3,
        attempt=0,
        model_root=MODEL_ROOT,
        seed=SEED,
        ctx=Digest(bytes(32)),
        committee=committee,
        signers=signers,
        drawn_at=DRAWN_AT,
        frozen_trainers=0,
    )
    drawn = replace(drawn, **changes)
    context = Context(
        drawn.task,
        drawn.round,
        drawn.attempt,
        drawn.model_root,
        drawn.seed,
        committee_hash(drawn.committee, drawn.signers),
        roster(terms.trainers).root(),
    )
    return replace(drawn, ctx=statement_digest(DOMAIN, context))


def peers(terms: TaskTerms) -> dict[int, PeerId]:
    return {100 + seat: PeerId(b"seat %d" % seat) for seat in range(terms.seats)}


@cache
def consortium(
    columns: int = 3, seats_per_column: int = 3, trainers: int = 4, suite: Suite = X25519
) -> Consortium:
    terms = task_terms(columns=columns, seats_per_column=seats_per_column, trainers=trainers)
    seating = take_seats(DOMAIN, terms, roster(trainers), draw(terms), peers(terms), suite)
    assert seating is not None
    return Consortium(
        seating,
        tuple(key(f"trainer {i}") for i in range(trainers)),
        tuple(key(f"seat {seat}") for seat in range(terms.seats)),
        tuple(read_key(suite.number, sha256(b"sealing %d" % seat)) for seat in range(terms.seats)),
    )
