"""One node's duties in one attempt, wired together: who hears what, and when."""

from flocknode.crypto.merkle import TreeKind
from flocknode.crypto.sealing import sealing_key_hash
from flocknode.messages.codec import CodecError, decode
from flocknode.messages.statements import (
    Attestation,
    Context,
    Header,
    Include,
    MaskRoot,
    Propose,
    SeatKey,
)
from flocknode.messages.wire import (
    AttestationBundle,
    AttestationMessage,
    Contribution,
    ContributionHeader,
    IncludeOffer,
    IncludeVote,
    MaskRootMessage,
    Message,
    ModelWords,
    Outcome,
    ProposeOffer,
    ProposeVote,
    SeatKeyBundle,
    SeatKeyMessage,
    SeedMessage,
    WantContributions,
    WantKeys,
)
from flocknode.primitives import Address, Digest, PeerId, Seconds
from flocknode.protocol.chain_view import AttemptView, ChainView
from flocknode.protocol.contribution import Contributor
from flocknode.protocol.effects import Effect, Publish, Recall, Remember
from flocknode.protocol.events import (
    AggregateComputed,
    CapsuleOpened,
    ConsentGiven,
    DeltaMasked,
    MasksSummed,
    Prepared,
    Resealed,
    SealingKeyMade,
    Signed,
)
from flocknode.protocol.gossip_rules import (
    GossipReject,
    ValidContribution,
    check_attestation,
    check_bundle,
    check_header,
    check_include_vote,
    check_mask_root,
    check_named_once,
    check_propose_vote,
    check_seat_key,
    check_vector,
    open_attestations,
    require_member,
)
from flocknode.protocol.pace import Pace
from flocknode.protocol.seat import SeatDuties
from flocknode.protocol.seating import Seating
from flocknode.protocol.spreading import is_long, may_ask
from flocknode.protocol.watching import Watcher


