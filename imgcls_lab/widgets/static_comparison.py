"""A still picture of one metric of several runs as SVG, for notebooks that are saved. Pure text from numbers.

Called by `api/comparison.py`. Colours are legible on light and dark; runs of one colour differ in their dash.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from imgcls_lab.schemas import Series
from imgcls_lab.widgets.short_names import fitted, short_names

WIDTH, HEIGHT = 720, 260
_LEFT, _TOP, _BOTTOM = 56, 28, 28
_NAMED = 14  # runs that the legend has room for
_KEY, _LETTER = 46, 6.2  # px of a line and its margins in the legend; of a letter
_LEAST, _LETTERS = 8, 36  # of a name
_HUES, _DASHES = 10, ("", "6 3", "2 3", "10 3 2 3", "14 5", "4 2 1 2", "1 4", "8 8", "3 6", "12 2")
_GREY = 'fill="#808080"'


def comparison_svg(curves: Sequence[tuple[str, Series]], title: str, *, fraction: bool) -> str:
    """Curves over epochs, each with the name of its run, 720 x 260 px. fraction: the axis is in per cent.

    What the names of all runs begin with stands once above them.
    """
    points = [(name, _points(series)) for name, series in curves]
    everything = [point for _, curve in points for point in curve]
    body = f'<text x="{_LEFT}" y="16" {_GREY} font-weight="600">{escape(title)}</text>'
    if not everything:
        return _whole(body + f'<text x="{_LEFT}" y="{HEIGHT / 2:.0f}" {_GREY}>no points yet</text>', title)
    shared, labels = short_names([name for name, _ in points], _LETTERS)
    shared = fitted(shared, _LETTERS)
    right = WIDTH - _KEY - _LETTER * max(_LEAST, len(shared) - _LEAST // 2, *map(len, labels))
    last = max(epoch for epoch, _ in everything) or 1.0
    low, high = min(value for _, value in everything), max(value for _, value in everything)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5

    def place(epoch: float, value: float) -> str:
        x = _LEFT + epoch / last * (right - _LEFT)
        return f"{x:.1f},{HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM):.1f}"

    for value in (low, (low + high) / 2, high):
        y = place(0, value).partition(",")[2]
        shown = f"{value * 100:.3g} %" if fraction else f"{value:.3g}"
        body += f'<line x1="{_LEFT}" x2="{right:.1f}" y1="{y}" y2="{y}" stroke="#80808040"/>'
        body += f'<text x="{_LEFT - 5}" y="{float(y) + 4:.1f}" text-anchor="end" {_GREY}>{shown}</text>'
    body += f'<text x="{_LEFT}" y="{HEIGHT - 10}" {_GREY}>0</text>'
    label = f"{last:g} {'epoch' if last == 1 else 'epochs'}"
    body += f'<text x="{right:.1f}" y="{HEIGHT - 10}" text-anchor="end" {_GREY}>{label}</text>'
    for number, (name, curve) in enumerate(points):
        line = " ".join(place(*point) for point in curve)
        body += f'<polyline points="{line}" fill="none" {_style(number)}><title>{escape(name)}</title></polyline>'
    return _whole(body + _legend(shared, labels, right + 12), title)


def _whole(body: str, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="11"><title>{escape(title)}</title>{body}</svg>'
    )


def _style(number: int) -> str:
    """The stroke of the run at a place: no two of the first hundred are alike."""
    hue, dash = 360 * (number % _HUES) * 0.7 % 360, _DASHES[number // _HUES % len(_DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'stroke="hsl({hue:.0f} 62% 50%)" stroke-width="1.5"{dashed}'


def _legend(shared: str, labels: Sequence[str], left: float) -> str:
    text = f'<text x="{left:.1f}" y="16" {_GREY}>{escape(shared)}</text>' if shared else ""
    for number, label in enumerate(labels[:_NAMED]):
        y = _TOP + 15 * number
        text += f'<line x1="{left:.1f}" x2="{left + 22:.1f}" y1="{y}" y2="{y}" {_style(number)}/>'
        text += f'<text x="{left + 28:.1f}" y="{y + 4}" {_GREY}>{escape(label)}</text>'
    if len(labels) > _NAMED:
        text += f'<text x="{left:.1f}" y="{_TOP + 15 * _NAMED + 4}" {_GREY}>and {len(labels) - _NAMED} more</text>'
    return text


def _points(series: Series) -> list[tuple[float, float]]:
    pairs = zip(series.epoch, series.value, strict=True)
    return [(epoch, value) for epoch, value in pairs if value is not None and math.isfinite(value)]
