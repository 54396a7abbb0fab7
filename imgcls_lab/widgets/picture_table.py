"""Some images with their captions as an HTML table, for a saved notebook: GitHub, nbconvert, any front end.

Called by the api. All pictures together take at most 60 kB. The captions are text, so that the browser has the letters
of every language. An image that is gone or unreadable is a grey field.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from PIL import Image

from imgcls_lab.images import Pixels

MAX_BYTES = 60_000  # of all pictures
MOST = 40  # images; a notebook's reader looks at no more
COLUMNS = 8
_FORMS = ((96, 85), (96, 70), (96, 55), (80, 50), (64, 45), (56, 35), (48, 25))  # edge of an image in px, WebP quality
_TINY = 32  # px: up to this edge a picture keeps each of its pixels
_GOOD, _BAD, _FIELD = "#22804b", "#d64545", "#dadce0"  # legible on light and dark
_CELL = "padding:4px;text-align:center;vertical-align:top;background:transparent;border:none;color:inherit"
_CAPTION = "overflow:hidden;text-overflow:ellipsis;white-space:nowrap;font-size:11px;line-height:15px"
Line = tuple[str, bool | None]


class Tile(NamedTuple):
    """An image and what is said of it. pixels: uint8 (height, width, 3); None: it cannot be shown.

    name: for those who do not see it; lines: captions below it, with whether each is good (True: green, False: red,
    None: neither).
    """

    pixels: Pixels | None
    name: str
    lines: Sequence[Line]


def picture_table(tiles: Sequence[Tile], title: str) -> str:
    """HTML with the first MOST tiles below the title, as large and as fine as fits into MAX_BYTES."""
    shown = tiles[:MOST]
    for edge, quality in _FORMS:
        pictures = [None if tile.pixels is None else _webp(tile.pixels, edge, quality) for tile in shown]
        if sum(map(len, filter(None, pictures))) <= MAX_BYTES:
            break
    cells = [_cell(tile, picture, edge) for tile, picture in zip(shown, pictures, strict=True)]
    rows = ("".join(cells[start : start + COLUMNS]) for start in range(0, len(cells), COLUMNS))
    body = "".join(f'<tr style="background:transparent">{row}</tr>' for row in rows)
    return f'<p>{escape(title)}</p><table style="border:none;margin:0">{body}</table>'


def _webp(pixels: Pixels, edge: int, quality: int) -> bytes:
    """The picture with its longer edge at most `edge`; one of few pixels keeps them, and the browser enlarges it."""
    image, content = Image.fromarray(pixels), io.BytesIO()
    if max(image.size) <= _TINY:
        image.save(content, "WEBP", lossless=True)
    else:
        image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        image.save(content, "WEBP", quality=quality, method=4)
    return content.getvalue()


def _cell(tile: Tile, picture: bytes | None, edge: int) -> str:
    name = escape(tile.name, quote=True)
    if tile.pixels is None or picture is None:
        shown = f'<div title="{name}" style="width:{edge}px;height:{edge}px;background:{_FIELD}"></div>'
    else:
        height, width = tile.pixels.shape[:2]
        scale = edge / max(height, width)
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        crisp = ";image-rendering:pixelated" if max(height, width) <= _TINY else ""
        shown = (
            f'<img src="data:image/webp;base64,{base64.b64encode(picture).decode()}" alt="{name}" title="{name}" '
            f'width="{wide}" height="{high}" style="margin:{(edge - high) // 2}px auto{crisp}">'
        )
    style = f"{_CAPTION};max-width:{edge}px"
    captions = "".join(f'<div style="{style}{_ink(good)}">{escape(text)}</div>' for text, good in tile.lines)
    return f'<td style="{_CELL}">{shown}{captions}</td>'


def _ink(good: bool | None) -> str:
    return "" if good is None else f";color:{_GOOD if good else _BAD}"
