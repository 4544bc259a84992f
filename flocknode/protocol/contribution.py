"""Step 3: a trainer trains, masks and speaks once; then it may vanish."""

from flocknode.crypto.hashing import capsules_hash, seeds_hash
from flocknode.messages.codec import encode
from flocknode.messages.statements import Header
from flocknode.messages.wire import (
    Contribution,
    ContributionHeader,
    SeatKeyMessage,
    WantKeys,
)
from flocknode.primitives import Seconds
from flocknode.protocol.effects import (
    AskConsent,
    Effect,
    MaskDelta,
    Offer,
    Publish,
    Send,
    Sign,
    Train,
)
from flocknode.protocol.events import ConsentGiven, DeltaMasked
from flocknode.protocol.pace import IMPATIENT_SECONDS, Pace
from flocknode.protocol.roster import RosterEntry
from flocknode.protocol.seating import Seating
from flocknode.protocol.spreading import is_long, offered


class Contributor:
    """One trainer's side of one attempt."""

    def __init__(self, seating: Seating, entry: RosterEntry, pace: Pace) -> None:
        self._seating = seating
        self._pace = pace
        self._entry = entry
        self._trained = False
        self._keys: tuple[SeatKeyMessage, ...] = ()
        self._masking = False
        self._masked: DeltaMasked | None = None
        self._contribution: Contribution | None = None
        self._asked = 0
        self._wants_consent = False

    def begin(self) -> list[Effect]:
        """Train, unless a spent attempt froze a set without this trainer.

        After a spent attempt and a pause its operator is asked first.
        """
        drawn, pause = self._seating.drawn, self._seating.pause
        if drawn.frozen_trainers and not drawn.frozen_trainers >> self._entry.index & 1:
            return []
        self._wants_consent = bool(drawn.frozen_trainers and pause)
        if self._wants_consent:
            return [AskConsent(drawn.round, pause)]
        return [Train(drawn.round, drawn.model_root)]

    def consented(self, consent: ConsentGiven) -> list[Effect]:
        """Go on after a pause: what was sent before it counts as known to somebody."""
        drawn = self._seating.drawn
        is_ours = (consent.round, consent.pause) == (drawn.round, self._seating.pause)
        if not self._wants_consent or not is_ours:
            return []
        self._wants_consent = False
        return [Train(drawn.round, drawn.model_root)]

    def trained(self) -> list[Effect]:
        self._trained = True
        return self._mask_if_ready()

    def hear_keys(self, keys: tuple[SeatKeyMessage, ...]) -> list[Effect]:
        """Take the first bundle that holds a majority of every column."""
        if self._keys or not self._seating.has_column_majorities({key.seat for key in keys}):
            return []
        self._keys = keys
        return self._mask_if_ready()

    def masked(self, masked: DeltaMasked) -> list[Effect]:
        self._masked = masked
        integers = self._seating.terms.integers
        return [
            Sign(
                Header(
                    self._seating.ctx,
                    self._entry.index,
                    self._entry.trainer,
                    masked.root,
                    integers.words,
                    integers.width,
                    seeds_hash(masked.commitments),
                    capsules_hash(masked.capsules),
                )
            )
        ]

    def signed(self, signature: bytes, now: Seconds) -> list[Effect]:
        """Send the vector to the seats, then tell everyone else by gossip."""
        masked = self._masked
        assert masked is not None
        integers = self._seating.terms.integers
        header = ContributionHeader(
            self._seating.ctx,
            self._entry.index,
            self._entry.trainer,
            masked.root,
            integers.words,
            integers.width,
            masked.commitments,
            masked.capsules,
            signature,
        )
        self._contribution = Contribution(encode(header), masked.vector)
        self._pace.mark("contribution", now)
        return [*self._send(now), Publish(header)]

    def tick(self, now: Seconds, *, is_open: bool) -> list[Effect]:
        """Ask for keys that gossip did not bring; repeat the contribution while it counts."""
        if not is_open:
            return []
        if self._wants_consent:
            ask = AskConsent(self._seating.drawn.round, self._seating.pause)
            return [ask] if self._pace.every("consent", now) else []
        if not self._keys and self._pace.after("keys", now, IMPATIENT_SECONDS):
            return self._ask_keys(now)
        if self._contribution and self._pace.every("contribution", now):
            return self._send(now)
        return []

    def _send(self, now: Seconds) -> list[Effect]:
        """Send the contribution to all seats; a long vector is offered to a few of them."""
        assert self._contribution is not None
        assert self._masked is not None
        send = Send(self._seating.peers, self._contribution)
        if not is_long(self._seating):
            return [send]
        root = self._masked.root
        return [
            Offer(root, offered(self._seating, self._entry.index, root, self._pace, now)),
            send,
        ]

    def _ask_keys(self, now: Seconds) -> list[Effect]:
        if not self._pace.every("want keys", now, IMPATIENT_SECONDS):
            return []
        seat = (self._entry.index + self._asked) % self._seating.terms.seats
        self._asked += 1
        return [Send((self._seating.peers[seat],), WantKeys(self._seating.ctx))]

    def _mask_if_ready(self) -> list[Effect]:
        if self._masking or not self._trained or not self._keys:
            return []
        self._masking = True
        by_seat = {key.seat: (key.suite, key.key) for key in self._keys}
        keys = tuple(by_seat.get(seat, (0, b"")) for seat in self._seating.seats)
        return [MaskDelta(self._seating, self._entry.index, self._seating.drawn.round, keys)]
