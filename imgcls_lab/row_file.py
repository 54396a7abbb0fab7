"""A file of rows of one length, each found by the digest of the image that it was made from.

Caches of decoded images and of features are such files. It only ever grows, is mapped into memory, and several
processes may fill it at once. It decides nothing about what a row means. Knows no torch.

NAME.json    what the rows are, and the boot of the machine that last opened them to write
NAME.index   `RECORD` a row: the image it was made from, and its checksum
NAME.rows    the rows
NAME.lock    held while one of these is written
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from imgcls_lab import private_folder, run_layout, run_paths
from imgcls_lab.identity import boot_id

SUFFIXES = (".json", ".index", ".rows")
RECORD = np.dtype([("digest", "u8", (4,)), ("crc", "u4")])
Digest = npt.NDArray[np.uint64]  # SHA-256 as four words


class RowFile:
    """Rows to read and to add.

    Rows are written before their records, under a lock. After a crash of the machine the order on disk is not sure, so
    the first to open a file after a boot compares all checksums. Removed while it is mapped, it stays until unmapped.
    """

    def __init__(self, folder: Path, name: str, row_bytes: int, description: Mapping[str, Any]) -> None:
        """description: kept as JSON beside the rows. Raises OSError if it cannot be opened there."""
        self.row_bytes = row_bytes
        self._base = folder / name
        private_folder.make(folder)
        with locked(self._base):
            if not self._is_intact():
                remove(self._base)
            self._store = _open(self._base.with_suffix(".rows"))
            self._index = _open(self._base.with_suffix(".index"))
            text = json.dumps({**description, "boot": _boot()})
            run_layout.write_atomic(self._base.with_suffix(".json"), text)
            records = self._read(0)
        self._known = len(records)
        self._order = np.argsort(records["digest"][:, 0])
        self._digests = records["digest"][self._order]

    def row(self, digest: Digest) -> int:
        """Where the row of an image lies, -1 if it was not there when the file was opened."""
        place = int(np.searchsorted(self._digests[:, 0], digest[0]))
        if place == len(self._digests) or not np.array_equal(self._digests[place], digest):
            return -1
        return int(self._order[place])

    def add(self, digests: Sequence[Digest], rows: Sequence[bytes]) -> npt.NDArray[np.int64]:
        """Write rows, and return their places: those of another process where it has added the same meanwhile.

        Raises OSError, as on a full disk.
        """
        places = np.empty(len(rows), np.int64)
        with locked(self._base):
            others = self._read(self._known)
            there = {record["digest"].tobytes(): self._known + place for place, record in enumerate(others)}
            end = self._known + len(others)
            added = np.zeros(len(rows), RECORD)
            fresh = 0
            for number, (digest, data) in enumerate(zip(digests, rows, strict=True)):
                places[number] = row = there.setdefault(digest.tobytes(), end + fresh)
                if row == end + fresh:
                    _write(self._store, data, row * self.row_bytes)
                    added[fresh] = (digest, zlib.crc32(data))
                    fresh += 1
            _write(self._index, added[:fresh].tobytes(), end * RECORD.itemsize)
            self._known = end + fresh
        return places

    def rows(self) -> npt.NDArray[np.uint8]:
        """All rows that are known here: uint8 (rows, row_bytes), mapped; what is written into it stays in memory."""
        if not self._known:
            return np.empty((0, self.row_bytes), np.uint8)
        return np.memmap(self._store, np.uint8, "c", shape=(self._known, self.row_bytes))

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
        if not isinstance(facts, dict) or size < len(records) * self.row_bytes:
            return False
        if facts.get("boot") == _boot():
            return True
        with self._base.with_suffix(".rows").open("rb") as rows:
            return all(zlib.crc32(rows.read(self.row_bytes)) == record["crc"] for record in records)


def remove(base: Path) -> None:
    """Delete the files of this name. A process that has them open keeps them until it closes them."""
    for suffix in SUFFIXES:
        base.with_suffix(suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def locked(base: Path) -> Iterator[None]:
    """Alone among all processes and threads with the files of this name."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    with os.fdopen(os.open(base.with_suffix(".lock"), flags, 0o600), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _boot() -> str:
    return boot_id().partition(":")[0]


def _open(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b", buffering=0)


def _write(file: IO[bytes], data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file.fileno(), view, offset)
        view, offset = view[written:], offset + written
