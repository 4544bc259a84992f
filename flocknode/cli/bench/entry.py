"""Runs benchmarks by name and prints what they found."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from flocknode.cli.bench.arithmetic import arithmetic
from flocknode.cli.bench.chart import draw_chart
from flocknode.cli.bench.figures import Figure, describe_machine
from flocknode.cli.output import Output
from flocknode.errors import UnavailableError, UsageError

BENCHES: Final[dict[str, Callable[[], Iterator[Figure]]]] = {"arithmetic": arithmetic}


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
            _print(figure, output)
    if plot:
        _write(plot, draw_chart(figures, f"{machine['processor']}, {machine['cores']} cores"))
    return 0 if all(figure.holds for figure in figures) else 1


def _print(figure: Figure, output: Output) -> None:
    output.event("figure", **figure.rounded())
    text = f"{figure.name:<22} {figure.value:8.3g} {figure.unit:<5}"
    if figure.ratio is not None:
        text += f" {figure.ratio:8.3g} of {figure.against}"
    if figure.limit is not None:
        text += f", at least {figure.limit:g}: {'holds' if figure.holds else 'MISSED'}"
    output.line("figure", text)


def _write(path: Path, chart: str) -> None:
    try:
        path.write_text(chart, encoding="utf-8")
    except OSError as error:
        raise UnavailableError(
            f"cannot write {path}: {error.strerror}", "name a file that you may write"
        ) from error
