"""Images of a data set: as grids and pages show them, and the folders that one may choose from.

An image is named by the SHA-256 of its file's content (`image`, 64 hexadecimal digits). `name` is for people: the path
inside the data set. No absolute path leaves the server in these, and no request takes one.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.registry import DatasetView

ThumbnailSize = Literal[64, 128, 256, 512, 1024, 2048]  # pixels of the longer edge, at most
SplitName = Literal["train", "val", "test"]


class ImageView(Wire):
    """One file of a data set. Of an unreadable file `image` and the sizes are empty, and `problem` says why."""

    image: str
    name: str  # path inside the data set
    split: str
    label: str  # class, after the revision that was asked for
    folder_label: str  # class by its folder
    excluded: bool = False
    width: int = 0  # pixels, upright
    height: int = 0
    size: int = 0  # bytes
    problem: str | None = None  # a sentence


class ImagePage(Wire):
    items: list[ImageView]
    offset: int
    total: int  # of the filter


class ClassCounts(Wire):
    """Images of a class by split, and some of them."""

    name: str
    images: dict[str, int]


class SizeBin(Wire):
    """How many images have their longer edge in [low, high) pixels."""

    low: int
    high: int
    images: int


class DatasetDetail(Wire):
    """A data set with all that its page shows at first. Counts are those of `revision`, 0: the folders as they are."""

    dataset: DatasetView
    revision: int
    newest_revision: int
    classes: list[ClassCounts]
    bytes: int | None  # None: not scanned yet, as for all below
    formats: dict[str, int] | None  # JPEG, PNG ... -> images
    sizes: list[SizeBin] | None
    runs: int  # that used it
    fingerprint: str | None  # of the newest scan
    stale: bool  # files changed since that scan


class RegisteredAs(Wire):
    """The data set that a folder is registered as."""

    id: int
    name: str


class FolderEntry(Wire):
    """A folder that may be chosen."""

    name: str
    id: str  # opaque: what `GET folders?id=` takes
    images: int | None = None  # that lie in it, counted up to a bound; None: not counted
    folders: int | None = None
    usable: bool = False  # it looks like a data set
    registered: RegisteredAs | None = None


class FolderPage(Wire):
    """A folder of the allowed roots, and what is in it. `id` empty: the roots themselves."""

    id: str
    title: str
    trail: list[FolderEntry]  # from the root to this folder
    folders: list[FolderEntry]
    more: int = 0  # folders that are not listed
    root: str  # what `DatasetEdit.root` takes to register this folder; empty for the roots
    registered: RegisteredAs | None = None
    problem: str | None = None  # why it cannot be registered, a sentence
    notes: list[str] = Field(default_factory=list)
