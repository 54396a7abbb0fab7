"""Decoded images, kept so that each file is decoded once: in memory, or on disk for all runs that prepare it alike.

Filled by the scan, read by `ImageSet`, listed and cleared by `imgcls-lab cache`. On disk there is one file of pixels
for each data set and preprocessing. An image is found by the hash of its content, so a file that changed is
decoded anew, and what training sees never depends on the cache. Several runs may fill one file at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from imgcls_lab.row_file import Digest, RowFile

VERSION = 1  # raise it where other pixels come of the same file
Pixels = npt.NDArray[np.uint8]


class Cache(Protocol):
    """Space for the images of one set. rows: place of each image in `pixels`, -1 while it is missing."""

    rows: npt.NDArray[np.int64]

    def row(self, digest: Digest) -> int:
        """Where the pixels of an image lie, -1 if they were not there when the cache was opened."""

    def put(self, number: int, digest: Digest, pixels: Pixels) -> None:
        """Keep the pixels of an image."""

    def flush(self) -> None:
        """Write what was put to the disk, where there is one."""

    def pixels(self) -> Pixels:
        """(rows, height, width, 3), all that was put."""


class RamCache:
    """Memory of this process."""

    def __init__(self, count: int, shape: tuple[int, int]) -> None:
        self.rows = np.arange(count)
        self._pixels = np.empty((count, *shape, 3), np.uint8)

    def row(self, _digest: Digest, /) -> int:
        return -1

    def put(self, number: int, _digest: Digest, pixels: Pixels, /) -> None:
        self._pixels[number] = pixels

    def flush(self) -> None:
        pass

    def pixels(self) -> Pixels:
        return self._pixels


class DiskCache:
    """A `RowFile` of pixels. Removed while it is mapped, it stays until unmapped."""

    def __init__(self, folder: Path, key: CacheKey, count: int) -> None:
        """Raises OSError if it cannot be opened there."""
        self.rows = np.full(count, -1)
        self._key = key
        self._pending: list[tuple[int, Digest, Pixels]] = []
        self._file = RowFile(folder, key.name, key.row_bytes, asdict(key))

    def row(self, digest: Digest) -> int:
        return self._file.row(digest)

    def put(self, number: int, digest: Digest, pixels: Pixels) -> None:
        self._pending.append((number, digest.copy(), pixels))

    def flush(self) -> None:
        """Raises OSError, as on a full disk."""
        pending, self._pending = sorted(self._pending, key=lambda entry: entry[0]), []
        if pending:
            numbers, digests, pixels = zip(*pending, strict=True)
            self.rows[list(numbers)] = self._file.add(digests, [image.tobytes() for image in pixels])

    def pixels(self) -> Pixels:
        rows = self._file.rows()
        return rows.reshape(len(rows), *self._key.shape, 3)


@dataclass(frozen=True)
class CacheKey:
    """What a file of pixels holds. root: of the data set; shape: height and width of an image; preprocessing: how the
    images become pixels, as a text."""

    root: str
    shape: tuple[int, int]
    preprocessing: str

    @property
    def name(self) -> str:
        return hashlib.sha256(f"{VERSION}\0{self.root}\0{self.shape}\0{self.preprocessing}".encode()).hexdigest()[:32]

    @property
    def row_bytes(self) -> int:
        return 3 * self.shape[0] * self.shape[1]
