"""The look at every file before training: unreadable ones are put aside with the reason, copies are found, the rest
gets cached.

Called once a run. What is learned of a file is kept in an index, so that the next scan opens only files that changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.engine import hardware
from imgcls_lab.engine import index as indexes
from imgcls_lab.engine.data import ImageSet, Indices, class_counts, keep_rows
from imgcls_lab.engine.duplicates import Duplicates, find_duplicates
from imgcls_lab.engine.index import ENTRY, Entries
from imgcls_lab.engine.prints import print_of
from imgcls_lab.errors import DataError, OutOfMemoryError
from imgcls_lab.images import decode_sized, read_bytes

PRINT_EDGE = 64  # px; a file that is only looked at is decoded no larger than this where its format allows
USED = 2  # sets that a run reads again after the scan: train and val
CHUNK = 128  # files between two looks at the stop
Progress = Callable[[int, int], None]
OnDuplicates = Literal["report", "drop_exact", "drop_near"]


@dataclass(frozen=True)
class ScanResult:
    """fingerprint: SHA-256 over the relative paths and contents of the files of train and val; quarantined: path ->
    reason; dropped: training images left out as they are in val/ or test/; widths, heights: pixels of all readable
    images; note: a sentence where the index could not be kept.
    """

    fingerprint: str
    quarantined: dict[str, str]
    cached: bool
    duplicates: Duplicates
    dropped: int
    widths: npt.NDArray[np.uint32]
    heights: npt.NDArray[np.uint32]
    note: str | None


def scan(
    sets: list[ImageSet],
    classes: list[str],
    *,
    cache: str,
    index: Path,
    progress: Progress,
    stop: Callable[[], bool],
    on_duplicates: OnDuplicates = "report",
    copies: int = 1,
) -> ScanResult | None:
    """Check all files of the sets, drop what cannot be used and fill the caches. None if stopped.

    sets: train, val and test, which is only looked at and may come to nothing; or any one split alone. cache: auto,
    ram or off; copies: how many of the cache must fit, one for each process that is about to make its own. Raises
    DataError if nothing is left of a class, OutOfMemoryError if the cache was asked for and cannot fit.
    """
    cached = _fits(sets[:USED], cache, copies)
    for images in sets[:USED]:
        images.pixels = _room(images) if cached else None
    entries = np.zeros(sum(map(len, sets)), ENTRY)
    reasons = _look_at_all(sets, entries, indexes.read(index), progress, stop)
    if reasons is None:
        return None
    fingerprint = _fingerprint(sets[:USED], entries)
    quarantined = {_name(sets, number): reason for number, reason in sorted(reasons.items())}
    entries = _leave_out(sets, classes, entries, reasons)
    note = _keep_index(index, entries)
    splits = np.repeat(np.arange(len(sets)), list(map(len, sets)))
    labels = np.concatenate([images.labels for images in sets])
    found = find_duplicates(entries, splits, labels, partial(_name, sets))
    for images, part in _parts(sets):
        images.aspects = (entries[part]["width"] / entries[part]["height"]).astype(np.float32)
    dropped = _drop_copies(sets[0], classes, found, on_duplicates)
    return ScanResult(
        fingerprint, quarantined, cached, found, dropped, entries["width"].copy(), entries["height"].copy(), note
    )


def _look_at_all(
    sets: list[ImageSet], entries: Entries, known: Entries, progress: Progress, stop: Callable[[], bool]
) -> dict[int, str] | None:
    """Fill in the entries; returns what is wrong with which. None if stopped."""
    reasons: dict[int, str] = {}
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(hardware.cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for images, part in _parts(sets):
                entries[part]["key"] = indexes.keys_of(images.paths)
                look = partial(_look, images, entries[part], known, indexes.find(known, entries[part]["key"]))
                for start in range(0, len(images), CHUNK):
                    numbers = range(start, min(start + CHUNK, len(images)))
                    for number, reason in zip(numbers, pool.map(look, numbers), strict=True):
                        if reason:
                            reasons[part.start + number] = reason
                    progress(part.start + numbers.stop, len(entries))
                    if stop():
                        return None
    finally:
        torch.set_num_threads(threads)
    return reasons


def _look(images: ImageSet, entries: Entries, known: Entries, places: Indices, number: int) -> str | None:
    """Note what a file is, from the index where it did not change, and cache its pixels. Returns what is wrong."""
    path = images.path(number)
    full = os.path.join(images.root, path)
    entry = entries[number]
    try:
        status = os.stat(full)
        place = places[number]
        if place >= 0 and (known[place]["size"], known[place]["changed"]) == (status.st_size, status.st_mtime_ns):
            entries[number] = known[place]
            if images.pixels is None:
                return None
            entry = None
        data = read_bytes(full)
        if entry is not None:
            entry["digest"] = np.frombuffer(hashlib.sha256(data).digest(), np.uint64)
        hint = images.reader.hint if images.pixels is not None else PRINT_EDGE
        image, size = decode_sized(data, size_hint=hint, name=full)
    except DataError as error:
        return str(error)
    except OSError as error:
        return f"“{full}” cannot be opened: {error.strerror}."
    if images.pixels is not None:
        images.pixels[number] = images.reader.fit(image)
    if entry is not None:
        entry["size"], entry["changed"] = status.st_size, status.st_mtime_ns
        entry["print"], entry["tiny"] = print_of(image)
        entry["width"], entry["height"] = size
    return None


def _leave_out(sets: list[ImageSet], classes: list[str], entries: Entries, reasons: dict[int, str]) -> Entries:
    """Drop what cannot be read from the sets; returns the entries of the others."""
    readable = np.ones(len(entries), bool)
    readable[list(reasons)] = False
    for place, (images, part) in enumerate(_parts(sets)):
        good = readable[part]
        if not good.all():
            images.keep(good)
            if place < USED:
                _check_left(images, classes, reasons[part.start + int(good.argmin())])
    return keep_rows(entries, readable)


def _keep_index(path: Path, entries: Entries) -> str | None:
    """Returns a sentence if there is no place for it; training needs none."""
    try:
        indexes.write(path, entries)
    except OSError as error:
        return f"What is known of the images cannot be kept in “{path.parent}”: {error.strerror or error}."
    return None


def _parts(sets: list[ImageSet]) -> list[tuple[ImageSet, slice]]:
    """Each set and its part of the entries."""
    ends = np.cumsum([len(images) for images in sets]).tolist()
    return [(images, slice(end - len(images), end)) for images, end in zip(sets, ends, strict=True)]


def _name(sets: list[ImageSet], number: int) -> str:
    images, part = next((images, part) for images, part in _parts(sets) if number < part.stop)
    return images.path(number - part.start)


def _drop_copies(train: ImageSet, classes: list[str], found: Duplicates, on_duplicates: OnDuplicates) -> int:
    """Leave out training images that are in val/ or test/ too, if that is wanted; returns how many."""
    unwanted = {"report": set[int](), "drop_exact": found.exact, "drop_near": found.exact | found.near}[on_duplicates]
    if unwanted:
        kept = np.ones(len(train), bool)
        kept[list(unwanted)] = False
        train.keep(kept)
        _check_left(train, classes, "All others are in val/ or test/ too, and on_duplicates leaves them out.")
    return len(unwanted)


def _fits(sets: list[ImageSet], cache: str, copies: int) -> bool:
    if cache == "off":
        return False
    needed, free = copies * sum(images.bytes_if_cached for images in sets), hardware.free_memory()
    if cache == "ram" and needed > 0.9 * free:
        raise OutOfMemoryError(
            f"The image cache needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free. Set cache to auto or off, "
            "or lower image_size."
        )
    return cache == "ram" or needed <= free / 4


def _room(images: ImageSet) -> torch.Tensor:
    edge = images.reader.edge
    return torch.empty((len(images), edge, edge, 3), dtype=torch.uint8)


def _fingerprint(sets: list[ImageSet], entries: Entries) -> str:
    """The same however the files are shared out among the sets; zeros stand for what could not be opened."""
    paths = np.concatenate([images.paths for images in sets])
    content = hashlib.sha256()
    for number in np.argsort(paths, kind="stable"):
        content.update(bytes(paths[number]) + b"\0" + entries["digest"][number].tobytes())
    return content.hexdigest()


def _check_left(images: ImageSet, classes: list[str], reason: str) -> None:
    if not len(images):
        raise DataError(f"No image of {images.split}/ can be used. One of the reasons: {reason}")
    empty = np.flatnonzero(class_counts(images.labels, len(classes)) == 0)
    if images.split == "train" and len(empty):
        raise DataError(
            f"No training image of the class “{classes[empty[0]]}” can be used. One of the reasons: {reason}"
        )
