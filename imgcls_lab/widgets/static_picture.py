"""A still picture of a run's curves as PNG, for pages that show no live cell: a saved notebook, GitHub, nbconvert.

Called by `static_cell.py`. Colours and smoothing are the live cell's; a white ground is legible in dark pages, too. The
picture has few colours, so that it takes little room in a notebook.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from imgcls_lab.config.evaluation import FRACTION_METRICS, METRIC_TITLES, format_metric
from imgcls_lab.events import ENDED, RunState
from imgcls_lab.run_sentence import STATE_WORDS, as_of
from imgcls_lab.schemas import RunDetail, Series
from imgcls_lab.schemas.constants import CELL_SMOOTHING, SMOOTHED_FROM
from imgcls_lab.terminal import shown

WIDTH, HEIGHT = 720, 250  # px of a page
SHARPNESS = 1.25  # px of the picture in one of a page
MOST_BYTES = 8200  # of a sharp picture: a cell has it twice, as a picture and in its HTML; a larger one is less sharp
_DRAWN = 3  # ... while it is drawn: what is shrunk has smooth edges
# of views/ui/theme.css, where pages are light
COLOURS = {"training": "#1976d2", "validation": "#e07b00", "other": "#2e9e6b"}
STATE_COLOURS = {"live": "#1769c5", "ok": "#2e7d32", "warn": "#a15c00", "error": "#c62828"}
_TEXT, _MUTED, _LINE = "#1c1c1f", "#6f6f73", "#e0e0e2"
_FAINT = 0.28  # of a colour: the curve as measured, behind the smoothed one
_PLAIN_LETTERS = 0x250  # the font that comes along draws these
_MOST_NAME = 60  # letters of the run's name
_MOST_NAME_BESIDE_TIME = 28  # ... of one that lives

Point = tuple[float, float]


class _Curve(NamedTuple):
    name: str
    colour: str
    points: list[Point]
    smooth: bool


def png(run: RunDetail, series: Sequence[Series]) -> bytes:
    """Name, state and best value of a run over its loss and its validation metric, by epochs."""
    image = Image.new("RGB", (WIDTH * _DRAWN, HEIGHT * _DRAWN), "white")
    pen = _Pen(ImageDraw.Draw(image))
    pen.draw.rectangle((0, 0, WIDTH * _DRAWN - 1, HEIGHT * _DRAWN - 1), outline=_LINE, width=_DRAWN)
    _head(pen, run)
    points = {item.tag: _points(item) for item in series}
    loss = [
        _Curve("training", COLOURS["training"], points.get("loss/train", []), smooth=True),
        _Curve("validation", COLOURS["validation"], points.get("loss/val", []), smooth=False),
    ]
    _panel(pen, "Loss", loss, (0, WIDTH // 2), fraction=False)
    _panel(pen, "Accuracy", _metrics(run, points), (WIDTH // 2, WIDTH), fraction=True)
    palette = _palette(STATE_COLOURS[_tone(run.state)])
    sharp = _written(image, SHARPNESS, palette)
    return sharp if len(sharp) <= MOST_BYTES else _written(image, 1.0, palette)


def _written(image: Image.Image, sharpness: float, palette: Image.Image) -> bytes:
    size = round(WIDTH * sharpness), round(HEIGHT * sharpness)
    small = image.resize(size, Image.Resampling.BOX).quantize(palette=palette, dither=Image.Dither.NONE)
    written = io.BytesIO()
    small.save(written, "PNG", optimize=True)
    return written.getvalue()


def _metrics(run: RunDetail, points: dict[str, list[Point]]) -> list[_Curve]:
    """Accuracy, and the metric by which the run keeps its best model, where that is another one in per cent."""
    curves = [_Curve("accuracy", COLOURS["validation"], points.get("metric/accuracy", []), smooth=False)]
    watched = run.best.metric if run.best else "accuracy"
    if watched != "accuracy" and watched in FRACTION_METRICS:
        drawn = points.get(f"metric/{watched}", [])
        curves.append(_Curve(METRIC_TITLES[watched], COLOURS["other"], drawn, smooth=False))
    return curves


class _Pen:
    """Draws in px of a page."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self.draw = draw
        self._fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}

    def _font(self, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        if size not in self._fonts:
            self._fonts[size] = ImageFont.load_default(size * _DRAWN)
        return self._fonts[size]

    def text(
        self, at: Point, text: str, colour: str, *, size: int = 11, anchor: str = "ls", bold: bool = False
    ) -> None:
        where = (at[0] * _DRAWN, at[1] * _DRAWN)
        width = 1 if bold else 0  # the font that comes along has no bold one
        self.draw.text(where, text, colour, self._font(size), anchor=anchor, stroke_width=width, stroke_fill=colour)

    def width(self, text: str, size: int = 11) -> float:
        return self._font(size).getlength(text) / _DRAWN

    def line(self, points: Sequence[Point], colour: str, width: float) -> None:
        scaled = [(x * _DRAWN, y * _DRAWN) for x, y in points]
        if len(scaled) == 1:
            (x, y), radius = scaled[0], 3 * _DRAWN
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        elif scaled:
            self.draw.line(scaled, colour, round(width * _DRAWN), joint="curve")

    def dot(self, at: Point, colour: str) -> None:
        x, y, radius = at[0] * _DRAWN, at[1] * _DRAWN, 4 * _DRAWN
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _head(pen: _Pen, run: RunDetail) -> None:
    """The name, unless the font lacks its letters, the state and the best value; the text beside has them all."""
    left, baseline = 14.0, 25.0
    lives = run.state not in ENDED
    name = shown(run.name, _MOST_NAME_BESIDE_TIME if lives else _MOST_NAME)
    if name and all(ord(letter) < _PLAIN_LETTERS or letter == "…" for letter in name):
        pen.text((left, baseline), name, _TEXT, size=14, bold=True)
        left += pen.width(name, 14) + 18
    pen.dot((left + 4, baseline - 5), STATE_COLOURS[_tone(run.state)])
    pen.text((left + 14, baseline), STATE_WORDS[run.state], _TEXT, size=13)
    if lives:
        pen.text((left + 22 + pen.width(STATE_WORDS[run.state], 13), baseline), f"({as_of()})", _MUTED)
    if run.best is not None:
        best = f"best {format_metric(run.best.metric, run.best.value)}"
        pen.text((WIDTH - 14, baseline), best, _TEXT, size=14, anchor="rs", bold=True)


def _tone(state: RunState) -> str:
    if state is RunState.SUCCEEDED:
        return "ok"
    if state in (RunState.FAILED, RunState.LOST):
        return "error"
    return "warn" if state in (RunState.STOPPED, RunState.CANCELLED) else "live"


def _panel(pen: _Pen, title: str, curves: Sequence[_Curve], across: tuple[int, int], *, fraction: bool) -> None:
    left, right, top, bottom = across[0] + 52, across[1] - 16, 68, HEIGHT - 28
    pen.text((left, 53), title, _TEXT, size=12, bold=True)
    _keys(pen, [curve for curve in curves if curve.points], right)
    values = [value for curve in curves for _, value in curve.points]
    if not values:
        pen.text((left, (top + bottom) / 2), "nothing yet", _MUTED)
        return
    last = max(epoch for curve in curves for epoch, _ in curve.points) or 1.0
    low, high = _ends(values, fraction=fraction)

    def place(point: Point) -> Point:
        epoch, value = point
        return left + epoch / last * (right - left), bottom - (value - low) / (high - low) * (bottom - top)

    for tick in _ticks(low, high, 4):
        y = place((0, tick))[1]
        pen.line([(left, y), (right, y)], _LINE, 1)
        pen.text((left - 6, y), f"{tick * 100:.4g} %" if fraction else f"{tick:.4g}", _MUTED, anchor="rm")
    for tick in _ticks(0, last, 6):
        x = place((tick, low))[0]
        pen.text((x, bottom + 16), f"{tick:g}", _MUTED, anchor="ms")
    pen.text((left - 6, bottom + 16), "epoch", _MUTED, anchor="rs")
    for curve in curves:
        _draw_curve(pen, curve, place)


def _keys(pen: _Pen, curves: Sequence[_Curve], right: float) -> None:
    """Which colour is what, from right to left."""
    for curve in reversed(curves):
        start = right - pen.width(curve.name)
        pen.text((start, 53), curve.name, _TEXT)
        pen.line([(start - 20, 49), (start - 6, 49)], curve.colour, 2)
        right = start - 34


def _draw_curve(pen: _Pen, curve: _Curve, place: Callable[[Point], Point]) -> None:
    points = curve.points
    if curve.smooth and len(points) > SMOOTHED_FROM:
        pen.line([place(point) for point in points], _shade(curve.colour, _FAINT), 1)
        points = smoothed(points, CELL_SMOOTHING)
    pen.line([place(point) for point in points], curve.colour, 1.75)


def smoothed(points: Sequence[Point], weight: float) -> list[Point]:
    """Exponential moving average, unbiased at the start: `smooth` of views/ui/decimate.ts."""
    total = norm = 0.0
    drawn = []
    for epoch, value in points:
        total = total * weight + value * (1 - weight)
        norm = norm * weight + (1 - weight)
        drawn.append((epoch, total / norm))
    return drawn


def _points(series: Series) -> list[Point]:
    pairs = zip(series.epoch, series.value, strict=True)
    return [(epoch, value) for epoch, value in pairs if value is not None and math.isfinite(value)]


def _ends(values: Sequence[float], *, fraction: bool) -> Point:
    """The ends of an axis: a little beyond the values; of fractions no further than 0 and 100 %."""
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 0.5
    low, high = low - margin, high + margin
    return (max(0.0, low), min(1.0, high)) if fraction else (low, high)


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within a range."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _shade(colour: str, part: float) -> str:
    """A colour on white, so much of it."""
    mixed = (round(255 + (int(colour[at : at + 2], 16) - 255) * part) for at in (1, 3, 5))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _palette(state: str) -> Image.Image:
    """White, and each colour of the picture with what the edges of its lines and letters need: 16, half a byte a px."""
    shades = {
        _TEXT: (1, 0.6, 0.3),
        _MUTED: (1, 0.5),
        _LINE: (1,),
        COLOURS["training"]: (1, 0.65, _FAINT),
        COLOURS["validation"]: (1, 0.65, 0.3),
        COLOURS["other"]: (1, 0.5),
        state: (1,),
    }
    colours = ["#ffffff", *(_shade(ink, part) for ink, parts in shades.items() for part in parts)]
    image = Image.new("P", (1, 1))
    image.putpalette([int(colour[at : at + 2], 16) for colour in colours for at in (1, 3, 5)])
    return image
