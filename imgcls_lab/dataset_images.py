"""Finds images of a data set by their content or by the path that a user names. Called for corrections and exports.

The image table of the last scan answers; without one, the files of a small data set are hashed. Torch-free; decodes
nothing and changes nothing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from imgcls_lab.errors import ConflictError, InputError
from imgcls_lab.image_files import printable
from imgcls_lab.image_table import SPLITS, ImageTable
from imgcls_lab.imagefolder import inspect_folder, list_images
from imgcls_lab.planning.fingerprint import UNREADABLE, file_digest
from imgcls_lab.settings import Settings

MOST_HASHED = 20_000  # files of a data set without an image table


class Place(NamedTuple):
    """A file of the data set. path: relative to the root; label: its class by its folder."""

    path: str
    split: str
    label: str


class DatasetImages:
    """The images of one data set, as its last scan found them."""

    def __init__(self, root: Path, table: ImageTable | None) -> None:
        self._root = root
        self._table = table
        self._read: dict[str, tuple[tuple[int, ...], str]] = {}  # by path: a file as it was read here, and its image
        self._named: dict[str, Place] = {}  # found by a path, perhaps younger than the table

    @classmethod
    def open(cls, settings: Settings, root: str | os.PathLike[str]) -> Self:
        return cls(Path(root), ImageTable.read(settings, root))

    def find(self, image: str) -> list[Place]:
        """All files with this content, by path. Raises ConflictError for a large data set that was never scanned."""
        if self._table is not None:
            rows = [self._table[row] for row in self._table.find(image)]
            found = [Place(row.path, row.split, row.label) for row in rows]
        else:
            found = self._hashed.get(image, [])
        named = self._named.get(image)
        return found if named is None or named in found else [*found, named]

    def image_of(self, text: str) -> str:
        """The id of the image at a path, inside the data set or absolute, as the file is now. Raises InputError."""
        try:
            path = self._relative(text)
        except (OSError, ValueError) as error:
            raise InputError(f"{text[:200]!r} names no file: {error}.", reason="no_image") from None
        image = self._digest_now(path)
        if not image:
            raise InputError(
                f"There is no readable image “{printable(path)}” in “{self._root}”. Name it by its path inside the "
                "data set, such as train/cat/1.jpg.",
                reason="no_image",
                path=path,
            )
        self._named[image] = Place(path, *_folders(path, flat=not (self._root / "train").is_dir()))
        return image

    def is_there(self, image: str, path: str) -> bool:
        """Whether a file with this content is still in the data set. path: where it was."""
        if _is_inside(path) and self._digest_now(path) == image:
            return True
        try:
            places = self.find(image)
        except ConflictError:  # too many files to look into all of them
            return False
        return any(self._digest_now(place.path) == image for place in places if place.path != path)

    def count_by_class(self, split: str) -> Counter[str]:
        """Readable images of each class of a split, by their folders."""
        if self._table is None:
            return Counter(place.label for places in self._hashed.values() for place in places if place.split == split)
        rows = self._table.rows
        chosen = rows["digest"].any(1) & (rows["split"] == SPLITS.index(split))
        counts = np.bincount(rows["label"][chosen], minlength=len(self._table.classes))
        return Counter(dict(zip(self._table.classes, counts.tolist(), strict=True)))

    def _digest_now(self, path: str) -> str:
        """The id of what lies at a path now, empty for none. A file that did not change since a scan, or since it was
        read here, is not read again: a list of corrections may name it any number of times."""
        try:
            status = os.stat(self._root / path)
        except (OSError, ValueError):
            return ""
        row = self._table.find_path(path) if self._table is not None else None
        if self._table is not None and row is not None:
            known = self._table.rows[row]
            if (status.st_size, status.st_mtime_ns) == (int(known["size"]), int(known["changed"])):
                return self._table.image(row) if known["digest"].any() else ""
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if self._read.get(path, (None, ""))[0] != stamp:
            digest = file_digest(self._root / path)
            self._read[path] = stamp, "" if digest == UNREADABLE else digest.hex()
        return self._read[path][1]

    @cached_property
    def _hashed(self) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = {}
        for place in self._listed():
            digest = file_digest(self._root / place.path)
            if digest != UNREADABLE:
                found.setdefault(digest.hex(), []).append(place)
        return found

    def _listed(self) -> Iterator[Place]:
        summary = inspect_folder(self._root)
        number = sum(map(summary.images, summary.splits))
        if number > MOST_HASHED:
            raise ConflictError(
                f"The {number:,} images of “{self._root}” were never scanned, so they cannot be found by their "
                "content. Scan them first: `imgcls-lab datasets rescan NAME`.",
                reason="not_scanned",
                root=str(self._root),
            )
        for split in summary.splits:
            paths, labels = list_images(summary, split)
            yield from (Place(path, split, summary.classes[label]) for path, label in zip(paths, labels, strict=True))

    def _relative(self, text: str) -> str:
        """A path relative to the root. Raises InputError for one that leads out of it."""
        given = Path(os.path.expanduser(text))
        candidates = [self._root / given] if not given.is_absolute() else [given]
        if not given.is_absolute() and not candidates[0].exists():
            candidates.append(Path.cwd() / given)
        for candidate in candidates:
            path = os.path.normpath(candidate)
            if path.startswith(os.path.join(os.path.normpath(self._root), "")):
                real = os.path.realpath(path)
                if real.startswith(os.path.join(os.path.realpath(self._root), "")):
                    return os.path.relpath(path, os.path.normpath(self._root))
        raise InputError(
            f"“{printable(text)}” lies outside the data set “{self._root}”. Name an image inside it.",
            reason="outside",
            path=text,
        )


def _is_inside(path: str) -> bool:
    """Whether a relative path stays in its folder: that of a correction may come from another user of the database."""
    return bool(path) and not os.path.isabs(path) and ".." not in path.split(os.sep) and "\0" not in path


def _folders(path: str, *, flat: bool) -> tuple[str, str]:
    """Split and class of a path, by its folders."""
    parts = path.split(os.sep)
    if flat and parts[0] not in SPLITS[1:]:
        return SPLITS[0], parts[0]
    return parts[0], parts[1] if len(parts) > 2 else ""
