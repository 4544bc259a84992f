"""The round state machine: no network, no chain, no clock, no randomness."""

from collections import deque

from flocknode.crypto.eip712 import Domain
from flocknode.crypto.merkle import TreeKind, tree_root
from flocknode.crypto.suites import X25519, Suite
from flocknode.messages.limits import INLINE_VECTOR_MAX
from flocknode.messages.statements import Context
from flocknode.messages.wire import (
    Contribution,
    ContributionHeader,
    Message,
    ModelWords,
    Outcome,
    SeatKeyBundle,
)
from flocknode.primitives import Address, Digest, PeerId, Seconds
from flocknode.protocol.attempt import Attempt, header_of
from flocknode.protocol.chain_view import ChainView
from flocknode.protocol.effects import DestroySecrets, Effect, Fetch, Hold, Penalise
from flocknode.protocol.events import (
    AggregateComputed,
    CapsuleOpened,
    ChainAdvanced,
    ConsentGiven,
    DeltaMasked,
    Event,
    FetchFailed,
    MasksSummed,
    MessageReceived,
    Prepared,
    Resealed,
    SealingKeyMade,
    Signed,
    Tick,
    Trained,
    VectorHeld,
    VectorsLost,
)
from flocknode.protocol.gossip_memory import GossipMemory
from flocknode.protocol.gossip_rules import (
    GossipIgnore,
    GossipReject,
    check_bundle,
    check_header,
    require_ctx,
)
from flocknode.protocol.ledger import CommitteeDrawn, TaskCreated
from flocknode.protocol.pace import RESEND_SECONDS, Pace
from flocknode.protocol.roster import Roster
from flocknode.protocol.seating import Seating, take_seats
from flocknode.protocol.settlement import ChainDuties

EARLY_MESSAGES_MAX = 512
"""Messages kept for an attempt whose draw is not final here yet."""

EARLY_PER_SENDER_MAX = 32
SEATINGS_MAX = 4
MODELS_MAX = 16
OFFERED_MODELS_MAX = 4
"""Models that came before the block that names them."""


