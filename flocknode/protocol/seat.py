"""Everything that one seat does in one attempt, in the order of its phases."""

from flocknode.primitives import Seconds
from flocknode.protocol.attestation import Attester
from flocknode.protocol.chain_view import AttemptView, ChainView
from flocknode.protocol.challenge import Challenger
from flocknode.protocol.duties import DutyWatch
from flocknode.protocol.effects import Effect
from flocknode.protocol.equivocation import SlotWatch
from flocknode.protocol.inclusion import Includer
from flocknode.protocol.ledger import SetAccepted
from flocknode.protocol.pace import Pace
from flocknode.protocol.proposal import Proposer
from flocknode.protocol.resealing import Resealer
from flocknode.protocol.sealing_keys import KeyExchange
from flocknode.protocol.seating import Seating
from flocknode.protocol.standing import Standing
from flocknode.protocol.unmasking import Unmasker


class SeatDuties:
    """Everything that one seat does in one attempt."""

    def __init__(self, seating: Seating, seat: int) -> None:
        pace = Pace()
        self.seating = seating
        self.seat = seat
        self.has_model = False
        self.keys = KeyExchange(seating, seat, pace)
        self.attester = Attester(seating, seat, pace)
        self.resealer = Resealer(seating, seat, self.keys, self.attester, pace)
        self.includer = Includer(seating, seat, self.attester, pace)
        self.standing = standing = Standing(seating)
        self.unmasker = Unmasker(seating, seat, self.includer, pace, standing)
        self.proposer = Proposer(seating, seat, self.includer, self.unmasker, pace, standing)
        self.slots = SlotWatch(seating, seat, standing, pace)
        self.duties = DutyWatch(seating, seat, self.attester, self.unmasker, standing, pace)
        self.challenger = Challenger(
            seating, seat, self.includer, self.unmasker, self.proposer, standing, pace
        )

    def advance(
        self, tip: AttemptView, final: ChainView, timestamp: int, now: Seconds
    ) -> list[Effect]:
        """Do what the chain and the messages so far allow, by phase."""
        self.standing.take(tip)
        effects = self.slots.prove(now)
        if tip.accepted:
            return effects + self._unmask(tip, tip.accepted, final, timestamp, now)
        return effects + self._include(tip, timestamp, now)

    def _unmask(
        self,
        tip: AttemptView,
        accepted: SetAccepted,
        final: ChainView,
        timestamp: int,
        now: Seconds,
    ) -> list[Effect]:
        """Open, propose and watch: what follows an accepted set."""
        known = final.attempt.accepted
        # While a seed is demanded the attempt may yet abort, and then no sum may be known.
        is_asked = final.attempt.docket.demands or tip.docket.demands
        effects: list[Effect] = []
        if known and not is_asked:
            effects += self.unmasker.open_if_final(known, final.timestamp)
        if tip.proposal is None:
            if self.has_model:
                effects += self.proposer.advance(accepted, timestamp, now)
                effects += self.proposer.consider(accepted, timestamp)
            if not tip.held:
                effects += self.proposer.submit_if_due(accepted, timestamp, now)
        effects += self.duties.advance(tip, final.attempt, timestamp, now)
        return effects + self.challenger.advance(
            tip, final.attempt, timestamp, now, has_model=self.has_model
        )

    def _include(self, tip: AttemptView, timestamp: int, now: Seconds) -> list[Effect]:
        if self.seating.inclusion_end <= timestamp < self.seating.abort_at:
            return [] if self.seat in tip.roll else self.includer.answer_roll_call(now)
        effects = self.includer.offer_if_due(timestamp, now) + self.includer.consider(timestamp)
        return effects + self.includer.submit_if_due(timestamp, now)

    def tick(self, tip: AttemptView, timestamp: int, now: Seconds) -> list[Effect]:
        """Repeat what is still open."""
        pulls = self.attester.fetch_attested(now)
        if tip.accepted:
            return pulls + self.unmasker.tick(now)
        return pulls + self.keys.tick(now) + self.attester.tick(timestamp, now, is_open=True)
