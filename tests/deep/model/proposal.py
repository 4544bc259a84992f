"""Mask roots, proposals by views, challenge, opening of a column, strike, settle, spend."""

from collections.abc import Iterator
from typing import NamedTuple

from tests.deep.model.explore import Machine, Move, put

RIGHT, WRONG = 1, 2
NONE = -1


class Proposal(NamedTuple):
    root: tuple[int, ...]
    """By seat: no mask root, the right one, a wrong one."""
    held: tuple[int, int]
    """By half of the honest seats: bits of the seats whose sum it holds."""
    late: bool = False
    """The root deadline passed."""
    view: int = 0
    offer: int = NONE
    """Bits of the columns that it names a wrong root for; bit k for a wrong aggregate."""
    signed: int = 0
    """Bits of the halves that signed it."""
    accepted: int = NONE
    slashed: int = 0
    struck: int = 0
    """Bits of the columns whose sum was proven wrong."""
    shown: int = 0
    """Bits of the columns whose seeds honest seats showed."""
    fuse: int = NONE
    lock: int = NONE
    """The seat that holds the challenge lock."""
    lock_final: bool = False
    tried: int = 0
    """Bits of the seats that used up their challenge."""
    underway: int = 0
    """Bits of the columns whose opening is on its way to the chain."""
    replaced: int = 0
    """Blocks that may still be replaced."""
    lied: bool = False
    """An honest seat signed a root of its own column that it knows to be wrong."""
    end: str = ""


