"""Draw, include, open, settle, spend and redraw over a chain whose newest block may be replaced."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.deep.model.explore import Machine, Move, put


class Contract(NamedTuple):
    seed: str = ""
    attempt: int = 0
    phase: str = "draw"
    """draw, include, frozen while seeds may be demanded, released, settled, paused."""
    view: int = 0
    set: str = ""
    spent: str = ""


class Release(NamedTuple):
    chain: tuple[Contract, ...]
    """The final state, then those that may still be replaced."""
    reorganisations: int
    crashes: int
    said: frozenset
    """(kind, seat, slot, content) of all that honest seats signed."""
    memory: tuple[frozenset, ...]
    """By seat: (kind, slot) of what it remembers to have signed."""
    known: frozenset[tuple[int, str]]
    """(attempt, set) of the sums that left the honest column."""
    adopted: frozenset[str]


class ReleaseMachine(Machine):
    """One column is honest. The adversary has all other seeds, signs anything and orders blocks."""

    def __init__(self, without=(), *, seats=2, attempts=2, views=2, reorganisations=1, crashes=1):
        super().__init__(without)
        self.seats, self.attempts, self.views = seats, attempts, views
        self.reorganisations, self.crashes = reorganisations, crashes

    def start(self):
        nobody = (frozenset(),) * self.seats
        reorganisations, crashes = self.reorganisations, self.crashes
        nothing = frozenset()
        return Release((Contract(),), reorganisations, crashes, nothing, nobody, nothing, nothing)

    def end(self, s):
        over = len(s.chain) == 1 and s.chain[0].phase in {"settled", "paused"}
        return s.chain[0].phase if over else ""

    def honest(self, s) -> Iterator[Move]:
        tip, final = s.chain[-1], s.chain[0]
        relied = final if self.has("final_first") else tip
        if final.phase == "include":
            slot = (final.attempt, final.seed)
            yield from self._sign(s, 0, "SEAT_KEY", slot, final.seed)
        if tip.phase == "include":
            # Seat 0 stands for the honest member of every quorum.
            for name in tip.spent if tip.spent and self.has("spent") else "AB":
                yield from self._sign(s, 0, "INCLUDE", (tip.attempt, tip.view), name)
        if relied.phase in {"frozen", "released"}:
            for seat in range(self.seats):
                yield from self._sign(s, seat, "MASK_ROOT", (relied.attempt,), relied.set)
            yield from self._serve(s, relied)
        if relied.phase == "settled" and relied.set not in s.adopted:
            yield "trainers load the model", s._replace(adopted=s.adopted | {relied.set})

    def hostile(self, s) -> Iterator[Move]:
        tip = s.chain[-1]
        if len(s.chain) > 1:
            yield "the block becomes final", s._replace(chain=s.chain[1:])
            if s.reorganisations:
                left = s.reorganisations - 1
                yield "the block is replaced", s._replace(chain=s.chain[:-1], reorganisations=left)
        if s.crashes and not self.has("record"):
            for seat in range(self.seats):
                if s.memory[seat]:
                    memory = put(s.memory, seat, frozenset())
                    forgotten = s._replace(crashes=s.crashes - 1, memory=memory)
                    yield f"seat {seat} starts again without its record", forgotten
        if len(s.chain) == 1:
            yield from self._blocks(s, tip)

    def pokes(self, s) -> Iterator[Move]:
        tip = s.chain[-1]
        if len(s.chain) > 1:
            yield "time passes, the block becomes final", s._replace(chain=s.chain[1:])
        elif tip.phase == "draw":
            yield "no draw", _grown(s, tip._replace(phase="paused"))
        elif tip.phase == "include" and tip.view + 1 < self.views:
            yield "the next view", _grown(s, tip._replace(view=tip.view + 1))
        elif tip.phase == "include":
            yield "abort", _grown(s, self._redrawn(tip))
        elif tip.phase == "frozen":
            yield "the demand window ends", _grown(s, tip._replace(phase="released"))
        elif tip.phase == "released":
            spent = tip.set if self.has("spent") else ""
            yield "the void deadline", _grown(s, self._redrawn(tip._replace(spent=spent)))

    def broken(self, s) -> Iterator[str]:
        if len({name for _, name in s.known}) > 1:
            yield "two sums are known"
        if len(s.adopted) > 1:
            yield "two models are loaded"
        slots = [(kind, seat, slot) for kind, seat, slot, _ in s.said]
        if len(slots) > len(set(slots)):
            yield "a slot is signed twice"

    def _sign(self, s, seat, kind, slot, content) -> Iterator[Move]:
        if (kind, slot) in s.memory[seat]:
            return
        memory = put(s.memory, seat, s.memory[seat] | {(kind, slot)})
        said = s.said | {(kind, seat, slot, content)}
        if (said, memory) != (s.said, s.memory):
            yield f"seat {seat} signs {kind} {content}", s._replace(said=said, memory=memory)

    def _serve(self, s, relied) -> Iterator[Move]:
        sum_of = (relied.attempt, relied.set)
        signers = {
            x
            for kind, x, slot, c in s.said
            if (kind, slot, c) == ("MASK_ROOT", (relied.attempt,), relied.set)
        }
        may_open = relied.phase == "released" or not self.has("demand_first")
        if may_open and sum_of not in s.known and 2 * len(signers) > self.seats:
            yield (
                f"the column serves its sum over {relied.set}",
                s._replace(known=s.known | {sum_of}),
            )

    def _blocks(self, s, tip) -> Iterator[Move]:
        if tip.phase == "draw":
            for seed in "ab":
                yield f"draw {seed}", _grown(s, tip._replace(seed=seed, phase="include"))
        if tip.phase == "include":
            for _, _, slot, name in s.said:
                if slot == (tip.attempt, tip.view) and name in "AB" and tip.spent in {"", name}:
                    accepted = tip._replace(phase="frozen", set=name)
                    yield f"set {name} accepted", _grown(s, accepted)
        if tip.phase == "frozen":
            yield "a demanded seed stays away, abort", _grown(s, self._redrawn(tip))
        if tip.phase in {"frozen", "released"} and (tip.attempt, tip.set) in s.known:
            yield "settle", _grown(s, tip._replace(phase="settled"))

    def _redrawn(self, contract):
        if contract.attempt + 1 >= self.attempts:
            return contract._replace(phase="paused", set="")
        attempt = contract.attempt + 1
        return contract._replace(attempt=attempt, phase="include", view=0, set="")


def _grown(s, contract):
    return s._replace(chain=(*s.chain, contract))
