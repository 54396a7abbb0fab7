"""A still picture of a run's curves as SVG, for pages that show no live cell: GitHub, nbconvert, a saved notebook.

Called by `api/display.py`. Pure text from numbers, no plotting library; colours are legible on light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from imgcls_lab.schemas import Series

WIDTH, HEIGHT = 720, 240
_COLOURS = {"loss/train": "#3b82c4", "loss/val": "#d97706", "metric/accuracy": "#2f9e62", "metric/macro_f1": "#8b5cf6"}
_PANELS = (("Loss", ("loss/train", "loss/val")), ("Accuracy", ("metric/accuracy", "metric/macro_f1")))
_PERCENT_PANEL = "Accuracy"  # its axis is in percent, from 0 to 100 %
_NAMES = {
    "loss/train": "training",
    "loss/val": "validation",
    "metric/accuracy": "accuracy",
    "metric/macro_f1": "macro F1",
}


def svg(series: Sequence[Series], title: str) -> str:
    """Loss and accuracy over epochs, side by side, 720 x 240 px."""
    by_tag = {item.tag: item for item in series}
    width = WIDTH / len(_PANELS)
    body = "".join(
        _panel(name, [by_tag[tag] for tag in tags if tag in by_tag], number * width, width)
        for number, (name, tags) in enumerate(_PANELS)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="11"><title>{escape(title)}</title>{body}</svg>'
    )


def _panel(name: str, series: list[Series], x: float, width: float) -> str:
    left, right, top, bottom = x + 46, x + width - 12, 28, HEIGHT - 28
    grey = 'fill="#808080"'
    parts = [f'<text x="{left:.0f}" y="16" {grey} font-weight="600">{name}</text>']
    points = {item.tag: _points(item) for item in series}
    everything = [point for curve in points.values() for point in curve]
    if not everything:
        return parts[0] + f'<text x="{left:.0f}" y="{(top + bottom) / 2:.0f}" {grey}>nothing yet</text>'
    last_epoch = max(epoch for epoch, _ in everything) or 1.0
    low, high = min(v for _, v in everything), max(v for _, v in everything)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    if name == _PERCENT_PANEL:
        low, high = max(0.0, low), min(1.0, high)
    for value in (low, (low + high) / 2, high):
        y = bottom - (value - low) / (high - low) * (bottom - top)
        parts.append(f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#80808040"/>')
        shown = f"{value * 100:.3g} %" if name == _PERCENT_PANEL else f"{value:.3g}"
        parts.append(f'<text x="{left - 5:.1f}" y="{y + 4:.1f}" text-anchor="end" {grey}>{shown}</text>')
    parts.append(f'<text x="{left:.0f}" y="{bottom + 16}" {grey}>0</text>')
    label = f"{last_epoch:g} {'epoch' if last_epoch == 1 else 'epochs'}"
    parts.append(f'<text x="{right:.0f}" y="{bottom + 16}" text-anchor="end" {grey}>{label}</text>')
    key = right
    for item in reversed(series):
        colour = _COLOURS[item.tag]
        drawn = " ".join(
            f"{left + epoch / last_epoch * (right - left):.1f},{bottom - (v - low) / (high - low) * (bottom - top):.1f}"
            for epoch, v in points[item.tag]
        )
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{key:.0f}" y="16" text-anchor="end" fill="{colour}">{_NAMES[item.tag]}</text>')
        key -= 8 + 6.5 * len(_NAMES[item.tag])
    return "".join(parts)


def _points(series: Series) -> list[tuple[float, float]]:
    pairs = zip(series.epoch, series.value, strict=True)
    return [(epoch, value) for epoch, value in pairs if value is not None and math.isfinite(value)]
