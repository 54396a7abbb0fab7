"""Finds the file of an image by its id: of a data set, by its table; of a run, by what the run kept.

Called by the server and the api before they show an image. What is found lies inside the data set and has the content
that the id names; everything else is an error with a sentence, which holds no path but the one inside the data set.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from imgcls_lab import data_files
from imgcls_lab.analysis.cache import stored_images
from imgcls_lab.data_files import FoundImage
from imgcls_lab.errors import ConflictError, DataError, ImgclsError, NotFoundError
from imgcls_lab.image_files import printable
from imgcls_lab.image_table import ImageRow, ImageTable
from imgcls_lab.memory_cache import CACHE
from imgcls_lab.predictions import StoredImages
from imgcls_lab.settings import Settings

SPLITS = ("val", "test", "train")
MOST_TRIED = 64  # files of one content that are looked at: a run's folder from elsewhere may name any number


def in_dataset(settings: Settings, root: str, image: str) -> FoundImage:
    """The file of an image of a data set. Raises NotFoundError, and ConflictError where the file has changed since."""
    table = ImageTable.read(settings, root)
    if table is None:
        raise NotFoundError(
            "The images of this data set were not looked at yet, so that none is known by its content. Scan it first.",
            reason="not_scanned",
        )
    rows = table.find(image)
    if not rows:
        raise _unknown("this data set")
    return _first_unchanged(root, image, (table.path(row) for row in rows), table)


def in_run(settings: Settings, folder: Path, root: str, image: str) -> FoundImage:
    """The file of an image that a run evaluated or trained on.

    folder: the run's; root: of its config. An image that was moved inside the data set is found by the table. Raises
    as `in_dataset` does.
    """
    table = ImageTable.read(settings, root)
    listed = [listing.name(int(n)) for listing in _listings(folder) for n in listing.find(image)[:MOST_TRIED]]
    if not listed:
        raise _unknown("this run")
    known = [] if table is None else [table.path(row) for row in table.find(image)[:MOST_TRIED]]
    return _first_unchanged(root, image, dict.fromkeys([*known, *listed]), table)


def _unknown(place: str) -> NotFoundError:
    return NotFoundError(f"There is no such image in {place}.", reason="no_image")


def _listings(folder: Path) -> Iterator[StoredImages]:
    """The images of a run, split by split, as far as it kept them and they can be read."""
    for split in SPLITS:
        with contextlib.suppress(NotFoundError, DataError):  # a page that shows a damaged list says so
            yield stored_images(folder, split)


def _first_unchanged(root: str, image: str, paths: Iterable[str], table: ImageTable | None) -> FoundImage:
    """The first of these files that still has the content. Raises what was wrong with the first of them."""
    problem: ImgclsError | None = None
    for path in islice(paths, MOST_TRIED):
        try:
            _check(root, path, image, table)
        except ImgclsError as error:
            problem = problem or error
        else:
            return FoundImage(root, path, image)
    if not os.path.isdir(root):
        raise NotFoundError(
            "The folder of these images is not there any more. Put it back, or give the data set its new folder.",
            reason="no_folder",
        )
    raise problem or _unknown("this data set")


def _check(root: str, path: str, image: str, table: ImageTable | None) -> None:
    """Whether a file has this content: by its size and time where the table knows it, else by reading it."""
    known = _known(path, table)
    if known is not None and known.image == image and _is_unchanged(os.path.join(root, path), known):
        return  # as nearly always, and one look at the disk: who reads the file checks where it lies
    try:
        with data_files.open_image(root, path) as file:
            status = os.fstat(file.fileno())
        if known is not None and known.image == image and _is_as(status, known):  # behind a link
            return
        key = ("digest", status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest = CACHE.get(key, lambda: data_files.digest_of(root, path), lambda _: 200)
    except DataError as error:
        if error.reason == "gone":
            raise NotFoundError(str(error), reason="gone") from None
        raise
    if digest != image:
        raise ConflictError(f"“{printable(path)}” has changed: it is another image now.", reason="changed")


def _known(path: str, table: ImageTable | None) -> ImageRow | None:
    row = None if table is None else table.find_path(path)
    return None if row is None or table is None else table[row]


def _is_unchanged(path: str, known: ImageRow) -> bool:
    try:
        status = os.stat(path, follow_symlinks=False)
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and _is_as(status, known)


def _is_as(status: os.stat_result, known: ImageRow) -> bool:
    return (known.size, known.changed) == (status.st_size, status.st_mtime_ns)
