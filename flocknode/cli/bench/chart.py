"""Figures as bars in an SVG file, drawn without a plotting library."""

from collections.abc import Sequence
from html import escape

from flocknode.cli.bench.figure import Figure
from flocknode.cli.bench.verdict import is_kept

ROW, WIDTH, RIGHT = 24, 360, 190
LETTER = 7
"""Width of a letter of 12 pixels, on average and generously."""
KEPT, MISSED, PLAIN = "#2a7f62", "#b3372f", "#8a94a0"


def draw_chart(figures: Sequence[Figure], machine: str) -> str:
    """Return a bar for each ratio, with a line where its limit lies."""
    shown = [figure for figure in figures if figure.ratio is not None]
    left = 16 + LETTER * max((len(figure.name) for figure in shown), default=0)
    size = f'width="{left + WIDTH + RIGHT}" height="{ROW * (len(shown) + 2)}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<text x="8" y="16">{escape(machine)}</text>',
    ]
    for row, figure in enumerate(shown, start=1):
        lines += _bar(figure, left, ROW * row)
    return "\n".join([*lines, "</svg>", ""])


def _bar(figure: Figure, left: int, top: int) -> list[str]:
    """Draw a ratio on a scale to one, or to twice its limit where that is more."""
    assert figure.ratio is not None
    limit = None if figure.limit is None else figure.limit * figure.ratio / figure.value
    full = max(1.0, 2 * (limit or 0))
    length = WIDTH * min(1.0, figure.ratio / full)
    colour = PLAIN if limit is None else KEPT if is_kept(figure) else MISSED
    value = f"{figure.ratio:.3g} ({figure.value:.3g} {figure.unit})"
    lines = [
        f'<text x="{left - 8}" y="{top + 16}" text-anchor="end">{escape(figure.name)}</text>',
        f'<rect x="{left}" y="{top + 4}" width="{length:.1f}" height="16" fill="{colour}"/>',
        f'<text x="{left + length + 6:.1f}" y="{top + 16}">{escape(value)}</text>',
    ]
    if limit is not None:
        at = left + WIDTH * limit / full
        lines.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top + 1}" y2="{top + 23}" stroke="black"/>'
        )
    return lines
