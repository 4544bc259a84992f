"""Adversaries: machines whose events and effects are changed on the way, by a common plot.

A plot knows the keys of those who collude. It lies in the rounds that it was made for, once in
each attempt; before and afterwards its nodes are as honest as the machine inside them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from flocknode.aggregation.step import model_root, server_step
from flocknode.crypto.eip712 import Domain
from flocknode.crypto.hashing import mask_roots_hash, sha256
from flocknode.crypto.merkle import LEAF_BYTES, TreeKind, tree_root
from flocknode.crypto.signing import SigningKey
from flocknode.messages.statements import (
    RECORD_BYTES,
    Include,
    MaskRoot,
    Propose,
    Statement,
    statement_digest,
)
from flocknode.messages.wire import MaskRootMessage, Message, ProposeVote
from flocknode.model.stages import Aggregate
from flocknode.model.words import model_words, ring_words, words_bytes
from flocknode.ports import BlobStore
from flocknode.primitives import ZERO_DIGEST, Address, Digest, PeerId, Seconds
from flocknode.protocol.effects import (
    ComputeAggregate,
    Effect,
    MakeSealingKey,
    MaskDelta,
    Prepare,
    Reseal,
    Send,
    Sign,
    Submit,
)
from flocknode.protocol.events import ChainAdvanced, DeltaMasked, Event, MasksSummed
from flocknode.protocol.evidence import UNPRICED, SeedAnswer, accepted_statement, levels_of
from flocknode.protocol.ledger import IncludeSet, ProposeModel, TaskCreated
from flocknode.protocol.proofs import AskTree
from flocknode.protocol.round import RoundMachine
from flocknode.protocol.seating import Seating
from flocknode.sim.lies import Colluding, Lie


@dataclass(slots=True)
class Plot:
    """Who lies, about what, in which rounds."""

    lie: Lie
    colluding: Colluding
    domain: Domain
    rounds: frozenset[int]
    keys: dict[Address, SigningKey] = field(default_factory=dict, repr=False)
    blobs: dict[Address, BlobStore] = field(default_factory=dict, repr=False)
    views: dict[Digest, int] = field(default_factory=dict)
    """The view of each attempt in which a majority proposed its lie: it does so once."""
    silent: int | None = None
    """The validator that keeps silent alone: a second missed duty is one of the same."""

    def wrap(self, machine: RoundMachine, key: SigningKey, blobs: BlobStore) -> "LyingMachine":
        """Draw a node into the plot; whether it lies depends on its seat."""
        self.keys[key.address] = key
        self.blobs[key.address] = blobs
        return LyingMachine(machine, self, key, blobs)

    @property
    def is_majority(self) -> bool:
        return self.colluding is Colluding.MAJORITY

    def is_due(self, seating: Seating) -> bool:
        return seating.drawn.round in self.rounds and seating.drawn.attempt == 0

    def liars(self, seating: Seating) -> tuple[int, ...]:
        """Return the seats that lie: of one column, one alone, or two thirds of all."""
        if self.lie is Lie.SILENT and not self.is_majority:
            return self._silent_again(seating)
        first = seating.proposer_of(0)
        count = seating.terms.seats
        one_column = seating.column(seating.column_of((first + 1) % count))
        if self.lie is Lie.WITHHOLD:
            return tuple(one_column[:-1])
        if self.lie is Lie.MASK:
            return tuple(one_column[: seating.terms.column_majority if self.is_majority else 1])
        if not self.is_majority:
            return ((first + 1) % count,)
        quorum = seating.terms.proposal_quorum()
        return tuple(sorted((first + offset) % count for offset in range(quorum)))

    def _silent_again(self, seating: Seating) -> tuple[int, ...]:
        """Return the seat of one validator, round after round."""
        committee = seating.drawn.committee
        if self.silent is None:
            self.silent = committee[(seating.proposer_of(0) + 1) % len(committee)]
        return (committee.index(self.silent),) if self.silent in committee else ()

    def muted(self, seating: Seating) -> int | None:
        """Return the mate whose MASK_ROOT is lost, so that one liar's word has equal weight."""
        if self.lie is not Lie.MASK or self.is_majority:
            return None
        return seating.column(seating.column_of(self.liars(seating)[0]))[1]

    def victim(self, seating: Seating) -> int:
        """Return the seat from which seeds are withheld: the last of the liars' column."""
        return seating.column(seating.column_of(self.liars(seating)[0]))[-1]

    def publish(self, seating: Seating, data: bytes, root: Digest) -> None:
        """Let every liar serve wrong bytes."""
        for seat in self.liars(seating):
            self.blobs[seating.signer_of(seat)].put(root, data)

    def signatures(self, seating: Seating, statement: Statement) -> tuple[bytes, ...]:
        digest = statement_digest(self.domain, statement)
        keys = (self.keys[seating.signer_of(seat)] for seat in self.liars(seating))
        return tuple(key.sign_digest(digest) for key in keys)


