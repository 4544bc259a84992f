"""What may happen in a simulated world, and its order: one heap of timed events."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from flocknode.messages.wire import Message
from flocknode.primitives import PeerId
from flocknode.protocol.effects import Effect
from flocknode.protocol.events import Event
from flocknode.sim.simulated_node import SimulatedNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How hostile the world is. Probabilities are per delivery to one peer."""

    delay_seconds: tuple[float, float] = (0.005, 0.08)
    loss: float = 0.0
    duplicate: float = 0.0
    crashed_trainers: int = 0


@dataclass(frozen=True, slots=True)
class Crash:
    """The node is gone until it joins again, if it does."""


@dataclass(frozen=True, slots=True)
class Join:
    """The node comes, or comes back with everything it knew."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The node's process starts again: it knows what it stored, and nothing else."""


@dataclass(frozen=True, slots=True)
class NewBlock:
    """The node's follower looks at the chain."""


@dataclass(frozen=True, slots=True)
class Gossiped:
    """A message reaches a node by gossip, which judges it before it is delivered."""

    author: PeerId
    message: Message


Happening = Event | Crash | Join | Restart | NewBlock | Gossiped


AfterEffect = Callable[[SimulatedNode, Effect], bool]
"""Looks at a node after an effect is carried out; True kills it there."""


@dataclass(order=True, slots=True)
class Scheduled:
    at: float
    order: int
    node: SimulatedNode | None = field(compare=False)
    event: Happening | None = field(compare=False)
    life: int = field(compare=False, default=0)
    """The life of the node's process that waits for this; the next one knows nothing of it."""


class Agenda:
    """Everything that is due, in the order of time and then of asking."""

    def __init__(self) -> None:
        self._heap: list[Scheduled] = []
        self._order = 0

    def add(self, at: float, node: SimulatedNode | None, event: Happening | None) -> None:
        """Let ``event`` happen to ``node`` at a time; neither means that a block is mined."""
        self._order += 1
        life = node.life if node else 0
        heapq.heappush(self._heap, Scheduled(at, self._order, node, event, life))

    def next(self, until: float) -> Scheduled | None:
        """Take what comes next, unless it comes after ``until``."""
        if not self._heap or self._heap[0].at > until:
            return None
        return heapq.heappop(self._heap)
