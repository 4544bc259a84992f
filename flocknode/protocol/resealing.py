"""Step 4: a seat hands a mate the seed that it lacks. Mates hold the same secrets anyway.

Without it one absent sealing key, or one bad capsule, would leave a trainer attested by a majority
of every column while no majority can sign a set with it, and nobody signs one without it.
"""

from flocknode.messages.wire import SeedMessage
from flocknode.primitives import Digest, PeerId, Seconds
from flocknode.protocol.attestation import Attester
from flocknode.protocol.effects import Effect, OpenCapsule, Reseal, Send
from flocknode.protocol.events import Resealed
from flocknode.protocol.pace import Pace
from flocknode.protocol.sealing_keys import KeyExchange
from flocknode.protocol.seating import Seating


class Resealer:
    """One seat's dealings with the mates of its column."""

    def __init__(
        self, seating: Seating, seat: int, keys: KeyExchange, attester: Attester, pace: Pace
    ) -> None:
        self._seating = seating
        self._seat = seat
        self._keys = keys
        self._attester = attester
        self._pace = pace
        self._mates = {
            seating.peers[mate]: mate
            for mate in seating.column(seating.column_of(seat))
            if mate != seat
        }

    def answer(self, headers: tuple[Digest, ...], peer: PeerId, now: Seconds) -> list[Effect]:
        """Reseal what a mate asks for, as far as it is held here."""
        mate = self._mates.get(peer)
        key = self._keys.key_of(mate) if mate is not None else None
        if mate is None or key is None:
            return []
        return [
            Reseal(self._seating, held.digest, held.header.index, mate, key.suite, key.key)
            for held in self._attester.contributions_of(headers)
            if self._attester.holds(held.digest)
            and self._pace.every(("reseal", peer, held.digest), now)
        ]

    def resealed(self, event: Resealed) -> list[Effect]:
        """Send the capsule; an empty one means that the mate's key is none."""
        message = SeedMessage(event.ctx, event.header, event.capsule)
        return [Send((self._seating.peers[event.seat],), message)] if event.capsule else []

    def hear(self, message: SeedMessage, sender: PeerId) -> list[Effect]:
        """Open a mate's capsule like the trainer's own; the header's commitment decides."""
        lacking = self._attester.lacking_seed(message.header)
        if sender not in self._mates or lacking is None:
            return []
        commitment = lacking.commitments[self._seating.column_of(self._seat)]
        return [
            OpenCapsule(
                self._seating,
                message.header,
                lacking.index,
                self._seat,
                message.capsule,
                commitment,
            )
        ]
