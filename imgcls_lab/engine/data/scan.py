"""The inspection of every file before training: unreadable ones are left out with the reason, copies are found, the
others are cached.

Called once a run. What is learned of a file is kept in an index, so that the next scan opens only files that changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.cache_eviction import evict_for
from imgcls_lab.data_revision import Overlay
from imgcls_lab.engine import hardware
from imgcls_lab.engine.data import corrections, scan_index
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.data.corrections import Corrected
from imgcls_lab.engine.data.duplicates import Duplicates, find_duplicates
from imgcls_lab.engine.data.file_inspection import Inspected, SetInspection, inspecting
from imgcls_lab.engine.data.image_cache import Cache, CacheKey, DiskCache, RamCache
from imgcls_lab.engine.data.image_set import ImageSet, class_counts
from imgcls_lab.engine.data.scan_index import ENTRY, Entries
from imgcls_lab.engine.data.scan_table import keep_table
from imgcls_lab.errors import DataError, DiskFullError, OutOfMemoryError, UnsafeFolderError
from imgcls_lab.image_files import printable
from imgcls_lab.planning.fingerprint import data_fingerprint, file_digest, revised_fingerprint

USED = 2  # sets that a run reads again after the scan: train and val
CHUNK = 128  # files after which the cache is flushed and the progress reported
Progress = Callable[[int, int], None]
OnDuplicates = Literal["report", "drop_exact", "drop_near"]


@dataclass(frozen=True)
class ScanOptions:
    """on_duplicates: as in TrainConfig; progress: gets the files done and their total; stop: whether to give up.

    overlay: corrections of labels, and images to exclude; keep_table: whether the image table is written beside the
    index, for those who show the images.
    """

    on_duplicates: OnDuplicates
    progress: Progress
    stop: Callable[[], bool]
    overlay: Overlay | None = None
    keep_table: bool = False


@dataclass(frozen=True)
class ScanResult:
    """The usable images of a data set, and what was found.

    sets: train, val and test, corrected; fingerprint: SHA-256 over the relative paths and contents of the files of
    train and val, and over the corrections; corrected: what the corrections did; quarantined: path -> reason; dropped:
    how many training images are left out as they are in val/ or test/; sizes: width and height of all readable images
    in pixels, (n, 2); notes: sentences on what could not be kept.
    """

    sets: list[ImageSet]
    fingerprint: str
    corrected: Corrected
    quarantined: dict[str, str]
    duplicates: Duplicates
    dropped: int
    sizes: npt.NDArray[np.uint32]
    notes: list[str]


def scan(
    sets: list[ImageSet],
    classes: list[str],
    *,
    caches: Sequence[Cache | None] | None,
    index: Path,
    options: ScanOptions,
) -> ScanResult | None:
    """Check all files of the sets, leave out what cannot be used and fill the caches. None if stopped.

    sets: train, val and test; test may be empty afterwards. caches: for train and val, as `open_caches` gives them;
    None for one that is not kept. Raises DataError if nothing is left of a class.
    """
    entries = np.zeros(sum(map(len, sets)), ENTRY)
    inspected = _inspect_all(sets, caches, entries, scan_index.read(index), options)
    if inspected is None:
        return None
    used = np.concatenate([images.paths for images in sets[:USED]])
    fingerprint = data_fingerprint(used, entries["digest"][: len(used)])
    table_notes = keep_table(index.parent, sets, classes, entries, inspected.errors) if options.keep_table else []
    excluded = {} if options.overlay is None else _excluded(sets, inspected.errors, options.overlay)
    reported = ((number, reason) for number, reason in sorted(inspected.errors.items()) if number not in excluded)
    quarantined = {_name(sets, number): reason for number, reason in reported}
    sets, entries = _leave_out(inspected.sets, classes, entries, inspected.errors)
    notes = inspected.notes + table_notes + _keep_index(index, entries)
    corrected = Corrected()
    if options.overlay is not None:
        fingerprint = revised_fingerprint(fingerprint, options.overlay.content)
        unread = Corrected(excluded=len(excluded), images=frozenset(excluded.values()))
        sets, entries, corrected = _correct(sets, classes, entries, options.overlay, unread)
    splits = np.repeat(np.arange(len(sets)), list(map(len, sets)))
    labels = np.concatenate([images.labels for images in sets])
    duplicates = find_duplicates(entries, splits, labels, partial(_name, sets))
    sets = [
        replace(
            images,
            aspects=(entries[part]["width"] / entries[part]["height"]).astype(np.float32),
            digests=entries[part]["digest"].copy().view(np.uint8),
        )
        for images, part in _parts(sets)
    ]
    train, dropped = _drop_copies(sets[0], classes, duplicates, options.on_duplicates)
    sizes = np.stack([entries["width"], entries["height"]], axis=1)
    return ScanResult([train, *sets[1:]], fingerprint, corrected, quarantined, duplicates, dropped, sizes, notes)


def _excluded(sets: list[ImageSet], errors: dict[int, str], overlay: Overlay) -> dict[int, str]:
    """The ids of the files that cannot be used and that the corrections exclude, by number: nobody misses them."""
    found = {}
    for images, part in _parts(sets):
        changes = overlay.in_split(images.split)
        for number in (number for number in errors if part.start <= number < part.stop):
            image = file_digest(os.path.join(images.root, images.path(number - part.start))).hex()
            if image in changes and changes[image].excluded:
                found[number] = image
    return found


def _correct(
    sets: list[ImageSet], classes: list[str], entries: Entries, overlay: Overlay, done: Corrected
) -> tuple[list[ImageSet], Entries, Corrected]:
    """The sets and entries as the corrections say. done: what they did already.

    Raises DataError where a class has no training image left.
    """
    found, rows = [], []
    for place, (images, part) in enumerate(_parts(sets)):
        digests = np.ascontiguousarray(entries[part]["digest"]).view(np.uint8)
        after, kept, counts = corrections.correct(images, digests, overlay, classes)
        if place < USED:
            _check_left(after, classes, "The corrections exclude all others or give them another label.")
        found.append(after)
        rows.append(part.start + kept)
        done += counts
    return found, entries[np.concatenate(rows)], done.of(overlay)


@dataclass(frozen=True)
class _AllInspected:
    """sets: with their cached pixels; errors: why an image cannot be used, by number; notes: as in ScanResult."""

    sets: list[ImageSet]
    errors: dict[int, str]
    notes: list[str]


def _inspect_all(
    sets: list[ImageSet],
    caches: Sequence[Cache | None] | None,
    entries: Entries,
    index: Entries,
    options: ScanOptions,
) -> _AllInspected | None:
    """Fill in the entries and caches. None if stopped."""
    exact_hashes = options.on_duplicates == "drop_near"  # then hashes decide what is trained on
    errors: dict[int, str] = {}
    notes: list[str] = []
    inspections = []
    for (images, part), cache in zip_longest(_parts(sets), caches or []):
        keys = scan_index.keys_of(images.paths)
        entries[part]["key"] = keys
        inspections.append(SetInspection(images, index, scan_index.find(index, keys), cache, exact_hashes))
    with_pixels = []
    with inspecting(inspections) as inspect:
        for inspection, (images, part) in zip(inspections, _parts(sets), strict=True):
            writer = _CacheWriter(inspection.cache)
            for found in inspect(inspection):
                start = part.start + found.numbers.start
                found.entries["key"] = entries["key"][start : start + len(found.numbers)]
                entries[start : start + len(found.numbers)] = found.entries
                errors |= {part.start + number: reason for number, reason in found.errors.items()}
                notes += writer.add(found)
                if found.numbers.start // CHUNK < found.numbers.stop // CHUNK or found.numbers.stop == len(images):
                    options.progress(part.start + found.numbers.stop, len(entries))
                if options.stop():
                    return None
            notes += writer.flush()
            with_pixels.append(writer.with_pixels(images))
    return _AllInspected(with_pixels, errors, notes)


class _CacheWriter:
    """Fills the cache of a set. A cache that cannot be written is given up, with a sentence that says so."""

    def __init__(self, cache: Cache | None) -> None:
        self._cache = cache
        self._pending = 0

    def add(self, found: Inspected) -> list[str]:
        if self._cache is None:
            return []
        known = np.flatnonzero(found.rows >= 0)
        self._cache.rows[found.numbers.start + known] = found.rows[known]
        for number, pixels in found.pixels.items():
            self._cache.put(number, found.entries["digest"][number - found.numbers.start], pixels)
        self._pending += len(found.numbers)
        return self.flush() if self._pending >= CHUNK else []

    def flush(self) -> list[str]:
        """Write what was added to the disk, where the cache lies there."""
        self._pending = 0
        try:
            if self._cache:
                self._cache.flush()
        except OSError as error:
            self._cache = None
            return [_no_cache(error)]
        return []

    def with_pixels(self, images: ImageSet) -> ImageSet:
        """The set with its cached pixels."""
        if self._cache is None:
            return images
        return replace(images, pixels=torch.from_numpy(self._cache.pixels()), rows=self._cache.rows)


def _leave_out(
    sets: list[ImageSet], classes: list[str], entries: Entries, errors: dict[int, str]
) -> tuple[list[ImageSet], Entries]:
    """The sets and the entries without what cannot be read."""
    readable = np.ones(len(entries), bool)
    readable[list(errors)] = False
    left = []
    for place, (images, part) in enumerate(_parts(sets)):
        chosen = readable[part]
        if not chosen.all():
            images = images.select(chosen)  # noqa: PLW2901
            if place < USED:
                _check_left(images, classes, errors[part.start + int(chosen.argmin())])
        left.append(images)
    return left, _keep_rows(entries, readable)


def _keep_rows(entries: Entries, chosen: npt.NDArray[np.bool_]) -> Entries:
    """The chosen entries, moved together in place: many images need no copy."""
    places = np.flatnonzero(chosen)
    for start in range(0, len(places), 1024):
        part = places[start : start + 1024]
        entries[start : start + len(part)] = entries[part]
    return entries[: len(places)]


def _keep_index(path: Path, entries: Entries) -> list[str]:
    """Returns a sentence if there is no place for it; training needs none."""
    try:
        scan_index.write(path, entries)
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


def _drop_copies(
    train: ImageSet, classes: list[str], found: Duplicates, on_duplicates: OnDuplicates
) -> tuple[ImageSet, int]:
    """Without the training images that are in val/ or test/ too, where the config asks for it; and their number."""
    unwanted = {"report": set[int](), "drop_exact": found.exact, "drop_near": found.exact | found.near}[on_duplicates]
    if unwanted:
        chosen = np.ones(len(train), bool)
        chosen[list(unwanted)] = False
        train = train.select(chosen)
        _check_left(train, classes, "All others are in val/ or test/ too, and on_duplicates leaves them out.")
    return train, len(unwanted)


def open_caches(sets: list[ImageSet], choice: str, locations: CacheLocations, copies: int = 1) -> list[Cache] | None:
    """Caches for the decoded images of train and val; None: they are decoded whenever they are needed.

    choice: auto, ram, disk or off; auto is the disk cache of the home, else memory if a quarter of it is enough;
    copies: how many of a cache in memory must fit, one for each process that makes its own. Raises OutOfMemoryError,
    DiskFullError or UnsafeFolderError if the chosen cache is impossible.
    """
    sets = sets[:USED]
    if choice == "disk" or (choice == "auto" and not locations.alone):
        try:
            return _disk_caches(sets, locations)
        except (DiskFullError, UnsafeFolderError, OSError) as error:
            if choice == "disk":
                raise DiskFullError(_no_cache(error)) if isinstance(error, OSError) else error from error
    needed, free = copies * sum(images.bytes_if_cached for images in sets), hardware.free_memory()
    if choice == "ram" and needed > 0.9 * free:
        raise OutOfMemoryError(
            f"The image cache needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free. Set cache to auto, disk or "
            "off, or lower image_size."
        )
    if choice == "ram" or (choice == "auto" and needed <= free / 4):
        return [RamCache(len(images), images.reader.shape) for images in sets]
    return None


def _disk_caches(sets: list[ImageSet], locations: CacheLocations) -> list[Cache]:
    keys = [CacheKey(os.path.realpath(images.root), images.reader.shape, images.reader.cache_key) for images in sets]
    evict_for(locations.cache, list(zip(keys, map(len, sets), strict=True)), locations.cache_bytes)
    return [DiskCache(locations.cache, key, len(images)) for key, images in zip(keys, sets, strict=True)]


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
