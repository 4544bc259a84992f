"""An explicit-state checker: every order of moves, breadth first, shortest way to a fault."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

RULES = frozenset(
    {
        "final_first",  # what cannot be taken back waits for the final state
        "record",  # a statement is on disk before it leaves the seat
        "spent",  # after a spent attempt only the same set is accepted
        "demand_first",  # no sum is served before the end of the demand window is final
        "seed_demand",  # a seat that lacks a seed gets it before any sum is signed
        "all_attested",  # a seat signs only sets with every trainer that it saw attested in time
        "reseal",  # a seat hands a mate the seed that the mate lacks
        "relay",  # a seat forwards the attestations that it counts
        "spent_scope",  # after a spent attempt only its trainers are attested and counted
        "root_in_include",  # INCLUDE carries the commitment to the seat's mask root
        "root_wait",  # a majority's root first, any other only after the root deadline
        "sign_any",  # without a majority's root a seat signs any root of which it holds the bytes
        "own_root",  # a seat signs no other root than its own for its own column
        "lock_first",  # a challenge shows no seeds until its lock is final and alone
        "seat_lock",  # only a seat of the column with another root may challenge it, once
        "fuse_on_strike",  # a challenge that strikes nothing does not burn the fuse
        "strike_extends",  # a strike moves the void deadline by a turn of views
        "window_outlives_void",  # a proposal that was accepted is judged to its end
    }
)

State = Hashable
Move = tuple[str, State]


class Machine(ABC):
    """Moves are (words, next state). If ``timely``, deadlines pass when no honest move is left."""

    timely = False

    def __init__(self, without: Iterable[str] = ()) -> None:
        self.rules = RULES - set(without)
        assert RULES.issuperset(without)

    def has(self, rule: str) -> bool:
        return rule in self.rules

    @abstractmethod
    def start(self) -> State:
        """Return where an attempt begins."""

    @abstractmethod
    def end(self, state: State) -> str:
        """Name how the attempt ended; empty while it goes on."""

    def honest(self, _: State) -> Iterator[Move]:
        return iter(())

    def hostile(self, _: State) -> Iterator[Move]:
        return iter(())

    def pokes(self, _: State) -> Iterator[Move]:
        """Exits that anyone may take once their deadline has passed."""
        return iter(())

    def broken(self, _: State) -> Iterator[str]:
        """Name the safety properties that do not hold in a state."""
        return iter(())

    def broken_end(self, _: State) -> Iterator[str]:
        """Name the liveness properties that do not hold where nothing moves any more."""
        return iter(())

    def moves(self, state: State) -> Iterator[tuple[Move, bool]]:
        """Yield each move and whether it is an exit."""
        if self.end(state):
            return
        honest = list(self.honest(state))
        yield from ((move, False) for move in honest)
        yield from ((move, False) for move in self.hostile(state))
        if not (self.timely and honest):
            yield from ((move, True) for move in self.pokes(state))


@dataclass
class Exploration:
    """What every run of a machine comes to."""

    states: int = 0
    broken: dict[str, list[str]] = field(default_factory=dict)
    """Shortest trace to each property that does not hold."""


class Explorer:
    def __init__(self, machine: Machine, states_max: int) -> None:
        self.machine = machine
        self.states_max = states_max
        first = machine.start()
        self.parent: dict[State, tuple[State, str] | None] = {first: None}
        self.entries = dict.fromkeys([first], 0)
        self.following: dict[State, list[State]] = {}
        self.queue = deque([first])
        self.found = Exploration()

    def run(self) -> Exploration:
        while self.queue:
            state = self.queue.popleft()
            for name in self.machine.broken(state):
                self._break(name, state)
            self._expand(state)
        if self._has_cycle():
            self.found.broken.setdefault("endless", ["moves can be repeated for ever"])
        self.found.states = len(self.parent)
        return self.found

    def _expand(self, state: State) -> None:
        moves = list(self.machine.moves(state))
        self.following[state] = [after for (_, after), _ in moves]
        for (words, after), _ in moves:
            if after not in self.parent:
                assert len(self.parent) < self.states_max, "too many states"
                self.parent[after] = (state, words)
                self.entries[after] = 0
                self.queue.append(after)
            self.entries[after] += 1
        if not moves:
            for name in self.machine.broken_end(state):
                self._break(name, state)
        elif not self.machine.timely and not any(is_exit for _, is_exit in moves):
            self._break("no exit", state)

    def _break(self, name: str, state: State) -> None:
        if name in self.found.broken:
            return
        words = []
        while (step := self.parent[state]) is not None:
            state, said = step
            words.append(said)
        self.found.broken[name] = words[::-1]

    def _has_cycle(self) -> bool:
        """Without a cycle every run ends, and so every property of ends is one of all runs."""
        ready = [state for state, count in self.entries.items() if not count]
        seen = 0
        while ready:
            seen += 1
            for after in self.following[ready.pop()]:
                self.entries[after] -= 1
                if not self.entries[after]:
                    ready.append(after)
        return seen < len(self.parent)


def explore(machine: Machine, states_max: int = 1_500_000) -> Exploration:
    return Explorer(machine, states_max).run()


def put(values: tuple, place: int, value: object) -> tuple:
    return (*values[:place], value, *values[place + 1 :])
