"""Step 10 and every permissionless exit: who sends the transactions that anyone may send."""

from flocknode.primitives import Address, Seconds
from flocknode.protocol.chain_view import AttemptView, ChainView
from flocknode.protocol.closing import closings
from flocknode.protocol.effects import Effect, Submit
from flocknode.protocol.ledger import Call, Draw, OpenRound, Poke, Reveal, Settle
from flocknode.protocol.pace import Pace
from flocknode.protocol.seating import Seating

REOPEN_SECONDS = 30
"""Between two validators' attempts to open an idle round."""


class ChainDuties:
    """A validator's share of the duties that need no seat; the next in turn takes over."""

    def __init__(self, task: int, signer: Address) -> None:
        self._task = task
        self._signer = signer
        self._pace = Pace()
        self._attempt: tuple[int, int] | None = None

    def tick(
        self, tip: ChainView, final: ChainView, seating: Seating | None, now: Seconds
    ) -> list[Effect]:
        """Return the transactions that are this validator's to send now."""
        me = self._validator(tip)
        if me is None:
            return []
        self._forget_others(tip)
        effects = self._reveal(me, final, now)
        if tip.paused:
            return effects
        effects += self._open(me, tip, now)
        effects += self._draw(me, tip, now)
        effects += self._settle(me, tip, seating, now)
        effects += self._poke(me, tip, seating, now)
        effects += self._close(me, tip, seating, now)
        return effects

    def _forget_others(self, tip: ChainView) -> None:
        """Start the paces of a new attempt with nothing in them, or they would grow for ever."""
        begun = tip.attempt.drawn or tip.attempt.opened
        if begun and (begun.round, begun.attempt) != self._attempt:
            self._attempt = begun.round, begun.attempt
            self._pace = Pace()

    def _validator(self, view: ChainView) -> int | None:
        matches = (v for v, keys in view.validators.items() if keys.signer == self._signer)
        return next(matches, None)

    def _reveal(self, me: int, final: ChainView, now: Seconds) -> list[Effect]:
        """Answer a final request only: a preimage that is out cannot be taken back.

        The oldest comes first: an onion is peeled in the order of requests.
        """
        due = (
            request
            for request, beacon in sorted(final.beacons.items())
            if me in beacon.members
            and me not in beacon.revealed
            and final.timestamp < beacon.deadline
        )
        oldest = next(due, None)
        if oldest is None or not self._pace.every(("reveal", oldest), now):
            return []
        return [Submit(Reveal(oldest))]

    def _open(self, me: int, tip: ChainView, now: Seconds) -> list[Effect]:
        """Open the round that could not be opened when the attempt before it ended."""
        ended_at = tip.attempt.ended_at
        following = tip.settled.round + 1 if tip.settled else 0
        if ended_at is None or tip.terms is None or following >= tip.terms.rounds:
            return []
        # What kept the beacon or the purse from it takes a while, and a refused call costs gas.
        rank = sorted(tip.validators).index(me)
        if tip.timestamp < ended_at + (1 + rank) * REOPEN_SECONDS:
            return []
        interval = REOPEN_SECONDS * len(tip.validators)
        due = self._pace.every(("open", ended_at), now, interval)
        return [Submit(OpenRound(self._task))] if due else []

    def _draw(self, me: int, tip: ChainView, now: Seconds) -> list[Effect]:
        attempt = tip.attempt
        if attempt.opened is None or attempt.drawn:
            return []
        beacon = tip.beacons.get(attempt.opened.request)
        if beacon is None or not beacon.is_settled(tip.timestamp):
            return []
        call = Draw(self._task) if beacon.is_complete() else Poke(self._task)
        return self._in_turn(call, (beacon.request, call), me, tip, now)

    def _settle(
        self, me: int, tip: ChainView, seating: Seating | None, now: Seconds
    ) -> list[Effect]:
        proposal = tip.attempt.proposal
        if proposal is None or seating is None or seating.ctx != _ctx(tip):
            return []
        # The block that takes the transaction is younger than the tip.
        if tip.attempt.held or max(tip.timestamp, now) < _window_end(tip.attempt, seating):
            return []
        name = (seating.ctx, "settle", proposal.view)
        return self._in_turn(Settle(self._task), name, me, tip, now)

    def _poke(self, me: int, tip: ChainView, seating: Seating | None, now: Seconds) -> list[Effect]:
        attempt = tip.attempt
        if seating is None or seating.ctx != _ctx(tip) or attempt.proposal or attempt.held:
            return []
        if tip.timestamp < _give_up_at(attempt, seating):
            return []
        name = (seating.ctx, "poke", attempt.struck)
        return self._in_turn(Poke(self._task), name, me, tip, now)

    def _close(
        self, me: int, tip: ChainView, seating: Seating | None, now: Seconds
    ) -> list[Effect]:
        """Close what is overdue; the finder of an offence takes its share first."""
        current = seating if seating and seating.ctx == _ctx(tip) else None
        return [
            effect
            for call in closings(tip, current)
            for effect in self._in_turn(call, call, me, tip, now)
        ]

    def _in_turn(
        self, call: Call, name: object, me: int, tip: ChainView, now: Seconds
    ) -> list[Effect]:
        """Rank validators by id, starting from another one each round."""
        opened = tip.attempt.opened or tip.attempt.drawn
        start = opened.round if opened else 0
        ranks = sorted(tip.validators, key=lambda v: (v - start) % len(tip.validators))
        return [Submit(call)] if self._pace.my_turn(name, now, ranks.index(me)) else []


def _ctx(view: ChainView) -> bytes | None:
    return view.attempt.drawn.ctx if view.attempt.drawn else None


def _window_end(attempt: AttemptView, seating: Seating) -> int:
    """Return the end of the challenge window, whose clock may have stood still."""
    assert attempt.proposal is not None
    return attempt.window_end or attempt.proposal.accepted_at + seating.terms.windows.challenge


def _give_up_at(attempt: AttemptView, seating: Seating) -> int:
    if attempt.struck:
        return attempt.struck.void_deadline
    accepted = attempt.accepted
    return seating.void_at(accepted.accepted_at) if accepted else seating.abort_at
