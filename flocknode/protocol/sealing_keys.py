"""Step 2: each seat publishes a fresh sealing key for the attempt; one seat bundles them."""

from flocknode.crypto.sealing import sealing_key_hash
from flocknode.messages.codec import encode
from flocknode.messages.statements import SeatKey
from flocknode.messages.wire import SeatKeyBundle, SeatKeyMessage
from flocknode.primitives import PeerId, Seconds
from flocknode.protocol.effects import Effect, MakeSealingKey, Publish, Send, Sign
from flocknode.protocol.events import SealingKeyMade
from flocknode.protocol.pace import IMPATIENT_SECONDS, RESEND_SECONDS, Pace
from flocknode.protocol.seating import Seating


class KeyExchange:
    """One seat's side of the exchange."""

    def __init__(self, seating: Seating, seat: int, pace: Pace) -> None:
        self._seating = seating
        self._pace = pace
        self._seat = seat
        self._made: SealingKeyMade | None = None
        self._keys: dict[int, SeatKeyMessage] = {}
        self._bundled = 0
        """Size of the largest bundle published or heard."""

    def begin(self) -> list[Effect]:
        return [MakeSealingKey(self._seating)]

    def key_made(self, made: SealingKeyMade) -> list[Effect]:
        self._made = made
        key_hash = sealing_key_hash(made.suite, made.key)
        return [Sign(SeatKey(self._seating.ctx, self._seat, key_hash))]

    def key_signed(self, signature: bytes, now: Seconds) -> list[Effect]:
        made = self._made
        assert made is not None
        mine = SeatKeyMessage(self._seating.ctx, self._seat, made.suite, made.key, signature)
        self._pace.mark("my key", now)
        return [self._to_seats(mine), *self.hear(mine)]

    def hear(self, message: SeatKeyMessage) -> list[Effect]:
        """Keep the first key of a seat; the bundler publishes as soon as it has all."""
        self._keys.setdefault(message.seat, message)
        complete = len(self._keys) == self._seating.terms.seats
        return self._publish() if complete and self._rank() == 0 else []

    def hear_bundle(self, keys: tuple[SeatKeyMessage, ...]) -> None:
        for key in keys:
            self._keys.setdefault(key.seat, key)
        self._bundled = max(self._bundled, len(keys))

    def answer(self, peer: PeerId, now: Seconds) -> list[Effect]:
        """Answer a member that gossip did not reach."""
        if not self._seating.has_column_majorities(set(self._keys)):
            return []
        if not self._pace.every(("answer", peer), now, IMPATIENT_SECONDS):
            return []
        return [Send((peer,), self._bundle())]

    def key_of(self, seat: int) -> SeatKeyMessage | None:
        return self._keys.get(seat)

    def tick(self, now: Seconds) -> list[Effect]:
        """Repeat the own key and, in turn, publish what the bundler did not."""
        effects: list[Effect] = []
        mine = self._keys.get(self._seat)
        if mine and self._bundled < self._seating.terms.seats and self._pace.every("my key", now):
            effects.append(self._to_seats(mine))
        ready = self._seating.has_column_majorities(set(self._keys))
        overdue = self._pace.after("bundle", now, (self._rank() + 1) * RESEND_SECONDS)
        if ready and overdue and self._bundled < len(self._keys):
            effects += self._publish()
        return effects

    def _rank(self) -> int:
        return (self._seat - self._seating.proposer_of(0)) % self._seating.terms.seats

    def _to_seats(self, message: SeatKeyMessage) -> Send:
        return Send(others(self._seating, self._seat), message)

    def _bundle(self) -> SeatKeyBundle:
        keys = tuple(encode(self._keys[seat]) for seat in sorted(self._keys))
        return SeatKeyBundle(self._seating.ctx, keys)

    def _publish(self) -> list[Effect]:
        if self._bundled >= len(self._keys):
            return []
        self._bundled = len(self._keys)
        trainers = tuple(entry.peer for entry in self._seating.roster.entries)
        bundle = self._bundle()
        return [Send(trainers, bundle), Publish(bundle)]


def others(seating: Seating, seat: int) -> tuple[PeerId, ...]:
    """Return the peers of all other seats."""
    return tuple(peer for place, peer in enumerate(seating.peers) if place != seat)
