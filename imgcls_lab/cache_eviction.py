"""The cache folder as a whole: what it holds, how large it may be, and what is evicted when it is full.

Called by the scan, by the computation of features and by `imgcls-lab cache`. It holds `RowFile`s: decoded images of a
data set, or features of images by a model. Knows no torch.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from imgcls_lab import private_folder, run_paths
from imgcls_lab.errors import DiskFullError
from imgcls_lab.filesystems import network_filesystem
from imgcls_lab.row_file import RECORD, SUFFIXES, locked, remove

MIN_FREE = 0.1  # of the disk stays free
_NAME = re.compile(r"[0-9a-f]{32}|features-[0-9a-f]+")  # of the files of pixels and of features


class Key(Protocol):
    """What a file holds. name: of the file; row_bytes: of an image in it."""

    @property
    def name(self) -> str: ...
    @property
    def row_bytes(self) -> int: ...


@dataclass(frozen=True)
class Entry:
    """A file of the cache, as it is listed. source: the data set of pixels, the model of features; shape: of an image
    in it, height and width or the number of features; size: bytes; used: seconds since 1970."""

    kind: Literal["pixels", "features"]
    name: str
    source: str
    shape: list[int]
    images: int
    size: int
    used: float


def entries(folder: Path) -> list[Entry]:
    """What a cache folder holds, the longest unused first."""
    found = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # cleared meanwhile, or not ours
            description: dict[str, Any] = run_paths.read_json(folder, path.name)
            index, rows = path.with_suffix(".index").stat(), path.with_suffix(".rows").stat()
            images = index.st_size // RECORD.itemsize
            size, used = rows.st_size + index.st_size, path.stat().st_mtime
            if "model" in description:
                shape = [int(description["width"])]
                found.append(Entry("features", path.stem, description["model"], shape, images, size, used))
            else:
                shape = description["shape"] if "shape" in description else [description["edge"]] * 2  # once squares
                found.append(Entry("pixels", path.stem, description["root"], shape, images, size, used))
    return sorted(found, key=lambda entry: entry.used)


def clear(folder: Path, progress: Callable[[int, int], None] = lambda _done, _total: None) -> int:
    """Remove all; returns the bytes that become free: at once, or when the last run that reads them has ended.

    progress: gets the bytes that are free, and all.

    Also what is not listed, as a file of pixels whose description was lost; but nothing with another name: the setting
    may name a folder that holds other files. Raises UnsafeFolderError for a folder that is not this user's alone.
    """
    if not folder.exists():
        return 0
    private_folder.require_cache(folder)
    there = [path for path in folder.glob("*") if path.suffix in SUFFIXES and _NAME.fullmatch(path.stem)]
    sizes: dict[str, int] = {}
    for path in there:
        sizes[path.stem] = sizes.get(path.stem, 0) + (path.lstat().st_size if path.suffix != ".json" else 0)
    freed = 0
    for name, size in sizes.items():
        progress(freed, sum(sizes.values()))
        with locked(folder / name):
            remove(folder / name)
        freed += size
    return freed


def evict_for(folder: Path, wanted: Sequence[tuple[Key, int]], limit: int, *, min_free: float = MIN_FREE) -> None:
    """Evict files, the longest unused first, until so many images can be added to each of the wanted ones.

    limit: bytes of the whole folder; min_free: part of the disk that stays free. Raises DiskFullError if there
    is too little space, OSError if there can be no folder, UnsafeFolderError if others can write to it.
    """
    private_folder.make(folder)
    private_folder.require_cache(folder)
    kind = network_filesystem(folder)
    if kind:
        raise DiskFullError(f"The image cache “{folder}” lies on a network file system ({kind}). Set IMGCLS_CACHE_DIR.")
    there, own = entries(folder), {key.name for key, _ in wanted}
    needed = sum(count * (key.row_bytes + RECORD.itemsize) for key, count in wanted)
    needed -= sum(entry.size for entry in there if entry.name in own)
    total = sum(entry.size for entry in there)
    others = [entry for entry in there if entry.name not in own]
    while total + needed > limit or (disk := shutil.disk_usage(folder)).free - needed < min_free * disk.total:
        if others:
            entry = others.pop(0)
            with locked(folder / entry.name):
                remove(folder / entry.name)
            total -= entry.size
            continue
        disk = shutil.disk_usage(folder)
        raise DiskFullError(
            f"The image cache needs {max(needed, 0) / 1e9:.1f} GB more; it may take {limit / 1e9:.0f} GB "
            f"(IMGCLS_CACHE_GB) and {disk.free / 1e9:.1f} GB of the disk are free. Raise the limit, or set cache to "
            "auto or off."
        )
