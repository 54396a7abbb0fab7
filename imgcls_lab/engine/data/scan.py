"""The look at every file before training: unreadable ones are put aside with the reason, copies are found, the rest
gets cached.

Called once a run. What is learned of a file is kept in an index, so that the next scan opens only files that changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.engine import hardware
from imgcls_lab.engine.data import scan_index as indexes
from imgcls_lab.engine.data.cache_eviction import make_room
from imgcls_lab.engine.data.cache_locations import Shared
from imgcls_lab.engine.data.duplicates import Duplicates, find_duplicates
from imgcls_lab.engine.data.file_inspection import Found, Look, looking
from imgcls_lab.engine.data.image_cache import Cache, DiskCache, Facts, RamCache
from imgcls_lab.engine.data.image_set import ImageSet, class_counts
from imgcls_lab.engine.data.scan_index import ENTRY, Entries
from imgcls_lab.errors import DataError, DiskFullError, OutOfMemoryError
from imgcls_lab.image_files import printable
from imgcls_lab.planning.fingerprint import data_fingerprint

USED = 2  # sets that a run reads again after the scan: train and val
CHUNK = 128  # files after which the cache is flushed and the progress told
Progress = Callable[[int, int], None]
OnDuplicates = Literal["report", "drop_exact", "drop_near"]


@dataclass(frozen=True)
class ScanResult:
    """fingerprint: SHA-256 over the relative paths and contents of the files of train and val; quarantined: path ->
    reason; dropped: training images left out as they are in val/ or test/; widths, heights: pixels of all readable
    images; notes: sentences on what could not be kept.
    """

    fingerprint: str
    quarantined: dict[str, str]
    duplicates: Duplicates
    dropped: int
    widths: npt.NDArray[np.uint32]
    heights: npt.NDArray[np.uint32]
    notes: list[str]


def scan(
    sets: list[ImageSet],
    classes: list[str],
    *,
    caches: Sequence[Cache | None] | None,
    index: Path,
    progress: Progress,
    stop: Callable[[], bool],
    on_duplicates: OnDuplicates = "report",
) -> ScanResult | None:
    """Check all files of the sets, drop what cannot be used and fill the caches. None if stopped.

    sets: train, val and test, which is only looked at and may come to nothing. caches: for train and
    val, as `caches_for` gives them; None for one that is not kept. Raises DataError if nothing is left of a class.
    """
    entries = np.zeros(sum(map(len, sets)), ENTRY)
    settled = on_duplicates == "drop_near"  # then prints decide what is trained on
    found_out = _look_at_all(sets, caches, entries, indexes.read(index), settled=settled, progress=progress, stop=stop)
    if found_out is None:
        return None
    reasons, notes = found_out
    used = np.concatenate([images.paths for images in sets[:USED]])
    fingerprint = data_fingerprint(used, entries["digest"][: len(used)])
    quarantined = {_name(sets, number): reason for number, reason in sorted(reasons.items())}
    entries = _leave_out(sets, classes, entries, reasons)
    notes += _keep_index(index, entries)
    splits = np.repeat(np.arange(len(sets)), list(map(len, sets)))
    labels = np.concatenate([images.labels for images in sets])
    found = find_duplicates(entries, splits, labels, partial(_name, sets))
    for images, part in _parts(sets):
        images.aspects = (entries[part]["width"] / entries[part]["height"]).astype(np.float32)
    dropped = _drop_copies(sets[0], classes, found, on_duplicates)
    return ScanResult(
        fingerprint, quarantined, found, dropped, entries["width"].copy(), entries["height"].copy(), notes
    )


def _look_at_all(
    sets: list[ImageSet],
    caches: Sequence[Cache | None] | None,
    entries: Entries,
    known: Entries,
    *,
    settled: bool,
    progress: Progress,
    stop: Callable[[], bool],
) -> tuple[dict[int, str], list[str]] | None:
    """Fill in the entries and caches; returns what is wrong with which image, and notes. None if stopped."""
    reasons: dict[int, str] = {}
    notes: list[str] = []
    looks = []
    for (images, part), cache in zip_longest(_parts(sets), caches or []):
        keys = indexes.keys_of(images.paths)
        entries[part]["key"] = keys
        looks.append(Look(images, known, indexes.find(known, keys), cache, settled))
    with looking(looks) as found_by:
        for look, (images, part) in zip(looks, _parts(sets), strict=True):
            kept = _Kept(look.cache)
            for found in found_by(look):
                start = part.start + found.numbers.start
                found.entries["key"] = entries["key"][start : start + len(found.numbers)]
                entries[start : start + len(found.numbers)] = found.entries
                reasons |= {part.start + number: reason for number, reason in found.wrong.items()}
                notes += kept.take(found)
                if found.numbers.start // CHUNK < found.numbers.stop // CHUNK or found.numbers.stop == len(images):
                    progress(part.start + found.numbers.stop, len(entries))
                if stop():
                    return None
            notes += kept.flush()
            kept.hand_to(images)
    return reasons, notes


class _Kept:
    """What is cached of a set. A cache that cannot be written is given up, with a sentence that says so."""

    def __init__(self, cache: Cache | None) -> None:
        self._cache = cache
        self._waiting = 0

    def take(self, found: Found) -> list[str]:
        if self._cache is None:
            return []
        known = np.flatnonzero(found.rows >= 0)
        self._cache.rows[found.numbers.start + known] = found.rows[known]
        for number, pixels in found.pixels.items():
            self._cache.put(number, found.entries["digest"][number - found.numbers.start], pixels)
        self._waiting += len(found.numbers)
        return self.flush() if self._waiting >= CHUNK else []

    def flush(self) -> list[str]:
        """Make what is cached lasting."""
        self._waiting = 0
        try:
            if self._cache:
                self._cache.flush()
        except OSError as error:
            self._cache = None
            return [_no_cache(error)]
        return []

    def hand_to(self, images: ImageSet) -> None:
        """Give the cached pixels to the set."""
        images.pixels = torch.from_numpy(self._cache.pixels()) if self._cache else None
        images.rows = self._cache.rows if self._cache else images.rows


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
    return _keep_rows(entries, readable)


def _keep_rows(entries: Entries, chosen: npt.NDArray[np.bool_]) -> Entries:
    """The chosen entries, moved together in place: of many images there is no need of a copy."""
    places = np.flatnonzero(chosen)
    for start in range(0, len(places), 1024):
        part = places[start : start + 1024]
        entries[start : start + len(part)] = entries[part]
    return entries[: len(places)]


def _keep_index(path: Path, entries: Entries) -> list[str]:
    """Returns a sentence if there is no place for it; training needs none."""
    try:
        indexes.write(path, entries)
    except OSError as error:
        return [f"What is known of the images cannot be kept in “{path.parent}”: {error.strerror or error}."]
    return []


def _parts(sets: list[ImageSet]) -> list[tuple[ImageSet, slice]]:
    """Each set and its part of the entries."""
    ends = np.cumsum([len(images) for images in sets]).tolist()
    return [(images, slice(end - len(images), end)) for images, end in zip(sets, ends, strict=True)]


def _name(sets: list[ImageSet], number: int) -> str:
    images, part = next((images, part) for images, part in _parts(sets) if number < part.stop)
    return printable(images.path(number - part.start))


def _drop_copies(train: ImageSet, classes: list[str], found: Duplicates, on_duplicates: OnDuplicates) -> int:
    """Leave out training images that are in val/ or test/ too, if that is wanted; returns how many."""
    unwanted = {"report": set[int](), "drop_exact": found.exact, "drop_near": found.exact | found.near}[on_duplicates]
    if unwanted:
        kept = np.ones(len(train), bool)
        kept[list(unwanted)] = False
        train.keep(kept)
        _check_left(train, classes, "All others are in val/ or test/ too, and on_duplicates leaves them out.")
    return len(unwanted)


def caches_for(sets: list[ImageSet], choice: str, shared: Shared, copies: int = 1) -> list[Cache] | None:
    """Room for the decoded images of train and val; None: they are decoded whenever they are needed.

    choice: auto, ram, disk or off; auto is the disk that runs share, else memory if a quarter of what is free will do;
    copies: how many of a cache in memory must fit, one for each process that makes its own. Raises OutOfMemoryError or
    DiskFullError if what was asked for cannot be.
    """
    sets = sets[:USED]
    if choice == "disk" or (choice == "auto" and not shared.alone):
        try:
            return _on_disk(sets, shared)
        except (DiskFullError, OSError) as error:
            if choice == "disk":
                raise error if isinstance(error, DiskFullError) else DiskFullError(_no_cache(error)) from error
    needed, free = copies * sum(images.bytes_if_cached for images in sets), hardware.free_memory()
    if choice == "ram" and needed > 0.9 * free:
        raise OutOfMemoryError(
            f"The image cache needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free. Set cache to auto, disk or "
            "off, or lower image_size."
        )
    if choice == "ram" or (choice == "auto" and needed <= free / 4):
        return [RamCache(len(images), images.reader.shape) for images in sets]
    return None


def _on_disk(sets: list[ImageSet], shared: Shared) -> list[Cache]:
    facts = [Facts(os.path.realpath(images.root), images.reader.shape, images.reader.says) for images in sets]
    make_room(shared.cache, list(zip(facts, map(len, sets), strict=True)), shared.cache_bytes)
    return [DiskCache(shared.cache, fact, len(images)) for fact, images in zip(facts, sets, strict=True)]


def _no_cache(error: OSError) -> str:
    return f"Decoded images cannot be kept on disk ({error.strerror or error}), so each epoch decodes them anew."


def _check_left(images: ImageSet, classes: list[str], reason: str) -> None:
    if not len(images):
        raise DataError(f"No image of {images.split}/ can be used. One of the reasons: {reason}")
    empty = np.flatnonzero(class_counts(images.labels, len(classes)) == 0)
    if images.split == "train" and len(empty):
        raise DataError(
            f"No training image of the class “{classes[empty[0]]}” can be used. One of the reasons: {reason}"
        )
