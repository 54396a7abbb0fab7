"""The loss over the learning rate, and the speed of batch sizes, as SVG that stays in a saved notebook.

Called by `api/finders.py`. Pure text from numbers; colours are legible on light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

WIDTH, HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 30, 44
_GREY, _BLUE, _GREEN = "#808080", "#3b82c4", "#2f9e62"


def rates_svg(rates: Sequence[float], losses: Sequence[float], suggestion: float | None, title: str) -> str:
    """The smoothed loss over the rate, whose axis is logarithmic, with a mark at the suggestion."""
    if len(rates) < 2:
        return _whole([_text(_LEFT, HEIGHT / 2, "the loss diverged at the first step")], title)
    low, high = math.log10(rates[0]), math.log10(rates[-1])
    up = _axis(min(losses), max(losses))

    def across(rate: float) -> float:
        return _LEFT + (math.log10(rate) - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    parts = _levels(min(losses), max(losses), up)
    for power in range(math.ceil(low), math.floor(high) + 1):
        parts.append(_text(across(10.0**power), HEIGHT - _BOTTOM + 16, f"1e{power}", "middle"))
    points = " ".join(f"{across(rate):.1f},{up(loss):.1f}" for rate, loss in zip(rates, losses, strict=True))
    parts.append(f'<polyline points="{points}" fill="none" stroke="{_BLUE}" stroke-width="1.5"/>')
    if suggestion is not None:
        x = across(suggestion)
        side, anchor = (x - 5, "end") if x > WIDTH * 0.7 else (x + 5, "start")
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" stroke="{_GREEN}" '
            'stroke-dasharray="4 3"/>'
        )
        parts.append(_text(side, _TOP + 10, f"lr={suggestion:.1e}", anchor, _GREEN))
    parts.append(_text(WIDTH - _RIGHT, HEIGHT - 8, "learning rate", "end"))
    return _whole(parts, title)


def speeds_svg(sizes: Sequence[int], speeds: Sequence[float], suggestion: int, title: str) -> str:
    """Images a second as a bar for each batch size; the suggested one is green."""
    up = _axis(0.0, max(speeds))
    parts = _levels(0.0, max(speeds), up)
    step = (WIDTH - _LEFT - _RIGHT) / len(sizes)
    for number, (size, speed) in enumerate(zip(sizes, speeds, strict=True)):
        x, y = _LEFT + step * number + 0.15 * step, up(speed)
        colour = _GREEN if size == suggestion else _BLUE
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{0.7 * step:.1f}" height="{HEIGHT - _BOTTOM - y:.1f}" '
            f'fill="{colour}" fill-opacity="0.85"><title>{size}: {speed:,.0f} images/s</title></rect>'
        )
        parts.append(_text(x + 0.35 * step, HEIGHT - _BOTTOM + 16, str(size), "middle"))
    parts.append(_text(WIDTH - _RIGHT, HEIGHT - 8, "images a batch", "end"))
    return _whole(parts, title)


def _axis(low: float, high: float) -> Callable[[float], float]:
    """Where a value stands, in px from above."""
    span = high - low if high - low > 1e-9 else 1.0
    return lambda value: HEIGHT - _BOTTOM - (value - low) / span * (HEIGHT - _TOP - _BOTTOM)


def _levels(low: float, high: float, up: Callable[[float], float]) -> list[str]:
    parts = []
    for value in (low, (low + high) / 2, high):
        y = up(value)
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#80808040"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{value:,.0f}" if value >= 100 else f"{value:.3g}", "end"))
    return parts


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = _GREY) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _whole(parts: Sequence[str], title: str) -> str:
    head = f'<text x="{_LEFT}" y="16" fill="{_GREY}" font-weight="600">{escape(title)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="11"><title>{escape(title)}</title>{head}'
        f"{''.join(parts)}</svg>"
    )
