"""A validator without a seat looks for the lies that public bytes alone disprove.

Those are a set's weight and records, and the step from an aggregate to a model, whose roots are on
the chain; and two sealing keys of one seat, which are gossiped. It comes after the seats, whose
turn a proof is first.
"""

from collections.abc import Iterable

from flocknode.crypto.merkle import LEAF_BYTES, TreeKind
from flocknode.crypto.sealing import sealing_key_hash
from flocknode.messages.statements import RECORD_BYTES
from flocknode.messages.wire import SeatKeyMessage
from flocknode.primitives import Address, Digest, Seconds
from flocknode.protocol.chain_view import AttemptView, ChainView
from flocknode.protocol.effects import Effect, Fetch, Prepare, Submit, SubmitAll
from flocknode.protocol.equivocation import SlotWatch
from flocknode.protocol.events import Prepared
from flocknode.protocol.evidence import (
    ProofRequest,
    PublicStepProof,
    RecordProof,
    accepted_statement,
    set_statement,
)
from flocknode.protocol.ledger import Call, ProposalAccepted, SetAccepted
from flocknode.protocol.pace import Pace
from flocknode.protocol.proofs import ProveWeight
from flocknode.protocol.seating import Seating
from flocknode.protocol.standing import Standing


class Watcher:
    """One validator's watch over an attempt in which it has no seat."""

    def __init__(self, seating: Seating, me: Address, pace: Pace) -> None:
        self._seating = seating
        self._me = me
        self._pace = pace
        self._standing = Standing(seating)
        self._slots = SlotWatch(seating, None, self._standing, pace)
        self._held: set[Digest] = set()
        self._prepared: dict[ProofRequest, tuple[Call, ...]] = {}
        self._rank = 0

    def advance(self, tip: ChainView, now: Seconds, *, has_model: bool) -> list[Effect]:
        """Do the next thing about everything that is wrong."""
        watching = sorted(
            validator
            for validator, keys in tip.validators.items()
            if keys.signer not in self._seating.drawn.signers
        )
        mine = [v for v in watching if tip.validators[v].signer == self._me]
        if not mine:
            # Who is no validator has no coins to prove with.
            return []
        self._rank = watching.index(mine[0])
        self._standing.take(tip.attempt)
        return [*self._slots.prove(now), *self._examine(tip.attempt, now, has_model=has_model)]

    def note_keys(self, keys: Iterable[SeatKeyMessage]) -> None:
        """Keep the checked sealing keys of seats, and what contradicts them."""
        for key in keys:
            statement = key.statement(sealing_key_hash(key.suite, key.key))
            self._slots.note(key.seat, statement, key.signature)

    def prepared(self, event: Prepared) -> None:
        self._prepared[event.request] = event.calls

    def vector_held(self, root: Digest) -> None:
        self._held.add(root)

    def _examine(self, attempt: AttemptView, now: Seconds, *, has_model: bool) -> list[Effect]:
        accepted, proposal = attempt.accepted, attempt.proposal
        if accepted is None:
            return []
        effects = self._check_set(accepted, now)
        if proposal and has_model:
            effects += self._check_step(accepted, proposal, now)
        return effects

    def _check_set(self, accepted: SetAccepted, now: Seconds) -> list[Effect]:
        root, roster = accepted.inclusion_root, self._seating.roster
        if accepted.weight != roster.weight_of(accepted.trainers):
            task = self._seating.drawn.task
            proof = ProveWeight(task, set_statement(accepted), roster.records())
            is_mine = self._is_turn(("weight", root), accepted.seats, now)
            return [Submit(proof)] if is_mine else []
        length = accepted.trainers.bit_count() * RECORD_BYTES
        if root not in self._held:
            return self._fetch(root, TreeKind.INCLUSION, length, accepted.seats, now, RECORD_BYTES)
        return self._bring(RecordProof(accepted), accepted.seats, now)

    def _check_step(
        self, accepted: SetAccepted, proposal: ProposalAccepted, now: Seconds
    ) -> list[Effect]:
        """Step the aggregate that is named, whatever it should have been."""
        words = self._seating.terms.integers.words
        trees = (
            (proposal.aggregate_root, TreeKind.AGGREGATE, self._seating.vector_bytes),
            (proposal.model_root, TreeKind.MODEL, 4 * words),
        )
        missing = [
            effect
            for root, kind, length in trees
            if root not in self._held
            for effect in self._fetch(root, kind, length, proposal.seats, now)
        ]
        if any(root not in self._held for root, _, _ in trees):
            return missing
        return self._bring(
            PublicStepProof(accepted_statement(proposal), accepted), proposal.seats, now
        )

    def _bring(self, proof: ProofRequest, signers: int, now: Seconds) -> list[Effect]:
        """Prepare a proof once, then submit it in turn until it has worked."""
        calls = self._prepared.get(proof)
        if calls is None:
            is_new = self._pace.once(("prepare", proof))
            return [Prepare(self._seating, proof)] if is_new else []
        if not calls or not self._is_turn(("proof", proof), signers, now):
            return []
        return [SubmitAll(calls)]

    def _is_turn(self, name: object, signers: int, now: Seconds) -> bool:
        """Come after the seats that did not sign what is to be disproved."""
        free = sum(not signers >> seat & 1 for seat in self._seating.seats)
        return self._pace.my_turn(name, now, free + self._rank)

    def _fetch(
        self,
        root: Digest,
        kind: TreeKind,
        length: int,
        signers: int,
        now: Seconds,
        leaf_bytes: int = LEAF_BYTES,
    ) -> list[Effect]:
        """Pull from those who signed: nobody signs for bytes that it did not compute."""
        if not self._pace.every(("proof pull", root), now):
            return []
        seats = (seat for seat in self._seating.seats if signers >> seat & 1)
        holders = tuple(self._seating.peers[seat] for seat in seats)
        return [Fetch(root, kind, length, holders, leaf_bytes)]
