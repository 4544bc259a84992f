"""How long a view must be: delays and one replaced block against the end of the last view."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.deep.model.explore import Machine, Move


class Clock(NamedTuple):
    now: int
    view: int
    step: int
    """0 offer on its way, 1 votes, 2 transaction, 3 in a block."""
    due: int
    reorganisations: int
    end: str


class ClockMachine(Machine):
    """The adversary chooses delays within their bounds, replaces one block and spoils one view."""

    def __init__(self, *, view, network=1, chain=2, views=3):
        super().__init__()
        self.timely = True
        self.view, self.network, self.chain, self.views = view, network, chain, views

    def start(self):
        return Clock(0, 0, 0, self.network, 1, "")

    def end(self, s):
        return s.end

    def hostile(self, s) -> Iterator[Move]:
        spoilt = s.view == 0
        if s.step < 3 and not spoilt:
            delay = self.network if s.step == 0 else self.chain
            yield "delivered", s._replace(step=s.step + 1, due=s.now + delay)
        if s.step == 3:
            yield "the block becomes final", s._replace(end="included")
            if s.reorganisations:
                again = s._replace(step=2, due=s.now + self.chain, reorganisations=0)
                yield "the block is replaced", again
        if s.step < 3 and (spoilt or s.now < s.due):
            yield "a tick", self._later(s)

    def broken_end(self, s) -> Iterator[str]:
        if s.end == "aborted":
            yield "no set"

    def _later(self, s):
        now = s.now + 1
        if now < self.view * (s.view + 1):
            return s._replace(now=now)
        end = "aborted" if s.view + 1 >= self.views else ""
        return s._replace(now=now, view=s.view + 1, step=0, due=now + self.network, end=end)
