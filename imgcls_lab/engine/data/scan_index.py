"""What earlier scans learned about the files of one data set, so that an unchanged file is not opened again.

Read and replaced by the scan. One file a data set: a sorted array of `ENTRY`, mapped into memory, 121 bytes an image.
A file is known by its path, size and time of change. Unreadable files are never kept here. The whole may be deleted
at any time.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgcls_lab.audits.quality import MEASURES
from imgcls_lab.engine.data.phash import TINY

VERSION = 2  # raise it where a column comes to mean something else

# key: of the path; size: bytes; changed: nanoseconds; digest: SHA-256 of the content; width, height: upright pixels;
# print: the perceptual hash; settled: whether that is the hash of the file in every run, or that of a larger decode
# for the cache of one
ENTRY = np.dtype(
    [
        ("key", "u8"),
        ("size", "i8"),
        ("changed", "i8"),
        ("digest", "u8", (4,)),
        ("print", "u8"),
        ("tiny", "u1", (TINY, TINY, 3)),
        ("width", "u4"),
        ("height", "u4"),
        ("settled", "?"),
    ]
)
# key, size, changed: as above; values: `audits.quality.MEASURES`
QUALITY = np.dtype([("key", "u8"), ("size", "i8"), ("changed", "i8"), ("values", "f2", (len(MEASURES),))])
QUALITY_VERSION = 1
Entries = npt.NDArray[np.void]


def keys_of(paths: npt.NDArray[np.bytes_]) -> npt.NDArray[np.uint64]:
    """64-bit keys of relative paths."""
    digests = (hashlib.blake2b(bytes(path), digest_size=8).digest() for path in paths)
    return np.frombuffer(b"".join(digests), np.uint64)


def index_path(folder: Path, root: Path) -> Path:
    """Where the index of a data set lies in a folder of indexes."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
    return folder / f"{name}-{VERSION}.npy"


def quality_path(folder: Path, root: Path) -> Path:
    """Where the qualities of a data set's images lie, which audits measure: an index of its own, of `QUALITY`."""
    return index_path(folder, root).with_suffix(f".quality-{QUALITY_VERSION}.npy")


def read(path: Path, dtype: np.dtype[np.void] = ENTRY) -> Entries:
    """The entries, sorted by key; none if there is no readable index of this type."""
    try:
        entries = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return np.empty(0, dtype)
    return entries if entries.dtype == dtype and entries.ndim == 1 else np.empty(0, dtype)


def find(known: Entries, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Position of each key in the index; -1 where it is not in there."""
    if not len(known):
        return np.full(len(keys), -1, np.int64)
    column = np.ascontiguousarray(known["key"])
    places = np.minimum(np.searchsorted(column, keys), len(known) - 1)
    return np.where(column[places] == keys, places, -1)


def write(path: Path, entries: Entries) -> None:
    """Replace the index, for this user alone. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(entries))
            order = np.argsort(entries["key"])
            for start in range(0, len(order), 4096):  # a sorted copy of the whole would double the memory
                file.write(entries[order[start : start + 4096]].tobytes())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
