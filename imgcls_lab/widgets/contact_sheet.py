"""Some images with their captions as one JPEG of at most 60 kB, for a saved notebook: GitHub, nbconvert, any front end.

Called by the api. The file of an image that is gone or unreadable is a grey field.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from imgcls_lab.images import Pixels

MAX_BYTES = 60_000
MOST = 40  # images; a notebook's reader looks at no more
COLUMNS = 8
_FORMS = ((96, 85), (96, 70), (96, 55), (80, 55), (64, 50), (56, 40), (48, 30))  # edge of an image in px, JPEG quality
_GAP, _LINE = 8, 12  # px
_TITLE, _TITLE_LINE, _TITLE_WIDTH = 12, 17, 640  # px: font, line, width that a title may give the sheet
_INK, _GOOD, _BAD, _PAPER, _FIELD = "#202124", "#1e7b34", "#c5221f", "#ffffff", "#dadce0"


class Tile(NamedTuple):
    """An image and what is said of it. pixels: uint8 (height, width, 3); None: it cannot be shown.

    lines: captions below it, with whether each is good (True: green, False: red, None: neither).
    """

    pixels: Pixels | None
    lines: Sequence[tuple[str, bool | None]]


def contact_sheet(tiles: Sequence[Tile], title: str = "") -> bytes:
    """A JPEG of at most MAX_BYTES with the first MOST tiles below the title, as large and as fine as fits."""
    shown = tiles[:MOST]
    for edge, quality in _FORMS:
        content = io.BytesIO()
        _drawn(shown, edge, title).save(content, "JPEG", quality=quality, optimize=True)
        if content.tell() <= MAX_BYTES:
            break
    return content.getvalue()


def _drawn(tiles: Sequence[Tile], edge: int, title: str) -> Image.Image:
    columns = max(1, min(COLUMNS, len(tiles)))
    lines = max((len(tile.lines) for tile in tiles), default=0)
    width, height = edge + _GAP, edge + lines * _LINE + _GAP
    across, font, large = columns * width + _GAP, ImageFont.load_default(10), ImageFont.load_default(_TITLE)
    if title:
        across = max(across, min(_TITLE_WIDTH, round(large.getlength(title)) + 2 * _GAP))
    head = _wrapped(title, large, across - 2 * _GAP)
    above = len(head) * _TITLE_LINE
    sheet = Image.new("RGB", (across, above + max(1, -(-len(tiles) // columns)) * height + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for line, text in enumerate(head):
        draw.text((_GAP, _GAP // 2 + line * _TITLE_LINE), text, _INK, large)
    for number, tile in enumerate(tiles):
        left, top = _GAP + number % columns * width, above + _GAP + number // columns * height
        if tile.pixels is None:
            draw.rectangle((left, top, left + edge - 1, top + edge - 1), _FIELD)
        else:
            image = _fitted(tile.pixels, edge)
            sheet.paste(image, (left + (edge - image.width) // 2, top + (edge - image.height) // 2))
        for line, (text, good) in enumerate(tile.lines):
            ink = _INK if good is None else _GOOD if good else _BAD
            draw.text((left, top + edge + 1 + line * _LINE), _cut(text, font, edge), ink, font)
    return sheet


def _fitted(pixels: Pixels, edge: int) -> Image.Image:
    """The image with its longer edge at `edge`; a tiny one is enlarged pixel by pixel."""
    image = Image.fromarray(pixels)
    scale = edge / max(image.size)
    size = tuple(max(1, round(length * scale)) for length in image.size)
    return image.resize((size[0], size[1]), Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The lines of a text, of whole words, none wider than so many pixels unless one word is."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [_cut(line, font, width) for line in lines]


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The beginning of a text that is no wider than so many pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
