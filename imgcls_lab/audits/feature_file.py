"""The features of images by one model, as they are kept in the cache folder: a `RowFile` of float16.

Written by the engine, which computes them; read by the audit and, without torch, by the page of one image. A row is
found by the digest of the image's file, so a data set that changed needs the features of its new images alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgcls_lab import run_paths
from imgcls_lab.audits.neighbours import Floats, Numbers, nearest_to
from imgcls_lab.row_file import RECORD

BLOCK = 8192  # rows that are read at once
MAX_ROWS, MAX_WIDTH = 10_000_000, 2**20
VERSION = 1  # raise it where the same model gives other features of the same file
Digests = npt.NDArray[np.uint8]  # (n, 32), SHA-256
Halves = npt.NDArray[np.float16]


@dataclass(frozen=True)
class FeatureKey:
    """Which features. digest: of the model without its head; preprocessing: how files become its input, as a text;
    width: features of an image."""

    digest: str
    preprocessing: str
    width: int

    @property
    def name(self) -> str:
        """Of the file in the cache folder, and in an audit's summary."""
        text = f"{VERSION}\0{self.digest}\0{self.preprocessing}\0{self.width}"
        return f"features-{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    @property
    def row_bytes(self) -> int:
        return 2 * self.width


class FeatureFile:
    """Kept features to read. Raises OSError or ValueError where there are none of this name, as after `cache clear`."""

    def __init__(self, folder: Path, name: str) -> None:
        folder = folder.resolve()  # it may be a link of the user's own
        width = run_paths.read_json(folder, f"{name}.json")["width"]
        if not isinstance(width, int) or not 0 < width <= MAX_WIDTH:
            raise ValueError(f"features of the width {width!r}")
        with (
            run_paths.open_plain(folder, f"{name}.index") as index,
            run_paths.open_plain(folder, f"{name}.rows") as rows,
        ):
            count = min(MAX_ROWS, os.fstat(rows.fileno()).st_size // (2 * width))  # whatever the index claims
            records = np.frombuffer(index.read(count * RECORD.itemsize), RECORD)
            self._rows = np.memmap(rows, np.float16, "r", shape=(len(records), width))
        self._order = np.argsort(records["digest"][:, 0])
        self._digests = records["digest"][self._order]

    def places(self, digests: Digests) -> npt.NDArray[np.int64]:
        """The row of each image; -1 where its features are not kept."""
        words = np.ascontiguousarray(digests).view(np.uint64).reshape(-1, 4)
        if not len(self._digests):
            return np.full(len(words), -1, np.int64)
        places = np.minimum(np.searchsorted(self._digests[:, 0], words[:, 0]), len(self._digests) - 1)
        return np.where((self._digests[places] == words).all(1), self._order[places], -1)

    def rows(self, places: npt.NDArray[np.int64]) -> Halves:
        """(n, width), of rows that are there."""
        return self._rows[places]


def nearest_images(file: FeatureFile, digests: Digests, image: Digests, k: int) -> tuple[Numbers, Floats]:
    """Positions in `digests` (n, 32) of the k images most like one (1, 32), the most alike first, and the cosines.

    The image itself and those without kept features are left out; empty where the image has none.
    """
    places, own = file.places(digests), int(file.places(image)[0])
    others = np.flatnonzero((places >= 0) & (places != own))
    if own < 0 or not len(others):
        return np.zeros(0, np.int32), np.zeros(0, np.float32)

    def blocks() -> Iterator[Halves]:  # all of them would take the memory that a server may grow by
        for start in range(0, len(others), BLOCK):
            yield file.rows(places[others[start : start + BLOCK]])

    index, similarity = nearest_to(blocks, file.rows(np.array([own]))[0], k)
    return others[index].astype(np.int32), similarity
