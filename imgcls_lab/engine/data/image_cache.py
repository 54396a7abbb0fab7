"""Decoded images, kept so that each file is decoded once: in memory, or on disk for all runs that prepare it alike.

Filled by the scan, read by `ImageSet`, listed and cleared by `imgcls-lab cache`. On disk there is one file of pixels
for each data set and preprocessing. An image is found by the hash of its content, so a file that changed is
decoded anew, and what training sees never depends on the cache. Several runs may fill one file at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import numpy.typing as npt

from imgcls_lab import private_folder, run_layout, run_paths
from imgcls_lab.identity import boot_id

VERSION = 1  # raise it where other pixels come of the same file
Pixels = npt.NDArray[np.uint8]
Digest = npt.NDArray[np.uint64]  # SHA-256 as four words

# A row of the pixel file: the image it came from, and its checksum.
SUFFIXES = (".json", ".index", ".rows")  # of a file of pixels: description, index, pixels
RECORD = np.dtype([("digest", "u8", (4,)), ("crc", "u4")])


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
    """A file of pixels that only ever grows, mapped into memory, and beside it the index of its rows.

    Rows are written before their records, under a lock. After a crash of the machine the order on disk is not sure, so
    the first to open a file after a boot compares all checksums. Removed while it is mapped, it stays until unmapped.
    """

    def __init__(self, folder: Path, key: CacheKey, count: int) -> None:
        """Raises OSError if it cannot be opened there."""
        self.rows = np.full(count, -1)
        self._key = key
        self._base = folder / key.name
        self._pending: list[tuple[int, Digest, Pixels]] = []
        private_folder.make(folder)
        with locked(self._base):
            if not self._is_intact():
                remove(self._base)
            self._store = _open(self._base.with_suffix(".rows"))
            self._index = _open(self._base.with_suffix(".index"))
            run_layout.write_atomic(self._base.with_suffix(".json"), json.dumps(asdict(key) | {"boot": _boot()}))
            records = self._read(0)
        self._known = len(records)
        self._order = np.argsort(records["digest"][:, 0])
        self._digests = records["digest"][self._order]

    def row(self, digest: Digest) -> int:
        place = int(np.searchsorted(self._digests[:, 0], digest[0]))
        if place == len(self._digests) or not np.array_equal(self._digests[place], digest):
            return -1
        return int(self._order[place])

    def put(self, number: int, digest: Digest, pixels: Pixels) -> None:
        self._pending.append((number, digest.copy(), pixels))

    def flush(self) -> None:
        """Raises OSError, as on a full disk."""
        pending, self._pending = sorted(self._pending, key=lambda entry: entry[0]), []
        if not pending:
            return
        with locked(self._base):
            others = self._read(self._known)  # what another run added meanwhile
            there = {record["digest"].tobytes(): self._known + place for place, record in enumerate(others)}
            end = self._known + len(others)
            added = np.zeros(len(pending), RECORD)
            fresh = 0
            for number, digest, pixels in pending:
                row = there.setdefault(digest.tobytes(), end + fresh)
                self.rows[number] = row
                if row == end + fresh:
                    data = pixels.tobytes()
                    _write(self._store, data, row * self._key.row_bytes)
                    added[fresh] = (digest, zlib.crc32(data))
                    fresh += 1
            _write(self._index, added[:fresh].tobytes(), end * RECORD.itemsize)
            self._known = end + fresh

    def pixels(self) -> Pixels:
        shape = (self._known, *self._key.shape, 3)
        if not self._known:
            return np.empty(shape, np.uint8)
        return np.memmap(self._store, np.uint8, "c", shape=shape)

    def _read(self, start: int) -> npt.NDArray[np.void]:
        """Records from a place on."""
        count = os.fstat(self._index.fileno()).st_size // RECORD.itemsize - start
        data = os.pread(self._index.fileno(), count * RECORD.itemsize, start * RECORD.itemsize)
        return np.frombuffer(data, RECORD)

    def _is_intact(self) -> bool:
        """Whether what is there can be trusted."""
        try:
            if not all(stat.S_ISREG(self._base.with_suffix(suffix).lstat().st_mode) for suffix in SUFFIXES):
                return False  # a link would be written through
            facts = run_paths.read_json(self._base.parent, f"{self._base.name}.json")
            records = np.fromfile(self._base.with_suffix(".index"), RECORD)
            size = self._base.with_suffix(".rows").stat().st_size
        except (OSError, ValueError):
            return False
        if not isinstance(facts, dict) or size < len(records) * self._key.row_bytes:
            return False
        if facts.get("boot") == _boot():
            return True
        with self._base.with_suffix(".rows").open("rb") as rows:
            return all(zlib.crc32(rows.read(self._key.row_bytes)) == record["crc"] for record in records)


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


def remove(base: Path) -> None:
    """Delete the files of this name. A process that has them open keeps them until it closes them."""
    for suffix in SUFFIXES:
        base.with_suffix(suffix).unlink(missing_ok=True)


def _boot() -> str:
    return boot_id().partition(":")[0]


def _open(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b", buffering=0)


def _write(file: IO[bytes], data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file.fileno(), view, offset)
        view, offset = view[written:], offset + written


@contextlib.contextmanager
def locked(base: Path) -> Iterator[None]:
    """Alone among all processes and threads with the files of this name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(base.with_suffix(".lock"), flags, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
