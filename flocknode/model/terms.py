"""What all nodes of a task agree on. The contract holds the same values; see TaskRegistry."""

from dataclasses import dataclass

MODEL_SCALE_BITS = 20
"""A model word is an int32 with scale 2^-20: range +-2048, rounding far below any quantiser's."""


@dataclass(frozen=True, slots=True)
class IntegerTerms:
    """How a delta becomes integers and how their sum moves the model (protocol/README.md)."""

    words: int
    """Length d of the flat model."""
    width: int
    """Ring width w: 8, 16 or 32."""
    bits: int
    """Quantiser width b; the largest quantised magnitude is Q = 2^(b-1) - 1."""
    weight_max: int
    tau: int
    """Clamp of one trainer's share of a step, in quantiser units, 1..Q."""
    scale_bits: int
    """s: one quantiser unit is 2^-s of a model parameter."""
    numerator: int
    """numerator / denominator = eta * weight_max * 2^(20 - s)."""
    denominator: int
    clip_norm_log2: int
    """The clip norm is C = 2^clip_norm_log2."""

    @property
    def quantised_max(self) -> int:
        """Q, the largest magnitude of a quantised word of a trainer of full weight."""
        return (1 << (self.bits - 1)) - 1


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths of the phases in whole chain seconds."""

    collect: int
    """From the draw to ``attest_deadline``."""
    settle: int
    """From ``attest_deadline`` to inclusion view 0: forwarding plus one fetch."""
    view: int
    demand: int
    """From an accepted set to the end of the demand window."""
    roots: int
    """From the end of the demand window to ``root_deadline``."""
    challenge: int
    abort: int
    """The roll call after the last inclusion view."""
    finality: int
    """Allowance that every duty after an event adds once."""


@dataclass(frozen=True, slots=True)
class TaskTerms:
    """The shape of a task, as TaskRegistry stores it."""

    integers: IntegerTerms
    windows: Windows
    trainers: int
    """Length of the roster, at most 256."""
    trainers_min: int
    """n_min: the smallest set that may be included."""
    columns: int
    seats_per_column: int
    epoch_rounds: int
    """Rounds that share one draw: 1, or more while organisations are scarce."""
    attempts_max: int
    rounds: int

    @property
    def seats(self) -> int:
        return self.columns * self.seats_per_column

    @property
    def views(self) -> int:
        """One more than the faulty seats that a round tolerates, and one for a replaced block."""
        return (self.seats - 1) // 3 + 2

    @property
    def column_majority(self) -> int:
        return self.seats_per_column // 2 + 1

    def proposal_quorum(self, slashed: int = 0) -> int:
        """Return two thirds, rounded up, of the seats that are not in the bitmap ``slashed``."""
        return max(1, -(-2 * (self.seats - slashed.bit_count()) // 3))
