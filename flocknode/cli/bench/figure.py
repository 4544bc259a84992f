"""One measured number."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its unit; ``limit`` and ``ratio`` where something is promised of it."""

    name: str
    value: float
    unit: str
    limit: float | None
    """What the value must not pass, or must reach where more is better."""
    ratio: float | None
    """The value against what it is measured by in the same run."""
