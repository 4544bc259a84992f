"""A validator without a seat looks for the lies that public bytes alone disprove.

Those are a set's weight and records, and the step from an aggregate to a model, whose roots are on
the chain; and two sealing keys of one seat, which are gossiped. It comes after the seats, whose
turn a proof is first.
"""

from collections.abc import Iterable

from flocknode.crypto.merkle import TreeKind
from flocknode.crypto.sealing import sealing_key_hash
from flocknode.messages.wire import SeatKeyMessage
from flocknode.primitives import Address, Digest, Seconds
from flocknode.protocol.chain_view import AttemptView, ChainView
from flocknode.protocol.effects import Effect
from flocknode.protocol.equivocation import SlotWatch
from flocknode.protocol.events import Prepared
from flocknode.protocol.evidence import PublicStepProof, accepted_statement
from flocknode.protocol.ledger import ProposalAccepted, SetAccepted
from flocknode.protocol.pace import Pace
from flocknode.protocol.pursuit import Pursuit
from flocknode.protocol.seating import Seating
from flocknode.protocol.standing import Standing


class Watcher:
    """One validator's watch over an attempt in which it has no seat."""

    def __init__(self, seating: Seating, me: Address, pace: Pace) -> None:
        self._seating = seating
        self._me = me
        self._standing = Standing(seating)
        self._slots = SlotWatch(seating, None, self._standing, pace)
        self._pursuit = Pursuit(seating, None, pace)

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
        self._pursuit.rank = watching.index(mine[0])
        self._standing.take(tip.attempt)
        return [*self._slots.prove(now), *self._examine(tip.attempt, now, has_model=has_model)]

    def note_keys(self, keys: Iterable[SeatKeyMessage]) -> None:
        """Keep the checked sealing keys of seats, and what contradicts them."""
        for key in keys:
            statement = key.statement(sealing_key_hash(key.suite, key.key))
            self._slots.note(key.seat, statement, key.signature)

    def prepared(self, event: Prepared) -> None:
        self._pursuit.prepared(event)

    def vector_held(self, root: Digest, kind: TreeKind) -> None:
        self._pursuit.vector_held(root, kind)

    def _examine(self, attempt: AttemptView, now: Seconds, *, has_model: bool) -> list[Effect]:
        accepted, proposal = attempt.accepted, attempt.proposal
        if accepted is None:
            return []
        effects = self._check_set(accepted, now)
        if proposal and has_model:
            effects += self._check_step(accepted, proposal, now)
        return effects

    def _check_set(self, accepted: SetAccepted, now: Seconds) -> list[Effect]:
        if accepted.weight != self._seating.roster.weight_of(accepted.trainers):
            return self._pursuit.disprove_weight(accepted, now)
        return self._pursuit.check_records(accepted, now)

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
            if not self._pursuit.holds(root, kind)
            for effect in self._pursuit.fetch(root, kind, length, proposal.seats, now)
        ]
        if not all(self._pursuit.holds(root, kind) for root, kind, _ in trees):
            return missing
        proof = PublicStepProof(accepted_statement(proposal), accepted)
        return self._pursuit.bring(proof, proposal.seats, now)
