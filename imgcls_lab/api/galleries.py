"""How a notebook shows images, a confusion matrix and reliability: a picture that stays when the notebook is saved.

The base of the answers in `evaluations.py` and `datasets.py`. JPEG and SVG are shown by every front end, by GitHub and
by nbconvert; a terminal gets the table.
"""

from __future__ import annotations

import base64
import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from imgcls_lab import data_files
from imgcls_lab.data_files import FoundImage
from imgcls_lab.errors import ImgclsError
from imgcls_lab.images import decode
from imgcls_lab.widgets.contact_sheet import MOST, Tile, contact_sheet

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.images import Pixels

SHOWN_ROWS = 20  # of a table in a notebook
_EDGE = 128  # px that a picture on the sheet needs at most
Line = tuple[str, bool | None]
FindFile = Callable[[str], FoundImage]  # of an image by its id; raises ImgclsError


class Shown(ABC):
    """An answer about images. `frame` is its DataFrame; a notebook shows `title` and a picture or a table."""

    title: str

    @property
    @abstractmethod
    def frame(self) -> pd.DataFrame: ...

    def table(self) -> pd.DataFrame:
        """What a notebook shows where there is no picture."""
        return self.frame.head(SHOWN_ROWS)

    def picture(self) -> dict[str, str]:
        """A picture by MIME type; none by default."""
        return {}

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        return f"{self.title}\n{self.table().to_string()}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        shown = self.picture()
        if not shown:
            shown = {"text/html": f"<p>{html.escape(self.title)}</p>{self.table().to_html(border=0, na_rep='–')}"}
        return {"text/plain": repr(self), **shown}


def sheet_of(title: str, images: Iterable[tuple[str, list[Line]]], find: FindFile) -> dict[str, str]:
    """The first images as one JPEG below a title. images: id and captions of each.

    An image that cannot be shown is a grey field.
    """
    tiles = [Tile(_pixels(image, find), lines) for (image, lines), _ in zip(images, range(MOST), strict=False)]
    if not tiles:
        return {}
    return {"image/jpeg": base64.b64encode(contact_sheet(tiles, title)).decode()}


def _pixels(image: str, find: FindFile) -> Pixels | None:
    try:
        found = find(image)
        return decode(data_files.read_image(found.root, found.path), size_hint=_EDGE, name=found.path)
    except ImgclsError:
        return None  # deleted, replaced or unreadable: the table says which image it was