class RoundMachine:
    """One node's view of one task.

    Feed it events with :meth:`handle` and carry out the effects that come back.
    """

    def __init__(
        self,
        me: Address,
        domain: Domain,
        agreed: TaskCreated,
        roster: Roster,
        suite: Suite = X25519,
    ) -> None:
        """Take part in the task that was ``agreed``: a chain that tells of another one is ignored.

        Who made that one could name a committee of one seat, or a clip norm without end.
        """
        self._me = me
        self._domain = domain
        self.agreed = agreed
        self._roster = roster
        self._suite = suite
        self._duties = ChainDuties(agreed.task, me)
        self._pace = Pace()
        self._tip = self._final = ChainView(agreed.task)
        self._seatings: dict[Digest, Seating] = {}
        self._gossip: dict[Digest, GossipMemory] = {}
        self._attempt: Attempt | None = None
        self._early: deque[tuple[PeerId, Digest, Message]] = deque()
        self._models = [agreed.model_root]
        self._offered_models: dict[Digest, bytes] = {}
        self._shared: Digest | None = None
        self._concluded = -1

    @property
    def attempt(self) -> Attempt | None:
        return self._attempt

    @property
    def trainers(self) -> frozenset[PeerId]:
        """Return the peers of the roster."""
        return frozenset(entry.peer for entry in self._roster.entries)

    @property
    def contributions(self) -> int:
        """Number of trainers whose contribution this node's seat holds; 0 without a seat."""
        seat = self._attempt.seat if self._attempt else None
        return seat.attester.count() if seat else 0

    def handle(self, event: Event, now: Seconds) -> list[Effect]:
        """Apply ``event`` at time ``now`` (Unix seconds) and return what must be done."""
        attempt = self._attempt
        match event:
            case ChainAdvanced(tip, final):
                return self._advance(tip, final, now)
            case Tick():
                return self._tick(now)
            case MessageReceived(sender, message):
                return self._receive(sender, message, now)
            case VectorHeld(root, kind):
                return self._vector_held(root, kind, now)
            case FetchFailed(root):
                return attempt.fetch_failed(root) if attempt else []
            case VectorsLost(roots):
                return self._vectors_lost(roots)
            case Trained(round_, model_root):
                return self._trained(round_, model_root)
            case ConsentGiven():
                return attempt.consented(event) if attempt else []
            case Signed(statement):
                ctx = None if isinstance(statement, Context) else statement.ctx
                return attempt.signed(event, now) if attempt and self._is_current(ctx) else []
            case SealingKeyMade(ctx):
                return attempt.sealing_key_made(event) if attempt and self._is_current(ctx) else []
            case DeltaMasked(ctx):
                return attempt.masked(event) if attempt and self._is_current(ctx) else []
            case CapsuleOpened(ctx):
                return (
                    attempt.capsule_opened(event, now) if attempt and self._is_current(ctx) else []
                )
            case Resealed(ctx):
                return attempt.resealed(event) if attempt and self._is_current(ctx) else []
            case MasksSummed(ctx):
                return attempt.masks_summed(event, now) if attempt and self._is_current(ctx) else []
            case Prepared(ctx):
                return attempt.prepared(event, now) if attempt and self._is_current(ctx) else []
            case AggregateComputed(ctx):
                self._keep_model(event.model_root)
                is_current = self._is_current(ctx)
                return attempt.aggregate_computed(event, now) if attempt and is_current else []

    def judge(self, message: Message) -> None:
        """Apply the rules for forwarding gossip; raise GossipIgnore or GossipReject."""
        match message:
            case Outcome():
                require_ctx(message.ctx, self._seatings.get(message.ctx))
                self._gossip[message.ctx].admit_outcome(message)
            case SeatKeyBundle():
                seating = require_ctx(message.ctx, self._seatings.get(message.ctx))
                keys = check_bundle(message, seating)
                self._gossip[message.ctx].admit_bundle(len(keys))
            case ContributionHeader():
                seating = require_ctx(message.ctx, self._seatings.get(message.ctx))
                self._gossip[message.ctx].admit_header(check_header(message, seating))
            case _:
                # [REJECT] Only keys, headers and outcomes travel by gossip.
                raise GossipReject("not a gossiped kind")

    def _advance(self, tip: ChainView, final: ChainView, now: Seconds) -> list[Effect]:
        self._tip, self._final = tip, final
        for drawn in (tip.attempt.drawn, final.attempt.drawn):
            self._take_seats(drawn, tip)
        drawn = tip.attempt.drawn
        if drawn and drawn.ctx in self._gossip:
            self._gossip[drawn.ctx].note_outcome(tip.attempt)
        effects = self._change_attempt(final, now)
        if self._attempt:
            effects += self._attempt.advance(tip, final, now)
        effects += self._share_model(tip) + self._take_offered_model()
        return effects + self._chain_duties(now) + self._want_model(now)

    def _tick(self, now: Seconds) -> list[Effect]:
        effects = self._attempt.tick(now) if self._attempt else []
        return effects + self._chain_duties(now) + self._want_model(now)

    def _chain_duties(self, now: Seconds) -> list[Effect]:
        drawn = self._tip.attempt.drawn
        seating = self._seatings.get(drawn.ctx) if drawn else None
        return self._duties.tick(self._tip, self._final, seating, now)

    def _take_seats(self, drawn: CommitteeDrawn | None, view: ChainView) -> None:
        """Know the seating of a draw as soon as it is on the chain, final or not."""
        if drawn is None or drawn.ctx in self._seatings or view.created != self.agreed:
            return
        peers = {validator: keys.peer for validator, keys in view.validators.items()}
        terms = self.agreed.terms
        seating = take_seats(self._domain, terms, self._roster, drawn, peers, self._suite)
        if seating:
            self._seatings[drawn.ctx] = seating
            self._gossip[drawn.ctx] = GossipMemory()
        while len(self._seatings) > SEATINGS_MAX:
            oldest = next(iter(self._seatings))
            del self._seatings[oldest], self._gossip[oldest]

    def _change_attempt(self, final: ChainView, now: Seconds) -> list[Effect]:
        """Begin an attempt once its draw is final: seats and trainers bind themselves to it."""
        effects = self._conclude(final)
        drawn = final.attempt.drawn
        if drawn is None or drawn.ctx not in self._seatings:
            return effects
        if self._attempt and self._attempt.seating.ctx == drawn.ctx:
            return effects
        self._attempt = Attempt(self._seatings[drawn.ctx], self._me)
        effects.append(DestroySecrets(drawn.round, drawn.attempt))
        effects += self._attempt.begin() + self._use_model()
        return effects + self._replay(now)

    def _conclude(self, final: ChainView) -> list[Effect]:
        """Announce the newest settled round, whose secrets nobody needs any more."""
        settled = final.settled
        if settled is None or settled.round <= self._concluded:
            return []
        self._concluded = settled.round
        self._pace = Pace()
        outcome = self._attempt.outcome() if self._attempt else []
        return [*outcome, DestroySecrets(settled.round + 1, 0)]

    def _replay(self, now: Seconds) -> list[Effect]:
        """Hear what came before the draw was final; the rest belongs to no attempt that came."""
        early, self._early = self._early, deque()
        return [
            effect
            for sender, ctx, message in early
            if self._is_current(ctx)
            for effect in self._receive(sender, message, now)
        ]

    def _receive(self, sender: PeerId, message: Message, now: Seconds) -> list[Effect]:
        try:
            return self._hear(sender, message, now)
        except GossipIgnore:
            return []
        except GossipReject as rejection:
            return [Penalise(sender, str(rejection))]

    def _hear(self, sender: PeerId, message: Message, now: Seconds) -> list[Effect]:
        if isinstance(message, ModelWords):
            return self._hear_model(sender, message)
        ctx = header_of(message).ctx if isinstance(message, Contribution) else message.ctx
        if self._attempt and ctx == self._attempt.seating.ctx:
            return self._attempt.hear(sender, message, now)
        self._keep_early(sender, ctx, message)
        return []

    def _keep_early(self, sender: PeerId, ctx: Digest, message: Message) -> None:
        """Keep what a faster peer says of an attempt whose draw this node is about to see."""
        tip = self._tip.attempt.drawn
        if ctx in self._seatings and (tip is None or tip.ctx != ctx):
            return
        if not self.is_member(sender) or len(self._early) >= EARLY_MESSAGES_MAX:
            return
        if sum(known == sender for known, _, _ in self._early) < EARLY_PER_SENDER_MAX:
            self._early.append((sender, ctx, message))

    def is_member(self, peer: PeerId) -> bool:
        """Tell whether ``peer`` is a trainer or a validator: a stranger has no say."""
        validators = self._tip.validators.values()
        return any(peer == keys.peer for keys in validators) or any(
            peer == entry.peer for entry in self._roster.entries
        )

    def _is_current(self, ctx: Digest | None) -> bool:
        return self._attempt is not None and self._attempt.seating.ctx == ctx

    def _trained(self, round_: int, model_root: Digest) -> list[Effect]:
        attempt = self._attempt
        if attempt is None:
            return []
        drawn = attempt.seating.drawn
        is_ours = (drawn.round, drawn.model_root) == (round_, model_root)
        return attempt.trained() if is_ours else []

    def _vector_held(self, root: Digest, kind: TreeKind, now: Seconds) -> list[Effect]:
        effects: list[Effect] = []
        if kind is TreeKind.MODEL and root in self._named_models():
            self._keep_model(root)
            effects += self._use_model()
        return effects + (self._attempt.vector_held(root, kind, now) if self._attempt else [])

    def _vectors_lost(self, roots: tuple[Digest, ...]) -> list[Effect]:
        self._models = [root for root in self._models if root not in roots]
        if self._attempt:
            self._attempt.vectors_lost(roots)
        return []

    def _use_model(self) -> list[Effect]:
        """Let the attempt go on once its model is here."""
        attempt = self._attempt
        if attempt is None or attempt.seating.drawn.model_root not in self._models:
            return []
        return attempt.model_ready()

    def _keep_model(self, root: Digest) -> None:
        """Note that a model is here; those of rounds long settled are nobody's business."""
        if root not in self._models:
            self._models = [*self._models[-MODELS_MAX + 1 :], root]

    def _named_models(self) -> set[Digest]:
        """Return the roots of models that the chain names now."""
        proposal = self._tip.attempt.proposal
        roots = {self._tip.model_root, self._final.model_root}
        roots.add(proposal.model_root if proposal else None)
        return {root for root in roots if root is not None}

    def _hear_model(self, sender: PeerId, message: ModelWords) -> list[Effect]:
        # [IGNORE] A member offers a model that is not here.
        if not self.is_member(sender):
            raise GossipIgnore("a model of a stranger")
        if message.root in self._models or message.root in self._offered_models:
            raise GossipIgnore("a model that is here")
        # [REJECT] The words are those of the root.
        if not message.words or tree_root(TreeKind.MODEL, message.words) != message.root:
            raise GossipReject("model of another root")
        self._offered_models[message.root] = message.words
        while len(self._offered_models) > OFFERED_MODELS_MAX:
            del self._offered_models[next(iter(self._offered_models))]
        return self._take_offered_model()

    def _take_offered_model(self) -> list[Effect]:
        """Keep an offered model as soon as the chain names its root."""
        effects: list[Effect] = []
        for root in self._named_models() & self._offered_models.keys():
            words = self._offered_models.pop(root)
            if root not in self._models:
                self._keep_model(root)
                effects.append(Hold(root, words, is_model=True))
        return effects + self._use_model() if effects else []

    def _want_model(self, now: Seconds) -> list[Effect]:
        """Pull the model that nobody pushed: one too long for that at once."""
        root = self._final.model_root
        if root is None or self._final.created != self.agreed or root in self._models:
            return []
        length = 4 * self.agreed.terms.integers.words
        waited = length > INLINE_VECTOR_MAX or self._pace.after(root, now, RESEND_SECONDS)
        if not waited or not self._pace.every(root, now):
            return []
        peers = [keys.peer for keys in self._final.validators.values()]
        # Different nodes start with different holders.
        start = int.from_bytes(self._me[-2:], "big") % max(1, len(peers))
        return [Fetch(root, TreeKind.MODEL, length, (*peers[start:], *peers[:start]))]

    def _share_model(self, tip: ChainView) -> list[Effect]:
        """Give the proposed model to trainers and to validators without a seat, once."""
        attempt, proposal = self._attempt, tip.attempt.proposal
        if attempt is None or proposal is None or self._shared == proposal.model_root:
            return []
        self._shared = proposal.model_root
        seated = set(attempt.seating.peers)
        validators = {keys.peer for keys in tip.validators.values()} - seated
        trainers = {entry.peer for entry in self._roster.entries}
        return attempt.share_model(tuple(sorted(validators | trainers)))
