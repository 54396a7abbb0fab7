"""Images for TensorBoard, drawn by Pillow: the confusion matrix, and rows of images with the model's predictions.

Pure functions called by `tensorboard_summaries.py` once an epoch. Sizes are bounded, whatever the images are.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from imgcls_lab.plurals import percent

Pixels = npt.NDArray[np.uint8]

EDGE = 600  # pixels of the confusion matrix
TILE = 112  # pixels of an example
LINE = 15  # height of a line of text
NAMED = 40  # classes up to which rows and columns are named
WRITTEN = 15  # classes up to which cells hold their counts
INK, PAPER, GREY = (32, 33, 36), (255, 255, 255), (110, 113, 118)
CORRECT, WRONG = (30, 142, 62), (217, 48, 37)
HEAT = np.array([(255, 255, 255), (120, 170, 230), (16, 64, 140)], np.float64)  # none, half, all of a row


def confusion_image(confusion: npt.NDArray[np.int64], classes: Sequence[str]) -> Image.Image:
    """Rows are true classes, columns the predicted ones; a cell's colour is its fraction of the row."""
    count = len(classes)
    named = count <= NAMED
    cell = max(1, EDGE // count)
    size = min(12, cell - 1)
    margin = 4 if not named else 8 + max(round(_font(size).getlength(_short(name))) for name in classes)
    fraction = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    heat = np.stack([np.interp(fraction, [0.0, 0.5, 1.0], HEAT[:, channel]) for channel in range(3)], -1)
    grid = Image.fromarray(heat.round().astype(np.uint8)).resize((count * cell,) * 2, Image.Resampling.NEAREST)
    picture = Image.new("RGB", (margin + grid.width + 1, LINE + grid.height + margin), PAPER)
    picture.paste(grid, (margin, LINE))
    draw = ImageDraw.Draw(picture)
    draw.text((margin, 1), "rows: true class, columns: predicted", GREY, _font(11))
    draw.rectangle((margin - 1, LINE - 1, margin + grid.width, LINE + grid.height), outline=GREY)
    if not named:
        return picture
    for number, name in enumerate(classes):
        middle = number * cell + cell // 2
        draw.text((margin - 4, LINE + middle), _short(name), INK, _font(size), anchor="rm")
        label = Image.new("RGB", (margin, cell), PAPER)
        ImageDraw.Draw(label).text((margin - 4, cell // 2), _short(name), INK, _font(size), anchor="rm")
        picture.paste(label.rotate(90, expand=True), (margin + number * cell, LINE + grid.height + 1))
    if count <= WRITTEN:
        for row, column in np.argwhere(confusion > 0).tolist():
            colour = PAPER if fraction[row, column] > 0.4 else INK
            place = (margin + column * cell + cell // 2, LINE + row * cell + cell // 2)
            draw.text(place, str(confusion[row, column]), colour, _font(size), anchor="mm")
    return picture


def examples_image(
    images: Pixels, labels: Sequence[str], predicted: Sequence[str], probs: Sequence[float], columns: int = 8
) -> Image.Image:
    """images: uint8 (n, height, width, 3). Below each: the predicted class and its probability; the true class."""
    rows = -(-len(images) // columns)
    height = TILE + 2 * LINE + 8
    picture = Image.new("RGB", (min(columns, len(images)) * (TILE + 8) + 8, rows * height + 8), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, (pixels, label, name, prob) in enumerate(zip(images, labels, predicted, probs, strict=True)):
        left, top = 8 + number % columns * (TILE + 8), 8 + number // columns * height
        small = Image.fromarray(pixels)
        resampling = Image.Resampling.BOX if max(small.size) > TILE else Image.Resampling.NEAREST
        wide, high = (max(1, round(edge * TILE / max(small.size))) for edge in small.size)
        picture.paste(small.resize((wide, high), resampling), (left + (TILE - wide) // 2, top + (TILE - high) // 2))
        colour = CORRECT if name == label else WRONG
        draw.rectangle((left - 2, top - 2, left + TILE + 1, top + TILE + 1), outline=colour, width=2)
        draw.text((left, top + TILE + 3), _fit(f"{percent(prob)} {name}"), colour, _font(12))
        if name != label:
            draw.text((left, top + TILE + 3 + LINE), _fit(f"is {label}"), INK, _font(12))
    return picture


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(6, size))


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"


def _fit(text: str) -> str:
    """As much of a text as stands below a tile."""
    font = _font(12)
    if font.getlength(text) <= TILE:
        return text
    while font.getlength(f"{text}…") > TILE:
        text = text[:-1]
    return f"{text}…"