class Attempt:
    """One node's duties in one attempt: a trainer's, a seat's, both or none."""

    def __init__(self, seating: Seating, me: Address) -> None:
        self.seating = seating
        entry = seating.roster.entry_of(me)
        seat = seating.seat_of(me)
        self._pace = Pace()
        self.contributor = Contributor(seating, entry, self._pace) if entry else None
        self.seat = SeatDuties(seating, seat) if seat is not None else None
        self.watcher = Watcher(seating, me, self._pace) if seat is None and not entry else None
        self._view = ChainView(seating.drawn.task)
        self._tip = AttemptView(drawn=seating.drawn)
        self._over = False
        self._has_model = False
        self._final = ChainView(seating.drawn.task)
        self._timestamp = seating.drawn.drawn_at

    def begin(self) -> list[Effect]:
        return [*self.seat.keys.begin(), Recall(self.seating.ctx)] if self.seat else []

    def model_ready(self) -> list[Effect]:
        """Train, and compute aggregates: the attempt's model is here."""
        if self._has_model:
            return []
        self._has_model = True
        if self.seat:
            self.seat.has_model = True
        return self.contributor.begin() if self.contributor else []

    def advance(self, tip: ChainView, final: ChainView, now: Seconds) -> list[Effect]:
        """Take in a block. A tip that has moved on to another attempt leaves nothing to do."""
        drawn = tip.attempt.drawn
        # A block that is undone may bring the attempt back.
        self._over = drawn is None or drawn.ctx != self.seating.ctx
        if self._over:
            return []
        self._view = tip
        self._tip, self._final, self._timestamp = tip.attempt, final, tip.timestamp
        return self._progress(now)

    def tick(self, now: Seconds) -> list[Effect]:
        if self._over:
            return []
        effects = self._progress(now)
        if self.seat:
            effects += self.seat.tick(self._tip, self._timestamp, now)
        if self.contributor:
            effects += self.contributor.tick(now, is_open=self._tip.accepted is None)
        return effects

    def _progress(self, now: Seconds) -> list[Effect]:
        if self.watcher and not self._over:
            return self.watcher.advance(self._view, now, has_model=self._has_model)
        if self.seat is None or self._over:
            return []
        return self.seat.advance(self._tip, self._final, self._timestamp, now)

    def outcome(self) -> list[Effect]:
        """Announce the settled round, if this seat proposed it."""
        accepted, proposal = self._tip.accepted, self._tip.proposal
        seat = self.seat
        if seat is None or accepted is None or proposal is None:
            return []
        if seat.standing.proposer_of(proposal.view) != seat.seat:
            return []
        return [
            Publish(
                Outcome(
                    self.seating.ctx,
                    proposal.round,
                    accepted.inclusion_root,
                    proposal.aggregate_root,
                    proposal.model_root,
                )
            )
        ]

    def share_model(self, peers: tuple[PeerId, ...]) -> list[Effect]:
        if self.seat is None or self._tip.proposal is None:
            return []
        return self.seat.proposer.share_model(self._tip.proposal, peers)

    def signed(self, event: Signed, now: Seconds) -> list[Effect]:
        """Route a signature to the duty that asked for it."""
        statement, signature, seat = event.statement, event.signature, self.seat
        match statement:
            case Header():
                return self.contributor.signed(signature, now) if self.contributor else []
            case SeatKey():
                return seat.keys.key_signed(signature, now) if seat else []
            case Attestation():
                at = self._timestamp
                effects = seat.attester.signed(statement, signature, at, now) if seat else []
                return effects + self._progress(now)
            case Include():
                effects = seat.includer.signed(statement, signature) if seat else []
                return effects + self._progress(now)
            case MaskRoot():
                effects = seat.unmasker.signed(statement, signature, now) if seat else []
                return effects + self._progress(now)
            case Propose():
                effects = seat.proposer.signed(statement, signature) if seat else []
                return effects + self._progress(now)
            case Context():
                return []

    def sealing_key_made(self, made: SealingKeyMade) -> list[Effect]:
        return self.seat.keys.key_made(made) if self.seat else []

    def consented(self, consent: ConsentGiven) -> list[Effect]:
        return self.contributor.consented(consent) if self.contributor else []

    def trained(self) -> list[Effect]:
        return self.contributor.trained() if self.contributor else []

    def masked(self, event: DeltaMasked) -> list[Effect]:
        return self.contributor.masked(event) if self.contributor else []

    def capsule_opened(self, event: CapsuleOpened, now: Seconds) -> list[Effect]:
        if self.seat is None:
            return []
        self.seat.attester.capsule_opened(event.header, valid=event.valid)
        return self._collected(self.seat, now)

    def vector_held(self, root: Digest, kind: TreeKind, now: Seconds) -> list[Effect]:
        """Take note of pulled bytes where they were meant.

        A trainer could else name the model as its vector, and a seat a vector as its mask sum.
        """
        if self.watcher:
            self.watcher.vector_held(root, kind)
        seat = self.seat
        if seat is None:
            return self._progress(now)
        effects: list[Effect] = []
        if kind is TreeKind.MASKED_VECTOR:
            seat.attester.vector_held(root)
        elif kind is TreeKind.CAPSULES:
            effects += seat.attester.capsules_held(root)
        elif kind is TreeKind.MASK_SUM:
            seat.unmasker.vector_held(root)
        seat.challenger.vector_held(root, kind)
        return effects + self._collected(seat, now)

    def fetch_failed(self, root: Digest) -> list[Effect]:
        if self.seat:
            self.seat.attester.fetch_failed(root)
            self.seat.challenger.fetch_failed(root)
        return []

    def vectors_lost(self, roots: tuple[Digest, ...]) -> None:
        """Do without what had to make room until it has come again."""
        if self.seating.drawn.model_root in roots:
            self._has_model = False
        if self.seat:
            self.seat.has_model = self._has_model
            self.seat.attester.vectors_lost(roots)
            self.seat.unmasker.vectors_lost(roots)
            self.seat.proposer.vectors_lost()

    def prepared(self, event: Prepared, now: Seconds) -> list[Effect]:
        if self.watcher:
            self.watcher.prepared(event)
        if self.seat:
            self.seat.challenger.prepared(event)
            self.seat.duties.prepared(event)
        return self._progress(now)

    def resealed(self, event: Resealed) -> list[Effect]:
        return self.seat.resealer.resealed(event) if self.seat else []

    def masks_summed(self, event: MasksSummed, now: Seconds) -> list[Effect]:
        if self.seat is None:
            return []
        effects = self.seat.includer.masks_summed(event, self._timestamp)
        return effects + self._progress(now)

    def aggregate_computed(self, event: AggregateComputed, now: Seconds) -> list[Effect]:
        if self.seat is None:
            return []
        self.seat.proposer.computed(event)
        return self._progress(now)

    def hear(self, sender: PeerId, message: Message, now: Seconds) -> list[Effect]:
        """Apply a message of this attempt; raise GossipIgnore or GossipReject."""
        seat, seating = self.seat, self.seating
        match message:
            case SeatKeyMessage():
                return self._hear_key(message) if seat else []
            case SeatKeyBundle():
                return self._hear_bundle(message)
            case ContributionHeader():
                # By gossip for those who watch; the seats have it with its vector.
                return []
            case Contribution():
                return self._hear_contribution(message, sender, now) if seat else []
            case AttestationMessage():
                return self._hear_attestations([message], now) if seat else []
            case AttestationBundle():
                found = open_attestations(message, seating)
                return self._hear_attestations(found, now) if seat else []
            case IncludeOffer():
                check_named_once(message.headers)
                timestamp = self._timestamp
                return seat.includer.hear_offer(message, sender, timestamp) if seat else []
            case IncludeVote():
                return self._hear_include_vote(message, now) if seat else []
            case MaskRootMessage():
                return self._hear_mask_root(message, now) if seat else []
            case ProposeOffer():
                return self._hear_proposal(message, sender, now)
            case ProposeVote():
                return self._hear_propose_vote(message, now) if seat else []
            case WantKeys():
                require_member(sender, seating)
                return seat.keys.answer(sender, now) if seat else []
            case WantContributions():
                require_member(sender, seating)
                headers = check_named_once(message.headers)
                return self._answer(seat, headers, sender, now) if seat else []
            case SeedMessage():
                return (
                    self._remember(sender, message, seat.resealer.hear(message, sender))
                    if seat
                    else []
                )
            case ModelWords() | Outcome():
                return []

    def _answer(
        self, seat: SeatDuties, headers: tuple[Digest, ...], sender: PeerId, now: Seconds
    ) -> list[Effect]:
        given = seat.attester.answer(headers, sender, now)
        return given + seat.resealer.answer(headers, sender, now)

    def _hear_key(self, message: SeatKeyMessage) -> list[Effect]:
        assert self.seat is not None
        check_seat_key(message, self.seating)
        self._note_key(self.seat, message)
        return self.seat.keys.hear(message)

    def _note_key(self, seat: SeatDuties, key: SeatKeyMessage) -> None:
        statement = key.statement(sealing_key_hash(key.suite, key.key))
        seat.slots.note(key.seat, statement, key.signature)

    def _hear_bundle(self, bundle: SeatKeyBundle) -> list[Effect]:
        keys = check_bundle(bundle, self.seating)
        if self.seat:
            for key in keys:
                self._note_key(self.seat, key)
            self.seat.keys.hear_bundle(keys)
        if self.watcher:
            self.watcher.note_keys(keys)
        return self.contributor.hear_keys(keys) if self.contributor else []

    def _hear_contribution(
        self, message: Contribution, sender: PeerId, now: Seconds
    ) -> list[Effect]:
        assert self.seat is not None
        header = header_of(message)
        valid = check_header(header, self.seating)
        if message.vector and not self.seat.attester.has_vector(header.root):
            length = self.seating.vector_bytes
            check_vector(message.vector, header.root, TreeKind.MASKED_VECTOR, length)
        holder = sender if self._may_ask(valid, sender, now) else None
        effects = self.seat.attester.receive(valid, message.vector, holder)
        kept = self._remember(sender, Contribution(message.header, b""), effects)
        return kept + self._collected(self.seat, now)

    def _may_ask(self, valid: ValidContribution, sender: PeerId, now: Seconds) -> bool:
        """Tell whether to pull a vector from ``sender``: from its trainer only in turn."""
        assert self.seat is not None
        seating, index, root = self.seating, valid.header.index, valid.header.root
        if not is_long(seating) or sender != seating.roster.entries[index].peer:
            return True
        return may_ask(seating, index, root, self.seat.seat, self._pace, now)

    def _remember(self, sender: PeerId, message: Message, effects: list[Effect]) -> list[Effect]:
        """Remember a message that had effects, and have it remembered before they leave."""
        return [Remember(self.seating, sender, message), *effects] if effects else []

    def _hear_attestations(self, found: list[AttestationMessage], now: Seconds) -> list[Effect]:
        """Count what is new; most of what is forwarded is known, and costs no signature check."""
        assert self.seat is not None
        attestations = self.seat.attester.attestations
        for message in found:
            if attestations.is_news(message):
                attestations.hear(check_attestation(message, self.seating), self._timestamp)
        return self._progress(now)

    def _hear_mask_root(self, message: MaskRootMessage, now: Seconds) -> list[Effect]:
        assert self.seat is not None
        if self.seat.unmasker.knows(message):
            return self._progress(now)
        check_mask_root(message, self.seating)
        statement = message.statement(self.seating.column_of(message.seat))
        self.seat.slots.note(message.seat, statement, message.signature)
        effects = self.seat.unmasker.hear(message) + self.seat.unmasker.show_dissent(message)
        return effects + self._progress(now)

    def _hear_include_vote(self, message: IncludeVote, now: Seconds) -> list[Effect]:
        assert self.seat is not None
        self.seat.includer.hear_vote(check_include_vote(message, self.seating))
        self.seat.slots.note(message.seat, message.statement(), message.signature)
        return self._progress(now)

    def _hear_propose_vote(self, message: ProposeVote, now: Seconds) -> list[Effect]:
        assert self.seat is not None
        self.seat.proposer.hear_vote(check_propose_vote(message, self.seating))
        self.seat.slots.note(message.seat, message.statement(), message.signature)
        offer = self.seat.proposer.offered(message.view)
        if offer:
            self.seat.challenger.note_vote(message, offer.mask_roots)
        return self._progress(now)

    def _hear_proposal(self, offer: ProposeOffer, sender: PeerId, now: Seconds) -> list[Effect]:
        if self.seat is None or self._tip.accepted is None:
            return []
        proposer = self.seat.proposer
        effects = proposer.hear_offer(offer, sender, self._tip.accepted, self._timestamp)
        return effects + self._progress(now)

    def _collected(self, seat: SeatDuties, now: Seconds) -> list[Effect]:
        if self._tip.accepted:
            return []
        return seat.attester.attest_if_complete(self._timestamp) + self._progress(now)


def header_of(message: Contribution) -> ContributionHeader:
    """Return the header inside a contribution."""
    # [REJECT] The header decodes.
    try:
        header = decode(message.header)
    except CodecError as error:
        raise GossipReject("undecodable header") from error
    if not isinstance(header, ContributionHeader):
        raise GossipReject("no header in a contribution")
    return header
