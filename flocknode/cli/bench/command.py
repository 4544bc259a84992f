"""Runs benchmarks by name and prints what they found."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import trio

from flocknode.cli.bench.arithmetic import measure_arithmetic
from flocknode.cli.bench.chart import draw_chart
from flocknode.cli.bench.figure import Figure
from flocknode.cli.bench.machine import describe_machine
from flocknode.cli.bench.rounds import ROUNDS, measure_rounds
from flocknode.cli.bench.startup import measure_startup
from flocknode.cli.bench.transfer import measure_transfer
from flocknode.cli.bench.verdict import described, is_kept, rounded
from flocknode.cli.output import Output
from flocknode.errors import UnavailableError, UsageError


def _transfer() -> Iterable[Figure]:
    return trio.run(measure_transfer)


def _rounds() -> Iterable[Figure]:
    for words in ROUNDS:
        yield from measure_rounds(words)


BENCHES: Final[dict[str, Callable[[], Iterable[Figure]]]] = {
    "arithmetic": measure_arithmetic,
    "transfer": _transfer,
    "startup": measure_startup,
    "rounds": _rounds,
}


def run_benches(names: Sequence[str], output: Output, plot: Path | None) -> int:
    """Run the benchmarks, by default all; return 1 if a figure misses its limit."""
    if unknown := sorted(set(names) - BENCHES.keys()):
        raise UsageError(
            f"unknown benchmark '{unknown[0]}'", f"the known ones are {', '.join(BENCHES)}"
        )
    machine = describe_machine()
    output.event("machine", **machine)
    output.line("machine", ", ".join(f"{name} {value}" for name, value in machine.items()))
    figures = []
    for name in names or BENCHES:
        for figure in BENCHES[name]():
            figures.append(figure)
            output.event("figure", **rounded(figure))
            output.line(name, described(figure))
    if plot:
        _write(plot, draw_chart(figures, f"{machine['processor']}, {machine['cores']} cores"))
    return 0 if all(map(is_kept, figures)) else 1


def _write(path: Path, chart: str) -> None:
    try:
        path.write_text(chart, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(
            f"cannot write {path}: {error.strerror}", "name a file that you may write"
        ) from error
