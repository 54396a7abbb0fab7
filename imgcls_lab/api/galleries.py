"""How a notebook shows images, tables and sentences: live where it can, and as a picture that stays when it is saved.

The base of the answers in `evaluations.py`, `datasets.py` and `revision_answers.py`. HTML and SVG are shown by every
front end, by GitHub and by nbconvert; a terminal gets the table.
"""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from imgcls_lab import data_files
from imgcls_lab.api.progress import front_end_shows, in_notebook
from imgcls_lab.api.tables import readable, table_html
from imgcls_lab.data_files import FoundImage
from imgcls_lab.errors import ImgclsError
from imgcls_lab.images import decode
from imgcls_lab.widgets import widget_output
from imgcls_lab.widgets.picture_table import MOST, Line, Tile, picture_table

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.images import Pixels

SHOWN_ROWS = 20  # of a table in a notebook
MOST_LIVE = 500  # images of a live gallery; the saved notebook holds their captions
IMAGES_TYPE = "application/vnd.imgcls.images+json"
_EDGE = 128  # px that a picture of the table needs at most
FindFile = Callable[[str], FoundImage]  # of an image by its id; raises ImgclsError


def percent(fraction: float) -> str:
    """0.97 -> "97 %", as the panel writes it."""
    return f"{100 * fraction:.0f} %"


class Shown(ABC):
    """An answer with a DataFrame behind it, `frame`; a notebook shows `title` and a picture or a table."""

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
        return f"{self.title}\n{readable(self.table()).to_string()}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        shown = self.picture()
        if not shown:
            shown = {"text/html": f"<p>{html.escape(self.title)}</p>{table_html(self.table())}"}
        return {"text/plain": repr(self), **shown}


class Origin(NamedTuple):
    """Where images come from. find: the file of one by its id; of: the run or data set by which the server knows it.

    of: {"kind": "run" | "dataset", "id": ...}, None where no server knows them.
    """

    find: FindFile
    of: dict[str, Any] | None = None


class ShownImage(NamedTuple):
    """An image of a gallery. image: its id; lines: captions, with whether each is good."""

    image: str
    name: str
    lines: list[Line]


class Gallery(Shown):
    """An answer that is images: a gallery in a live notebook, a picture of the first of them in a saved one."""

    origin: Origin

    @abstractmethod
    def gallery(self) -> Iterable[ShownImage]:
        """The images in their order."""

    def picture(self) -> dict[str, str]:
        find = self.origin.find
        tiles = [Tile(_pixels(item.image, find), item.name, item.lines) for item in islice(self.gallery(), MOST)]
        return {"text/html": picture_table(tiles, self.title)} if tiles else {}

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_()
        items = [item._asdict() for item in self.gallery()]
        if items and in_notebook():
            data = {"title": self.title, "items": items[:MOST_LIVE], "total": len(items), "version": 1}
            if front_end_shows():
                bundle |= _widget(data, self.origin)
            if self.origin.of is not None:
                bundle[IMAGES_TYPE] = {**data, "of": self.origin.of}
        return bundle


def _widget(data: dict[str, Any], origin: Origin) -> dict[str, Any]:
    """The gallery for front ends without the Lab extension, or without a server; nothing where it was not built."""
    if not widget_output.available():
        return {}
    from imgcls_lab.widgets.gallery import GalleryWidget

    return widget_output.view_of(GalleryWidget(data, origin.find), served=origin.of is not None)


def _pixels(image: str, find: FindFile) -> Pixels | None:
    try:
        found = find(image)
        return decode(data_files.read_image(found.root, found.path), size_hint=_EDGE, name=found.path)
    except ImgclsError:
        return None  # deleted, replaced or unreadable: the table says which image it was
