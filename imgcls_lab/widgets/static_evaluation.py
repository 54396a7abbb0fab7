"""A confusion matrix and a reliability diagram as SVG, for pages that show no live cell. Called by the api."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from imgcls_lab.plurals import counted
from imgcls_lab.schemas import EvaluationView, ReliabilityBin

MOST_CLASSES = 30  # of a matrix that can be read
MOST_LETTERS = 16  # of a class's name beside it
_GREY, _GOOD, _BAD, _BLUE = "#808080", "#22804b", "#d64545", "#3b82c4"
_CELL, _LETTER, _HEAD = 26, 6.5, 24  # px: a cell, a letter of a name at most, the title


def confusion_svg(view: EvaluationView, title: str) -> str | None:
    """True classes down, predicted ones across; None for more classes than can be read."""
    names = view.class_names
    if len(names) > MOST_CLASSES or view.cells_left_out:
        return None
    place = {name: number for number, name in enumerate(names)}
    totals = {row.name: row.images for row in view.classes}
    shown = [name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…" for name in names]
    left = max(44.0, 12 + _LETTER * max(map(len, shown), default=0))
    top = _HEAD + left
    size = _CELL * len(names)
    parts = [
        f'<text x="0" y="14" fill="{_GREY}" font-weight="600">{escape(title)}</text>',
        f'<text x="{left - 6}" y="{top - 6}" text-anchor="end" fill="{_GREY}" font-size="10">true ↓</text>',
        f'<text x="{left + size + 10}" y="{top - 6}" fill="{_GREY}" font-size="10">predicted</text>',
    ]
    for cell in view.cells:
        row, column = place[cell.label], place[cell.predicted]
        x, y = left + _CELL * column, top + _CELL * row
        colour = _GOOD if row == column else _BAD
        fraction = min(1.0, cell.images / max(1, totals.get(cell.label, 0)))
        strong = fraction >= 0.5  # nearly opaque, so that white is read on it in a light and in a dark theme
        opacity, ink = (0.8 + 0.2 * fraction, "#ffffff") if strong else (0.1 + 0.4 * fraction, _GREY)
        parts.append(
            f'<rect x="{x}" y="{y}" width="{_CELL - 1}" height="{_CELL - 1}" fill="{colour}" '
            f'fill-opacity="{opacity:.2f}"><title>{escape(cell.label)} taken for {escape(cell.predicted)}: '
            f'{cell.images}</title></rect><text x="{x + _CELL / 2 - 0.5}" y="{y + _CELL / 2 + 3.5}" '
            f'text-anchor="middle" fill="{ink}" font-size="10">{cell.images}</text>'
        )
    turn = max(map(len, shown), default=0) > 2
    for number, name in enumerate(map(escape, shown)):
        middle = _CELL * number + _CELL / 2
        parts.append(f'<text x="{left - 6}" y="{top + middle + 3.5}" text-anchor="end" fill="{_GREY}">{name}</text>')
        place_of = f'transform="translate({left + middle + 3.5} {top - 6}) rotate(-60)"'
        if not turn:
            place_of = f'x="{left + middle}" y="{top - 6}" text-anchor="middle"'
        parts.append(f'<text {place_of} fill="{_GREY}">{name}</text>')
    return _svg(max(left + size + 70, 7 * len(title)), top + size + 4, title, parts)


def reliability_svg(view: EvaluationView, title: str) -> str:
    """Accuracy over confidence, before and (as outlines) after the temperature."""
    left, top, edge = 46, 28, 220
    parts = [
        f'<text x="{left}" y="16" fill="{_GREY}" font-weight="600">{escape(title)}</text>',
        f'<line x1="{left}" y1="{top + edge}" x2="{left + edge}" y2="{top}" stroke="{_GREY}" stroke-dasharray="3 3"/>',
    ]
    for fraction in (0, 0.5, 1):
        y, x = top + edge * (1 - fraction), left + edge * fraction
        parts.append(f'<line x1="{left}" x2="{left + edge}" y1="{y}" y2="{y}" stroke="{_GREY}" stroke-opacity="0.25"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4}" text-anchor="end" fill="{_GREY}">{100 * fraction:.0f} %</text>')
        parts.append(
            f'<text x="{x}" y="{top + edge + 16}" text-anchor="middle" fill="{_GREY}">{100 * fraction:.0f} %</text>'
        )
    parts += _bars(view.reliability, (left, top, edge), f'fill="{_BLUE}" fill-opacity="0.6"')
    parts += _bars(view.calibrated, (left, top, edge), f'fill="none" stroke="{_BLUE}"')
    foot = top + edge + 34
    said = "accuracy over confidence" + ("; outlines: after the temperature" if view.calibrated else "")
    parts.append(f'<text x="{left}" y="{foot}" fill="{_GREY}">{said}</text>')
    return _svg(left + max(edge + 24, 7 * max(len(title), len(said))), foot + 8, title, parts)


def _bars(bins: Sequence[ReliabilityBin], frame: tuple[int, int, int], style: str) -> list[str]:
    left, top, edge = frame
    return [
        f'<rect x="{left + edge * item.low + 1:.1f}" y="{top + edge * (1 - item.accuracy):.1f}" '
        f'width="{edge * (item.high - item.low) - 2:.1f}" height="{edge * item.accuracy:.1f}" {style}>'
        f"<title>{counted(item.images, 'image')}, accuracy {100 * item.accuracy:.1f} %</title></rect>"
        for item in bins
        if item.images and item.accuracy is not None
    ]


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" font-family="system-ui, sans-serif" font-size="11">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
