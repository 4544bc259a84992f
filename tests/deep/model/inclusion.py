"""Attest and include: who holds which seeds, who saw which attestation, views, bad proposers."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.deep.model.explore import Machine, Move, put


class Inclusion(NamedTuple):
    view: int
    """-1 before the first."""
    seen: tuple[int, ...]
    """By seat: attestations seen, a bit for (seat, trainer)."""
    shown: tuple[int, ...]
    """The same when the view began: what there was time to forward."""
    holds: tuple[int, ...]
    """By seat: bits of the trainers whose seed is here."""
    offer: tuple[int, ...]
    signed: tuple[int, ...]
    taken: int
    end: str


class InclusionMachine(Machine):
    """Bad seats show attestations to whom they like; the bad trainer serves ``gives`` only."""

    def __init__(
        self,
        without=(),
        *,
        columns=2,
        trainers=3,
        bad=(),
        crashed=(),
        bad_trainer=None,
        gives=frozenset(),
        views=None,
        spent=0,
        victim=None,
        rotate=0,
    ):
        super().__init__(without)
        self.timely = True
        self.columns, self.trainers = columns, trainers
        self.seats = range(3 * columns)
        self.bad = frozenset(bad)
        self.good = [s for s in self.seats if s not in self.bad and s not in crashed]
        self.bad_trainer, self.gives, self.crashed = bad_trainer, gives, frozenset(crashed)
        self.views = views or (len(self.seats) - 1) // 3 + 1
        self.spent, self.victim, self.rotate = spent, victim, rotate
        self.everyone = (1 << trainers) - 1

    def start(self):
        holds = tuple(
            0
            if seat in self.crashed
            else sum(1 << t for t in range(self.trainers) if self._served(seat, t))
            for seat in self.seats
        )
        scope = self._scope()
        said = 0
        for seat in (*self.good, *self.bad):
            for t in range(self.trainers):
                speaks = t != self.bad_trainer if seat in self.bad else holds[seat] >> t & 1
                if speaks and scope >> t & 1:
                    said |= self._bit(seat, t)
        nothing = (0,) * len(holds)
        seen = tuple(said if seat in self.good else 0 for seat in self.seats)
        return Inclusion(-1, seen, nothing, holds, nothing, nothing, 0, "")

    def end(self, s):
        return s.end

    def honest(self, s) -> Iterator[Move]:
        if self.has("relay"):
            every = 0
            for seat in self.good:
                every |= s.seen[seat]
            if any(s.seen[seat] != every for seat in self.good):
                seen = tuple(every if seat in self.good else 0 for seat in self.seats)
                yield "seats forward what they count", s._replace(seen=seen)
        if self.has("reseal"):
            yield from self._reseal(s)
        if s.view < 0:
            return
        proposer = self._proposer(s)
        if proposer in self.good and not any(s.offer):
            for wanted in self._honest_offers(s, proposer):
                offer = tuple(wanted if seat in self.good else 0 for seat in self.seats)
                yield f"proposer {proposer} offers {wanted:b}", s._replace(offer=offer)
        for seat in self.good:
            if s.offer[seat] and not s.signed[seat] and self._accepts(s, seat):
                signed = put(s.signed, seat, s.offer[seat])
                yield f"seat {seat} signs {s.offer[seat]:b}", s._replace(signed=signed)
                return
        if proposer in self.good:
            for wanted in set(s.signed) - {0}:
                if self._has_majorities(s, wanted, helped=False):
                    yield "set included", s._replace(end="included", taken=wanted)

    def hostile(self, s) -> Iterator[Move]:
        if self.bad_trainer is not None:
            for liar in self.bad:
                bit = self._bit(liar, self.bad_trainer)
                for seat in self.good:
                    if not s.seen[seat] & bit:
                        seen = put(s.seen, seat, s.seen[seat] | bit)
                        yield (
                            f"seat {liar} shows seat {seat} its attestation",
                            s._replace(seen=seen),
                        )
        if s.view < 0:
            return
        if self._proposer(s) in self.bad:
            seat = next((seat for seat in self.good if not s.offer[seat]), None)
            for wanted in self._bad_offers() if seat is not None else ():
                offer = put(s.offer, seat, wanted)
                yield f"bad proposer offers seat {seat} {wanted:b}", s._replace(offer=offer)
        for wanted in set(s.signed) - {0}:
            if self._has_majorities(s, wanted, helped=True):
                yield "set included with bad seats", s._replace(end="included", taken=wanted)

    def pokes(self, s) -> Iterator[Move]:
        nothing = (0,) * len(s.signed)
        if s.view + 1 >= self.views:
            yield "the last view is over", s._replace(end="aborted")
        else:
            following = s._replace(view=s.view + 1, shown=s.seen, offer=nothing, signed=nothing)
            yield f"view {s.view + 1} begins", following

    def broken(self, s) -> Iterator[str]:
        if s.end == "included" and self.victim is not None and not s.taken >> self.victim & 1:
            yield "a trainer is left out"

    def broken_end(self, s) -> Iterator[str]:
        if s.end != "included":
            yield "no set"

    def _reseal(self, s) -> Iterator[Move]:
        for seat in self.good:
            mates = [m for m in self.good if m % self.columns == seat % self.columns]
            for t in range(self.trainers):
                if not s.holds[seat] >> t & 1 and any(s.holds[m] >> t & 1 for m in mates):
                    holds = put(s.holds, seat, s.holds[seat] | 1 << t)
                    yield f"a mate gives seat {seat} the seed of {t}", s._replace(holds=holds)
                    return

    def _honest_offers(self, s, proposer):
        full = self._attested(s.seen[proposer]) & self._scope()
        return {full, full & s.holds[proposer], self.spent or full} - {0}

    def _bad_offers(self):
        offers = {self.everyone, self.everyone & ~1}
        if self.bad_trainer is not None:
            offers.add(self.everyone & ~(1 << self.bad_trainer))
        return offers

    def _accepts(self, s, seat):
        wanted = s.offer[seat]
        if self.spent and wanted != self.spent:
            return False  # The contract would refuse it.
        needed = self._attested(s.shown[seat]) & self._scope() if self.has("all_attested") else 0
        return not wanted & ~s.holds[seat] and not needed & ~wanted and wanted.bit_count() >= 2

    def _has_majorities(self, s, wanted, *, helped):
        signers = {x for x in self.seats if s.signed[x] == wanted or (helped and x in self.bad)}
        return self._in_every_column(signers)

    def _attested(self, seen):
        found = 0
        for t in range(self.trainers):
            if self._in_every_column({s for s in self.seats if seen & self._bit(s, t)}):
                found |= 1 << t
        return found

    def _in_every_column(self, seats):
        return all(sum(s % self.columns == c for s in seats) >= 2 for c in range(self.columns))

    def _proposer(self, s):
        return (s.view + self.rotate) % len(self.seats)

    def _scope(self):
        return self.spent if self.spent and self.has("spent_scope") else self.everyone

    def _served(self, seat, trainer):
        return trainer != self.bad_trainer or seat in self.gives

    def _bit(self, seat, trainer):
        return 1 << (seat * self.trainers + trainer)