class ProposalMachine(Machine):
    """Bad seats sign any root, give sums to one half, propose late or wrongly, challenge idly.

    The challenge window is long enough for every honest challenger, as an assumption.
    """

    def __init__(
        self,
        without=(),
        *,
        bad=(),
        crashed=(),
        lacks=(),
        slow=(),
        views=None,
        timely=True,
        idle_challenges=False,
        replaced=0,
        rotate=0,
        must_settle=True,
    ):
        super().__init__(without)
        self.timely = timely
        self.columns, self.seats = 3, range(9)
        self.bad, self.slow = frozenset(bad), frozenset(slow)
        self.good = [s for s in self.seats if s not in self.bad and s not in crashed]
        # A seed that was demanded is answered before any sum is signed, or the attempt aborts.
        self.lacks = frozenset(() if self.has("seed_demand") else lacks)
        self.views = views or 4
        self.idle_challenges, self.replaced = idle_challenges, replaced
        self.rotate, self.must_settle = rotate, must_settle

    def start(self):
        able = [s for s in self.good if s not in self.lacks]
        root = tuple(RIGHT if s in able else 0 for s in self.seats)
        held = sum(1 << s for s in able if s not in self.slow)
        return Proposal(root, (held, held), replaced=self.replaced)

    def end(self, s):
        return s.end

    # What honest seats do.

    def honest(self, s) -> Iterator[Move]:
        if self.timely:
            yield from self._arrivals(s)
        if s.accepted == NONE:
            yield from self._propose(s)
        else:
            yield from self._challenge(s)

    def _propose(self, s) -> Iterator[Move]:
        if not self._may_begin(s):
            return
        both = s.held[0] | s.held[1]
        if s.held != (both, both):
            yield "honest seats fetch from one another", s._replace(held=(both, both))
        proposer = self._proposer(s)
        if proposer in self.good and s.offer == NONE:
            pick = self._pick(s, self._half(proposer))
            if pick is not None:
                yield f"proposer {proposer} offers {pick:b}", s._replace(offer=pick)
        for half in (0, 1):
            if s.offer != NONE and not s.signed >> half & 1 and self._accepts(s, half):
                lied = s.lied or self._lies(s, half)
                signed = s.signed | 1 << half
                yield f"half {half} signs", s._replace(signed=signed, lied=lied)
        if proposer in self.good and self._is_quorum(s, helped=False):
            yield "proposal accepted", s._replace(accepted=s.offer)

    def _challenge(self, s) -> Iterator[Move]:
        for column in self._wrong_columns(s):
            challengers = self._challengers(s, column)
            if challengers:
                yield from self._dispute(s, column, challengers[0])
        if s.lock in self.good and not s.lock_final:
            yield "the lock becomes final", s._replace(lock_final=True)
        for column in range(self.columns):
            if s.underway >> column & 1:
                if s.fuse in {NONE, column}:
                    yield f"column {column} is opened, its liars struck", self._strike(s, column)
                else:
                    yield "a second opening is refused: spent", s._replace(end="spent")
        if s.accepted >> self.columns & 1:
            yield (
                "a wrong aggregate is proven",
                s._replace(
                    accepted=NONE,
                    offer=NONE,
                    signed=0,
                    slashed=s.slashed | sum(1 << b for b in self.bad),
                    view=s.view + 1,
                    lock=NONE,
                    lock_final=False,
                ),
            )

    def _dispute(self, s, column, seat) -> Iterator[Move]:
        shows = s._replace(underway=s.underway | 1 << column, shown=s.shown | 1 << column)
        sent = s.underway >> column & 1
        if s.fuse not in {NONE, column}:
            yield "a second column is disputed: spent", s._replace(end="spent")
        elif not self.has("lock_first"):
            if not sent:
                yield f"seat {seat} shows the seeds of column {column}", shows
        elif s.lock == NONE:
            yield f"seat {seat} takes the lock", s._replace(lock=seat, lock_final=False)
        elif s.lock == seat and s.lock_final and not sent:
            yield f"seat {seat} shows the seeds of column {column}, locked", shows

    # What bad seats do.

    def hostile(self, s) -> Iterator[Move]:
        free = [b for b in self.bad if not s.slashed >> b & 1]
        yield from self._speak(s, free)
        if not self.timely:
            yield from self._arrivals(s)
        if s.accepted == NONE:
            yield from self._propose_badly(s, free)
        elif self.idle_challenges:
            yield from self._challenge_idly(s, free)
        if s.replaced and s.lock >= 0 and not s.lock_final and s.accepted != NONE:
            yield from self._replace_lock(s)

    def _speak(self, s, free) -> Iterator[Move]:
        for liar in free:
            if not s.root[liar]:
                for value, name in ((RIGHT, "the right"), (WRONG, "a wrong")):
                    yield (
                        f"seat {liar} signs {name} root",
                        s._replace(root=put(s.root, liar, value)),
                    )
                continue
            for half in (0, 1):
                if not s.held[half] >> liar & 1:
                    held = put(s.held, half, s.held[half] | 1 << liar)
                    yield f"seat {liar} gives half {half} its sum", s._replace(held=held)

    def _propose_badly(self, s, free) -> Iterator[Move]:
        if self._proposer(s) in free and s.offer == NONE:
            picks = {self._pick(s, half) for half in (0, 1) if self._may_begin(s)} - {None}
            for pick in picks | {1 << self.columns}:
                yield f"bad proposer offers {pick:b}", s._replace(offer=pick)
        if self._is_quorum(s, helped=True):
            yield "proposal accepted with bad seats", s._replace(accepted=s.offer)

    def _challenge_idly(self, s, free) -> Iterator[Move]:
        for liar in free if self.has("seat_lock") else free[:1] or [0]:
            for column in self._may_challenge(s, liar):
                if s.fuse not in {NONE, column}:
                    yield "a second column is disputed idly: spent", s._replace(end="spent")
                elif self.has("lock_first") and s.lock == NONE:
                    tried = s.tried | 1 << liar
                    yield (
                        f"bad seat {liar} takes the lock",
                        s._replace(lock=liar, lock_final=True, tried=tried),
                    )
        if s.lock in self.bad and not s.accepted >> s.lock % self.columns & 1:
            guilty = 1 << s.lock if s.root[s.lock] == WRONG else 0
            fuse = s.fuse if self.has("fuse_on_strike") else s.lock % self.columns
            yield (
                "a bad seat opens its column for nothing",
                s._replace(lock=NONE, lock_final=False, slashed=s.slashed | guilty, fuse=fuse),
            )

    def _may_challenge(self, s, seat):
        column = seat % self.columns
        if not self.has("seat_lock"):
            return [c for c in range(self.columns) if not s.struck >> c & 1]
        differs = s.root[seat] and (s.root[seat] == WRONG) != bool(s.accepted >> column & 1)
        allowed = differs and not s.tried >> seat & 1 and not s.struck >> column & 1
        return [column] if allowed else []

    def _replace_lock(self, s) -> Iterator[Move]:
        for column in self._wrong_columns(s):
            for seat in self._challengers(s, column)[:1]:
                if seat != s.lock:
                    yield (
                        f"the block is replaced, seat {seat} has the lock",
                        s._replace(lock=seat, replaced=s.replaced - 1),
                    )

    # What time brings.

    def pokes(self, s) -> Iterator[Move]:
        if s.accepted == NONE:
            yield from self._time_of_views(s)
            return
        if s.lock in self.bad:
            lapsed = s._replace(lock=NONE, lock_final=False, tried=s.tried | 1 << s.lock)
            yield "the lock lapses", lapsed
        elif not list(self.honest(s)):
            yield "the window closes", s._replace(end="settled wrong" if s.accepted else "settled")
        else:
            # The window outlasts an honest challenger who still has a move.
            yield "the window waits", next(self.honest(s))[1]
        if not self.has("window_outlives_void") and self._is_last_view(s):
            yield "the void deadline, inside the window", s._replace(end="spent")

    def _time_of_views(self, s) -> Iterator[Move]:
        if not s.late:
            yield "the root deadline", s._replace(late=True)
        if s.late or not self.timely or self._proposer(s) not in self.good:
            if self._is_last_view(s):
                yield "the void deadline", s._replace(end="spent")
            else:
                following = s._replace(view=s.view + 1, offer=NONE, signed=0)
                yield f"view {s.view + 1} begins", following

    def _arrivals(self, s) -> Iterator[Move]:
        for column in sorted({x % self.columns for x in self.slow}):
            late = sum(1 << x for x in self.slow if x % self.columns == column)
            for half in (0, 1):
                if s.held[half] & late != late:
                    held = put(s.held, half, s.held[half] | late)
                    yield f"column {column} reaches half {half}", s._replace(held=held)

    # What must hold.

    def broken(self, s) -> Iterator[str]:
        if s.end == "settled wrong" and self._could_be_proven(s):
            yield "a wrong model settles"
        if s.shown.bit_count() > 1:
            yield "two columns are shown"
        if s.lied:
            yield "an honest seat signs a wrong root of its own column"
        if any(s.slashed >> seat & 1 for seat in self.good):
            yield "an honest seat is slashed"
        for column in range(self.columns):
            honest = sum(x % self.columns == column for x in self.good)
            if s.shown >> column & 1 and honest >= 2:
                yield "an honest column is shown"

    def broken_end(self, s) -> Iterator[str]:
        if self.timely and self.must_settle and s.end != "settled":
            yield "nothing settles after a strike" if s.struck else "nothing settles"

    def _could_be_proven(self, s):
        if 3 * len(self.bad) >= 2 * len(self.seats):
            return False
        wrong = [c for c in range(self.columns) if s.accepted >> c & 1]
        return all(any(x % self.columns == c for x in self.good) for c in wrong)

    # Small questions.

    def _may_begin(self, s):
        """A majority of every column has spoken: at INCLUDE, or with their roots only."""
        spoken = [x for x in self.seats if s.root[x]]
        return self.has("root_in_include") or all(
            sum(x % self.columns == c for x in spoken) >= 2 for c in range(self.columns)
        )

    def _votes(self, s, half, column):
        """Return how many seats signed the right and a wrong root whose sum this half holds."""
        votes = [
            s.root[x]
            for x in self.seats
            if x % self.columns == column and s.held[half] >> x & 1 and not s.slashed >> x & 1
        ]
        return votes.count(RIGHT), votes.count(WRONG)

    def _pick(self, s, half):
        """Return what this half would propose, or None while it waits. Liars win ties."""
        pick = 0
        for column in range(self.columns):
            if s.struck >> column & 1:
                continue
            right, wrong = self._votes(s, half, column)
            if not right and not wrong:
                return None
            if self.has("root_wait") and max(right, wrong) < 2 and not s.late:
                return None
            if wrong > right or (wrong == right and (self.has("root_wait") or half)):
                pick |= 1 << column
        return pick

    def _accepts(self, s, half):
        pick = self._pick(s, half)
        if not self.has("sign_any"):
            return pick == s.offer
        if pick is None or s.offer >> self.columns & 1:
            return False
        for column in range(self.columns):
            votes = self._votes(s, half, column)
            named, other = votes[::-1] if s.offer >> column & 1 else votes
            if not s.struck >> column & 1 and (not named or other >= 2):
                return False
        return True

    def _lies(self, s, half):
        return not self.has("own_root") and any(
            self._half(x) == half and s.root[x] == RIGHT and s.offer >> x % self.columns & 1
            for x in self.good
        )

    def _is_quorum(self, s, *, helped):
        if s.offer == NONE or not self._is_backed(s):
            return False
        votes = sum(
            1 for x in self.good if s.signed >> self._half(x) & 1 and not self._objects(s, x)
        )
        if helped:
            votes += sum(not s.slashed >> b & 1 for b in self.bad)
        return 3 * votes >= 2 * (len(self.seats) - s.slashed.bit_count())

    def _objects(self, s, seat):
        wrong = s.offer >> seat % self.columns & 1
        return self.has("own_root") and wrong and s.root[seat] == RIGHT

    def _is_backed(self, s):
        """Somebody unslashed signed the root that the offer names for each column."""
        for column in range(self.columns):
            named = WRONG if s.offer >> column & 1 else RIGHT
            signers = (x for x in self.seats if x % self.columns == column and s.root[x] == named)
            if not s.struck >> column & 1 and all(s.slashed >> x & 1 for x in signers):
                return False
        return True

    def _wrong_columns(self, s):
        return [c for c in range(self.columns) if s.accepted >> c & 1 and not s.struck >> c & 1]

    def _challengers(self, s, column):
        return [x for x in self.good if x % self.columns == column and s.root[x] == RIGHT]

    def _strike(self, s, column):
        liars = (x for x in self.seats if x % self.columns == column and s.root[x] == WRONG)
        return s._replace(
            slashed=s.slashed | sum(1 << x for x in liars),
            struck=s.struck | 1 << column,
            fuse=column,
            accepted=NONE,
            offer=NONE,
            signed=0,
            lock=NONE,
            lock_final=False,
            view=s.view + 1,
            underway=s.underway & ~(1 << column),
        )

    def _proposer(self, s):
        return (s.view + self.rotate) % len(self.seats)

    def _half(self, seat):
        return (seat // self.columns + seat) % 2

    def _is_last_view(self, s):
        extended = self.has("strike_extends") and (s.struck or s.slashed)
        return s.view + 1 >= self.views * (2 if extended else 1)
