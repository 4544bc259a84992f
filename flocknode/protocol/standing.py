"""How the chain's verdicts change who proposes, when, and whose word counts."""

from flocknode.primitives import Digest
from flocknode.protocol.chain_view import AttemptView
from flocknode.protocol.ledger import SetAccepted
from flocknode.protocol.seating import Seating


class Standing:
    """The newest verdicts of one attempt; the duties of a seat share it."""

    def __init__(self, seating: Seating) -> None:
        self._seating = seating
        self._attempt = AttemptView()

    def take(self, attempt: AttemptView) -> None:
        self._attempt = attempt

    def is_slashed(self, seat: int) -> bool:
        return bool(self._attempt.slashed >> seat & 1)

    def is_banned(self, root: Digest) -> bool:
        """Tell whether a proposal fell because nobody gave the bytes under ``root``."""
        return root in self._attempt.docket.banned

    @property
    def quorum(self) -> int:
        """Two thirds of the seats that are not convicted, rounded up."""
        return self._seating.terms.proposal_quorum(self._attempt.slashed)

    def is_complete(self, seats: set[int]) -> bool:
        """Tell whether nobody who may sign is missing."""
        return len(seats) == self._seating.terms.seats - self._attempt.slashed.bit_count()

    def majority_of(self, column: int) -> int:
        """Return how many of a column's unconvicted seats are most of them."""
        left = [seat for seat in self._seating.column(column) if not self.is_slashed(seat)]
        return len(left) // 2 + 1

    def proposal_view(self, timestamp: float, accepted: SetAccepted) -> int | None:
        """Return the proposal view at ``timestamp``; None when all have passed, or none began."""
        turn = self._attempt.struck
        if turn is None:
            return self._seating.proposal_view(timestamp, accepted.accepted_at)
        if not turn.opens_at <= timestamp < turn.void_deadline:
            return None
        return turn.next_view + int(timestamp - turn.opens_at) // self._seating.terms.windows.view

    def is_late(self, timestamp: float, accepted: SetAccepted) -> bool:
        """Tell whether columns without a majority have had their time."""
        is_struck = self._attempt.struck is not None
        return is_struck or timestamp >= self._seating.root_deadline(accepted.accepted_at)

    def proposer_of(self, view: int) -> int:
        """Return who proposes; from a strike on the convicted are passed over."""
        out = self._attempt.docket.out_of_turn
        turn = self._attempt.struck
        if not out or turn is None or view < turn.next_view:
            return self._seating.proposer_of(view)
        left = [seat for seat in self._seating.seats if not out >> seat & 1]
        return left[(view + int.from_bytes(self._seating.drawn.seed, "big")) % len(left)]
