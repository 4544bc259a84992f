"""How long to wait before saying something again, or doing another's duty."""

from flocknode.primitives import Seconds

RESEND_SECONDS = 2.0
"""Above a slow round trip with its processing, so that a healthy round never resends."""

GRACE_SECONDS = 0.6
"""How long a proposer with enough votes waits for the rest: pay follows the bitmaps."""

IMPATIENT_SECONDS = 0.8
"""How long a trainer waits for gossip before it asks a seat."""


class Pace:
    """Says whether a recurring act is due, by name."""

    def __init__(self) -> None:
        self._last: dict[object, Seconds] = {}
        self._first: dict[object, Seconds] = {}

    def every(self, name: object, now: Seconds, interval: float = RESEND_SECONDS) -> bool:
        """Tell whether ``interval`` passed since the last time that the answer was yes."""
        last = self._last.get(name)
        if last is not None and now - last < interval:
            return False
        self._last[name] = now
        return True

    def mark(self, name: object, now: Seconds) -> None:
        """Count the act as done now."""
        self._last[name] = now

    def once(self, name: object) -> bool:
        """Tell whether this was never asked before."""
        if name in self._first:
            return False
        self._first[name] = Seconds(0.0)
        return True

    def after(self, name: object, now: Seconds, delay: float) -> bool:
        """Tell whether ``delay`` passed since the first time that this was asked."""
        return now - self._first.setdefault(name, now) >= delay

    def my_turn(self, name: object, now: Seconds, rank: int) -> bool:
        """Tell whether to do a duty that anyone may do: rank 0 at once, then one after another."""
        patient = self.after(name, now, rank * RESEND_SECONDS)
        return patient and self.every(name, now, 2 * RESEND_SECONDS)
