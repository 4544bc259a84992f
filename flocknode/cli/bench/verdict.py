"""Whether a figure keeps what is promised of it, and how it is printed."""

from flocknode.cli.bench.figure import Figure


def is_kept(figure: Figure) -> bool:
    """Tell whether a rate reaches its limit; anything else must not pass it."""
    if figure.limit is None:
        return True
    if figure.unit.endswith("/s"):
        return figure.value >= figure.limit
    return figure.value <= figure.limit


def rounded(figure: Figure) -> dict[str, str | float | None]:
    """Return the fields of a figure with three digits of its numbers."""
    return {
        "name": figure.name,
        "value": _short(figure.value),
        "unit": figure.unit,
        "limit": None if figure.limit is None else _short(figure.limit),
        "ratio": None if figure.ratio is None else _short(figure.ratio),
    }


def described(figure: Figure) -> str:
    """Return a figure as a line for people."""
    text = f"{figure.value:9.3g} {figure.unit:<4}  {figure.name}"
    if figure.ratio is not None:
        text += f": {figure.ratio:.3g}"
    if figure.limit is not None:
        direction = "at least" if figure.unit.endswith("/s") else "at most"
        verdict = "kept" if is_kept(figure) else "MISSED"
        text += f"  ({direction} {figure.limit:.3g} {figure.unit}: {verdict})"
    return text


def _short(value: float) -> float:
    return float(f"{value:.3g}")
