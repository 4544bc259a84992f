"""Figures as bars in an SVG file, drawn without a plotting library."""

from collections.abc import Sequence
from html import escape

from flocknode.cli.bench.figures import Figure

ROW, LEFT, WIDTH, RIGHT = 24, 330, 360, 150
GOOD, BAD, PLAIN = "#2a7f62", "#b3372f", "#8a94a0"


def draw_chart(figures: Sequence[Figure], machine: str) -> str:
    """Return one bar for each ratio, as long as its share of the largest; a line at its limit."""
    shown = [figure for figure in figures if figure.ratio is not None]
    height = ROW * (len(shown) + 2)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" '
        f'height="{height}" font-family="sans-serif" font-size="12">',
        f'<text x="8" y="16">{escape(machine)}</text>',
    ]
    for row, figure in enumerate(shown, start=1):
        lines += _bar(figure, ROW * row)
    return "\n".join([*lines, "</svg>", ""])


def _bar(figure: Figure, top: int) -> list[str]:
    """Draw a ratio between 0 and 1, or twice its limit where that is more."""
    assert figure.ratio is not None
    full = max(1.0, 2 * (figure.limit or 0))
    length = WIDTH * min(1.0, figure.ratio / full)
    colour = PLAIN if figure.limit is None else GOOD if figure.holds else BAD
    label = f"{figure.name} / {figure.against}"
    value = f"{figure.ratio:.3g} ({figure.value:.3g} {figure.unit})"
    lines = [
        f'<text x="{LEFT - 8}" y="{top + 16}" text-anchor="end">{escape(label)}</text>',
        f'<rect x="{LEFT}" y="{top + 4}" width="{length:.1f}" height="16" fill="{colour}"/>',
        f'<text x="{LEFT + length + 6:.1f}" y="{top + 16}">{escape(value)}</text>',
    ]
    if figure.limit is not None:
        at = LEFT + WIDTH * figure.limit / full
        lines.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{top + 1}" y2="{top + 23}" stroke="black"/>'
        )
    return lines