class LyingMachine:
    """A machine behind which the plot changes what comes in and what goes out."""

    def __init__(
        self, machine: RoundMachine, plot: Plot, key: SigningKey, blobs: BlobStore
    ) -> None:
        self._machine = machine
        self._plot = plot
        self._key = key
        self._blobs = blobs
        self._seating: Seating | None = None
        self._computing: ComputeAggregate | None = None
        self._proposing: Propose | None = None

    @property
    def agreed(self) -> TaskCreated:
        return self._machine.agreed

    @property
    def trainers(self) -> frozenset[PeerId]:
        return self._machine.trainers

    @property
    def contributions(self) -> int:
        return self._machine.contributions

    def judge(self, message: Message) -> None:
        self._machine.judge(message)

    def handle(self, event: Event, now: Seconds) -> list[Effect]:
        effects = self._machine.handle(self._hear(event), now)
        told = [told for effect in effects for told in self._tell(effect)]
        return [*told, *self._disturb(event)]

    def _disturb(self, event: Event) -> list[Effect]:
        """Ask the chain for a tree that everybody serves, to hold up a round."""
        seating, plot = self._seating, self._plot
        is_question = plot.lie is Lie.TREE and not plot.is_majority
        if seating is None or not is_question or not isinstance(event, ChainAdvanced):
            return []
        proposal = event.tip.attempt.proposal
        is_due = plot.is_due(seating) and self._lies(seating) and seating.ctx not in plot.views
        if proposal is None or not is_due:
            return []
        plot.views[seating.ctx] = proposal.view
        columns = seating.terms.columns
        top = levels_of(seating.vector_bytes, LEAF_BYTES)
        statement = accepted_statement(proposal)
        return [Submit(AskTree(statement, columns, top, 0, ZERO_DIGEST, (), UNPRICED))]

    def _hear(self, event: Event) -> Event:
        seating = self._seating
        if seating is None or not self._plot.is_due(seating):
            return event
        entry = seating.roster.entry_of(self._key.address)
        is_first_trainer = entry is not None and entry.index == 0
        is_spoilt = is_first_trainer and self._plot.lie is Lie.WITHHOLD
        if isinstance(event, DeltaMasked) and is_spoilt:
            return self._spoil_capsule(event, seating)
        if isinstance(event, MasksSummed) and self._plot.lie is Lie.MASK and self._lies(seating):
            return self._spoil_sum(event)
        return event

    def _tell(self, effect: Effect) -> Iterable[Effect]:
        match effect:
            case MakeSealingKey() | MaskDelta():
                self._seating = effect.seating
            case ComputeAggregate():
                self._computing = effect
            case Sign(Propose() as propose):
                self._proposing = propose
            case _:
                pass
        seating = self._seating
        if seating is None or not self._plot.is_due(seating):
            return (effect,)
        seat = seating.seat_of(self._key.address)
        if seat is not None and seat == self._plot.muted(seating):
            is_root = isinstance(effect, Send) and isinstance(effect.message, MaskRootMessage)
            return () if is_root else (effect,)
        return LIES[self._plot.lie](self, effect, seating) if self._lies(seating) else (effect,)

    def _lies(self, seating: Seating) -> bool:
        return seating.seat_of(self._key.address) in self._plot.liars(seating)

    def sign(self, statement: Statement) -> bytes:
        """Sign without asking what the slot holds."""
        return self._key.sign_digest(statement_digest(self._plot.domain, statement))

    # Each lie: what is told instead of an effect.

    def equivocate(self, effect: Effect, seating: Seating) -> Iterable[Effect]:
        """Tell one half of the seats another mask root than the other."""
        match effect:
            case Send(peers, MaskRootMessage() as message) if self._is_own(message, seating):
                other = replace(message, root=sha256(message.root), vector=b"")
                statement = other.statement(seating.column_of(message.seat))
                half = len(peers) // 2
                told = Send(peers[half:], replace(other, signature=self.sign(statement)))
                return (Send(peers[:half], message), told)
            case _:
                return (effect,)

    def _is_own(self, message: MaskRootMessage, seating: Seating) -> bool:
        return message.seat == seating.seat_of(self._key.address)

    def forge_set(self, effect: Effect, seating: Seating) -> Iterable[Effect]:
        """Submit a set whose first record no trainer signed, by the colluders alone."""
        match effect:
            case Submit(IncludeSet() as call) if self._plot.is_majority:
                return (Submit(self._forge(call, seating)),)
            case _:
                return (effect,)

    def spoil_proposal(self, effect: Effect, seating: Seating) -> Iterable[Effect]:
        """Submit or vote for another outcome of the same mask roots."""
        match effect:
            case Submit(ProposeModel() as call) if self._plot.is_majority:
                is_first = self._plot.views.setdefault(seating.ctx, call.view) == call.view
                return (Submit(self._spoil_call(call, seating)),) if is_first else (effect,)
            case Send(peers, ProposeVote() as vote) if self._votes_wrongly():
                return (Send(peers, self._spoil_vote(vote, seating)),)
            case _:
                return (effect,)

    def _votes_wrongly(self) -> bool:
        return not self._plot.is_majority and self._plot.lie is not Lie.TREE

    def keep_silent(self, effect: Effect, _seating: Seating) -> Iterable[Effect]:
        """Open nothing and sign no proposal."""
        is_opening = isinstance(effect, Sign) and isinstance(effect.statement, MaskRoot | Propose)
        return () if is_opening else (effect,)

    def withhold(self, effect: Effect, _seating: Seating) -> Iterable[Effect]:
        """Give a mate no seed."""
        is_answer = isinstance(effect, Prepare) and isinstance(effect.request, SeedAnswer)
        return (
            ()
            if isinstance(effect, Reseal) or (is_answer and self._plot.is_majority)
            else (effect,)
        )

    def pass_on(self, effect: Effect, _seating: Seating) -> Iterable[Effect]:
        """Tell what the machine says: it was lied to itself."""
        return (effect,)

    def _forge(self, call: IncludeSet, seating: Seating) -> IncludeSet:
        attempt = self._machine.attempt
        assert attempt is not None
        assert attempt.seat is not None
        chosen = attempt.seat.includer.set_of(call.inclusion_root, call.trainers)
        assert chosen is not None
        forged = bytearray(chosen.records)
        forged[RECORD_BYTES - 40] ^= 1
        root = tree_root(TreeKind.INCLUSION, bytes(forged), RECORD_BYTES)
        self._plot.publish(seating, bytes(forged), root)
        seats = self._plot.liars(seating)
        commitment = sha256(root)
        include = Include(seating.ctx, call.view, root, call.trainers, call.weight, commitment)
        return replace(
            call,
            inclusion_root=root,
            seats=sum(1 << seat for seat in seats),
            commitments=(commitment,) * len(seats),
            signatures=self._plot.signatures(seating, include),
        )

    def _spoil_sum(self, event: MasksSummed) -> MasksSummed:
        """Commit to another sum; alone, to one whose root comes first."""
        right = bytearray(event.vector)
        for step in range(1, 256):
            wrong = bytes([(right[0] + step) % 256]) + bytes(right[1:])
            root = tree_root(TreeKind.MASK_SUM, wrong)
            if self._plot.is_majority or root < event.root:
                break
        self._blobs.put(root, wrong)
        return replace(event, root=root, vector=wrong)

    def _spoil_capsule(self, event: DeltaMasked, seating: Seating) -> DeltaMasked:
        victim = self._plot.victim(seating)
        capsules = list(event.capsules)
        capsules[victim] = bytes(len(capsules[victim]))
        return replace(event, capsules=tuple(capsules))

    def _spoil_call(self, call: ProposeModel, seating: Seating) -> ProposeModel:
        assert self._proposing is not None
        roots = self._spoil(call.aggregate_root, call.model_root, seating)
        wrong = replace(call, aggregate_root=roots[0], model_root=roots[1])
        statement = Propose(
            seating.ctx,
            call.view,
            self._proposing.inclusion_root,
            mask_roots_hash(call.mask_roots),
            *roots,
        )
        return replace(
            wrong,
            seats=sum(1 << seat for seat in self._plot.liars(seating)),
            signatures=self._plot.signatures(seating, statement),
        )

    def _spoil_vote(self, vote: ProposeVote, seating: Seating) -> ProposeVote:
        roots = self._spoil(vote.aggregate_root, vote.model_root, seating)
        wrong = replace(vote, aggregate_root=roots[0], model_root=roots[1])
        return replace(wrong, signature=self.sign(wrong.statement()))

    def _spoil(
        self, aggregate_root: Digest, next_root: Digest, seating: Seating
    ) -> tuple[Digest, Digest]:
        """Return wrong roots of aggregate and model, and publish their bytes."""
        lie, terms = self._plot.lie, seating.terms.integers
        if lie is Lie.TREE:
            return sha256(aggregate_root), next_root
        if lie is Lie.STEP:
            words = model_words(self._bytes(next_root), terms.words).copy()
            words[0] ^= 1
            root = model_root(words)
            self._plot.publish(seating, bytes(words_bytes(words)), root)
            return aggregate_root, root
        ring = ring_words(self._bytes(aggregate_root), terms.words, terms.width).copy()
        ring[0] += 1
        spoilt = bytes(words_bytes(ring))
        wrong = tree_root(TreeKind.AGGREGATE, spoilt)
        self._plot.publish(seating, spoilt, wrong)
        before = model_words(self._bytes(seating.drawn.model_root), terms.words)
        assert self._computing is not None
        after = server_step(before, Aggregate(ring), self._computing.weight, terms)
        self._plot.publish(seating, bytes(words_bytes(after)), model_root(after))
        return wrong, model_root(after)

    def _bytes(self, root: Digest) -> bytes:
        data = self._blobs.get(root)
        assert data is not None
        return bytes(data)


LIES: dict[Lie, Callable[[LyingMachine, Effect, Seating], Iterable[Effect]]] = {
    Lie.EQUIVOCATE: LyingMachine.equivocate,
    Lie.INCLUSION: LyingMachine.forge_set,
    Lie.MASK: LyingMachine.pass_on,
    Lie.AGGREGATE: LyingMachine.spoil_proposal,
    Lie.STEP: LyingMachine.spoil_proposal,
    Lie.TREE: LyingMachine.spoil_proposal,
    Lie.SILENT: LyingMachine.keep_silent,
    Lie.WITHHOLD: LyingMachine.withhold,
}
