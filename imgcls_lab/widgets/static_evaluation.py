"""A confusion matrix and a reliability diagram as SVG, for pages that show no live cell. Called by the api."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from imgcls_lab.plurals import counted
from imgcls_lab.schemas import EvaluationView, ReliabilityBin

MOST_CLASSES = 30  # of a matrix that can be read
_GREY, _GOOD, _BAD, _BLUE = "#808080", "#2f9e62", "#d64545", "#3b82c4"
_CELL, _NAMES = 26, 110  # px


def confusion_svg(view: EvaluationView, title: str) -> str | None:
    """True classes down, predicted ones across; None for more classes than can be read."""
    names = view.class_names
    if len(names) > MOST_CLASSES or view.cells_left_out:
        return None
    place = {name: number for number, name in enumerate(names)}
    totals = {row.name: row.images for row in view.classes}
    size = _NAMES + _CELL * len(names)
    parts = []
    for cell in view.cells:
        row, column = place[cell.label], place[cell.predicted]
        x, y = _NAMES + _CELL * column, _NAMES + _CELL * row
        colour = _GOOD if row == column else _BAD
        opacity = 0.1 + 0.6 * cell.images / max(1, totals.get(cell.label, 0))
        parts.append(
            f'<rect x="{x}" y="{y}" width="{_CELL - 1}" height="{_CELL - 1}" fill="{colour}" '
            f'fill-opacity="{min(1.0, opacity):.2f}"><title>{escape(cell.label)} taken for {escape(cell.predicted)}: '
            f'{cell.images}</title></rect><text x="{x + _CELL / 2 - 0.5}" y="{y + _CELL / 2 + 3.5}" '
            f'text-anchor="middle" fill="{_GREY}" font-size="10">{cell.images}</text>'
        )
    for number, name in enumerate(names):
        middle = _NAMES + _CELL * number + _CELL / 2
        shown = escape(name if len(name) <= 16 else f"{name[:15]}…")
        parts.append(f'<text x="{_NAMES - 6}" y="{middle + 3.5}" text-anchor="end" fill="{_GREY}">{shown}</text>')
        turned = f'transform="translate({middle + 3.5} {_NAMES - 6}) rotate(-60)"'
        parts.append(f'<text {turned} fill="{_GREY}">{shown}</text>')
    return _svg(size + 40, size + 4, title, parts)


def reliability_svg(view: EvaluationView, title: str) -> str:
    """Accuracy over confidence, before and (as outlines) after the temperature."""
    left, top, edge = 46, 28, 220
    parts = [
        f'<text x="{left}" y="16" fill="{_GREY}" font-weight="600">Accuracy by confidence</text>',
        f'<line x1="{left}" y1="{top + edge}" x2="{left + edge}" y2="{top}" stroke="{_GREY}" stroke-dasharray="3 3"/>',
    ]
    for fraction in (0, 0.5, 1):
        y, x = top + edge * (1 - fraction), left + edge * fraction
        parts.append(f'<line x1="{left}" x2="{left + edge}" y1="{y}" y2="{y}" stroke="{_GREY}" stroke-opacity="0.25"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4}" text-anchor="end" fill="{_GREY}">{fraction:.0%}</text>')
        parts.append(f'<text x="{x}" y="{top + edge + 16}" text-anchor="middle" fill="{_GREY}">{fraction:.0%}</text>')
    parts += _bars(view.reliability, (left, top, edge), f'fill="{_BLUE}" fill-opacity="0.6"')
    parts += _bars(view.calibrated, (left, top, edge), f'fill="none" stroke="{_BLUE}"')
    return _svg(left + edge + 24, top + edge + 28, title, parts)


def _bars(bins: Sequence[ReliabilityBin], frame: tuple[int, int, int], style: str) -> list[str]:
    left, top, edge = frame
    return [
        f'<rect x="{left + edge * item.low + 1:.1f}" y="{top + edge * (1 - item.accuracy):.1f}" '
        f'width="{edge * (item.high - item.low) - 2:.1f}" height="{edge * item.accuracy:.1f}" {style}>'
        f"<title>{counted(item.images, 'image')}, accuracy {item.accuracy:.1%}</title></rect>"
        for item in bins
        if item.images and item.accuracy is not None
    ]


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" font-family="system-ui, sans-serif" font-size="11">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
