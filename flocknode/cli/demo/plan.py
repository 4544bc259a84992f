"""What the user asked of the demo, checked, and the terms that follow from it."""

import socket
from dataclasses import dataclass, replace
from pathlib import Path

from flocknode.crypto.suites import SUITES, X25519
from flocknode.errors import UnavailableError, UsageError
from flocknode.learning.tasks import BUILT_IN
from flocknode.model.terms import IntegerTerms, TaskTerms, Windows
from flocknode.sim.lies import Colluding, Lie

TRAINERS_MAX = 64
VALIDATORS_MAX = 32
COMMITTEE_MAX = 21
LIAR_SEATS_MIN = 3
CHAINS = ("anvil", "pyevm")
BLOCK_SECONDS = 0.2
FINALITY_BLOCKS = 2
WINDOWS = Windows(collect=12, settle=2, view=6, demand=1, roots=4, challenge=1, abort=4, finality=0)
"""Two blocks of finality are under half a second, so the allowance in whole seconds is zero."""

DISPUTED = replace(WINDOWS, view=3, roots=2, challenge=5)
"""With a liar among the nodes: time to pull what it says, and to prove it wrong."""

PATIENT = {
    Lie.INCLUSION: {"demand": 4},
    Lie.WITHHOLD: {"demand": 8},
    Lie.TREE: {"challenge": 9},
    Lie.SILENT: {"challenge": 9},
}
"""What takes longer: a set is disproved and a seed demanded before the demand end, bytes are asked
for once pulls have failed, a seat is accused once it was silent for a while."""

EPOCH_ROUNDS = 3
ATTEMPTS_MAX = 3
REWARD_PER_ROUND = 100 * 10**18
TRAINER_SHARE_BPS = 5_000
GAS_POOL = 10 * 10**18


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The command line's options, each within its limits."""

    task: str
    rounds: int
    trainers: int
    validators: int
    columns: int
    seats: int
    """Places in each column."""
    chain: str
    seed: int
    timeout: float
    keep: Path | None
    port: int
    """First of the ports to listen on; 0 takes free ones."""
    suite: str = X25519.name
    """What the task's capsules are sealed with."""
    liar: str | None = None
    """What some validators lie about; nobody lies without it."""
    colluding: str = "minority"

    @property
    def windows(self) -> Windows:
        if self.liar is None:
            return WINDOWS
        return replace(DISPUTED, **PATIENT.get(Lie(self.liar), {}))

    @property
    def trainers_min(self) -> int:
        """Two thirds of the roster, and never fewer than two."""
        return max(2, -(-2 * self.trainers // 3))

    @property
    def onion_layers(self) -> int:
        """Beacon answers that a validator can give: one a draw, and some for redraws."""
        return self.rounds + 16

    def check(self) -> None:
        """Raise ``UsageError`` for an option out of its limits, or for a port in use."""
        limits = {
            "rounds": (self.rounds, 1, 10_000),
            "trainers": (self.trainers, 3, TRAINERS_MAX),
            "columns": (self.columns, 1, 7),
            "seats": (self.seats, 1, 7),
            "columns times seats": (self.columns * self.seats, 1, COMMITTEE_MAX),
            "validators": (self.validators, self.columns * self.seats, VALIDATORS_MAX),
            "seed": (self.seed, 0, 2**32 - 1),
            "port": (self.port, 0, 65_536 - TRAINERS_MAX - VALIDATORS_MAX),
        }
        for name, (value, low, high) in limits.items():
            if not low <= value <= high:
                raise UsageError(f"{name} {value} is outside {low}..{high}", "choose one inside")
        if self.task not in BUILT_IN and ":" not in self.task:
            raise UsageError(
                f"unknown task '{self.task}'",
                f"the known ones are {', '.join(BUILT_IN)}; your own is FILE.py:Class",
            )
        if self.timeout <= 0:
            raise UsageError("a timeout of no time", "give the demo some seconds")
        if self.suite not in SUITES:
            known = " and ".join(SUITES)
            raise UsageError(f"unknown suite '{self.suite}'", f"the known suites are {known}")
        if self.chain not in CHAINS:
            known = " and ".join(CHAINS)
            raise UsageError(f"unknown chain '{self.chain}'", f"the known chains are {known}")
        self._check_liar()
        if self.port:
            self.ports()

    def _check_liar(self) -> None:
        lies = [lie.value for lie in Lie]
        if self.liar is not None and self.liar not in lies:
            raise UsageError(f"unknown lie '{self.liar}'", f"the known ones are {', '.join(lies)}")
        if self.colluding not in list(Colluding):
            raise UsageError(f"unknown collusion '{self.colluding}'", "say minority or majority")
        if self.liar and self.seats < LIAR_SEATS_MIN:
            raise UsageError(
                f"with {self.seats} seats in a column nobody is left to prove a lie",
                f"take at least {LIAR_SEATS_MIN}",
            )

    def terms(self, integers: IntegerTerms) -> TaskTerms:
        return TaskTerms(
            integers=integers,
            windows=self.windows,
            trainers=self.trainers,
            trainers_min=self.trainers_min,
            columns=self.columns,
            seats_per_column=self.seats,
            epoch_rounds=EPOCH_ROUNDS,
            attempts_max=ATTEMPTS_MAX,
            rounds=self.rounds,
        )

    def organisation_of(self, validator: int) -> int:
        """Put two validators into each of the first organisations if there are more than seats."""
        spare = self.validators - self.columns * self.seats
        shared = max(0, spare - 1)
        return (
            validator
            if validator < self.validators - shared
            else validator - (self.validators - shared)
        )

    def ports(self) -> list[int]:
        """Return a port for every validator; raise ``UnavailableError`` if one is taken.

        Trainers listen on nothing.
        """
        count = self.validators
        if self.port == 0:
            return _free_ports(count)
        wanted = list(range(self.port, self.port + count))
        for port in wanted:
            _refuse_taken(port)
        return wanted


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UnavailableError(
                f"port {port} is in use", "choose another with --port, or leave it out"
            ) from error
