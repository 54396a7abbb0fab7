"""Plots of a sweep's results as SVG, from a DataFrame: the report's cells call them. No plotting library is needed."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

WIDTH, HEIGHT, EDGE = 300, 190, 34
_INK, _DOT, _BEST = "#6b7280", "#2563eb", "#c2410c"


class Svg:
    """A picture that a notebook shows."""

    def __init__(self, body: str, width: int, height: int) -> None:
        size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        style = 'font-family="sans-serif" font-size="11"'
        self.text = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{body}</svg>'

    def _repr_svg_(self) -> str:
        return self.text


def slices(results: pd.DataFrame, metric: str, parameters: list[str], higher_is_better: bool) -> Svg:
    """The metric over each parameter, a panel each; the best trial in another colour."""
    done = results[results[metric].notna()]
    parts = [
        f'<g transform="translate({number * WIDTH},0)">{_panel(done, metric, name, higher_is_better)}</g>'
        for number, name in enumerate(parameters)
    ]
    return Svg("".join(parts), WIDTH * max(1, len(parameters)), HEIGHT)


def history(results: pd.DataFrame, metric: str, higher_is_better: bool) -> Svg:
    """Each trial's value in the order of the trials, and the best so far as a line."""
    done = results[results[metric].notna()]
    values = [float(value) for value in done[metric]]
    best = list((done[metric].cummax() if higher_is_better else done[metric].cummin()).astype(float))
    low, high = _spread(done, metric)
    xs, ys = _coordinates([float(n) for n in done.index], False), _coordinates(values + best + low + high, True)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys[len(values) :], strict=False))
    dots = "".join(_dot(x, y, _DOT) for x, y in zip(xs, ys, strict=False))
    line = f'<polyline points="{points}" fill="none" stroke="{_BEST}" stroke-width="1.5"/>'
    bars = _bars(xs, ys[2 * len(values) :])
    return Svg(_frame("trial", metric, values + low + high) + line + bars + dots, WIDTH, HEIGHT)


def _panel(done: pd.DataFrame, metric: str, name: str, higher_is_better: bool) -> str:
    column = [None if value is None or value != value else value for value in done[name]]  # noqa: PLR0124
    values = [float(value) for value in done[metric]]
    low, high = _spread(done, metric)
    xs, ys = _coordinates(_along(column), False), _coordinates(values + low + high, True)
    best = (max if higher_is_better else min)(range(len(values)), key=values.__getitem__, default=-1)
    dots = "".join(_dot(x, y, _BEST if i == best else _DOT) for i, (x, y) in enumerate(zip(xs, ys, strict=False)))
    ends = [_short(value) for value in _ends(column)]
    labels = "".join(
        f'<text x="{x}" y="{HEIGHT - 16}" fill="{_INK}" text-anchor="{anchor}">{html.escape(text)}</text>'
        for x, anchor, text in zip((EDGE, WIDTH - 8), ("start", "end"), ends, strict=False)
    )
    return _frame(name, metric, values + low + high) + labels + _bars(xs, ys[len(values) :]) + dots


def _spread(done: pd.DataFrame, metric: str) -> tuple[list[float], list[float]]:
    """One standard deviation below and above each mean of replicates; empty where a trial is one run."""
    if f"{metric} sd" not in done:
        return [], []
    pairs = [(float(value), float(sd)) for value, sd in zip(done[metric], done[f"{metric} sd"], strict=True)]
    return [value - sd for value, sd in pairs], [value + sd for value, sd in pairs]


def _bars(xs: list[float], ends: list[float]) -> str:
    """Vertical lines; ends: all lower ends, then all upper ones."""
    half = len(ends) // 2
    return "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{_DOT}" stroke-opacity="0.5"/>'
        for x, low, high in zip(xs, ends[:half], ends[half:], strict=False)
    )


def _along(column: list[Any]) -> list[float]:
    """Values on an axis: numbers, logarithmic if they span orders of magnitude; anything else by its rank."""
    numbers = [value for value in column if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(column):
        ranks = {value: float(rank) for rank, value in enumerate(sorted(set(map(str, column))))}
        return [ranks[str(value)] for value in column]
    if numbers and min(numbers) > 0 and max(numbers) / min(numbers) > 20:
        return [math.log10(value) for value in numbers]
    return [float(value) for value in numbers]


def _ends(column: list[Any]) -> list[Any]:
    along = _along(column)
    order = sorted(range(len(column)), key=along.__getitem__)
    return [column[order[0]], column[order[-1]]] if order else []


def _coordinates(values: list[float], upward: bool) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    span = (high - low) or 1.0
    start, length = (HEIGHT - EDGE - 6, -(HEIGHT - EDGE - 28)) if upward else (EDGE + 6, WIDTH - EDGE - 20)
    return [start + length * (value - low) / span for value in values]


def _frame(name: str, metric: str, values: list[float]) -> str:
    corner = f"M{EDGE},18 V{HEIGHT - EDGE} H{WIDTH - 8}"
    ends = "".join(
        f'<text x="{EDGE - 3}" y="{y}" fill="{_INK}" text-anchor="end" font-size="9">{_short(value)}</text>'
        for y, value in ((HEIGHT - EDGE - 4, min(values, default=0)), (30, max(values, default=1)))
    )
    title = f'<text x="{EDGE}" y="12">{html.escape(metric)} over {html.escape(name)}</text>'
    return f'<path d="{corner}" fill="none" stroke="{_INK}"/>{title}{ends}'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}" fill-opacity="0.75"/>'


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
