"""Inspects the files of a data set: whether each can be read, its digest, hash and size, and its pixels for the cache.

Called by the scan, for a chunk of files at once, in forked processes where the system can fork: decoding small images
keeps the interpreter busy, and threads would wait for each other. It changes nothing; the scan notes the results.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from imgcls_lab import cpu, images
from imgcls_lab.audits import quality
from imgcls_lab.engine.data.image_cache import Cache, Pixels
from imgcls_lab.engine.data.image_set import ImageSet, Indices, init_worker
from imgcls_lab.engine.data.phash import PLAIN, phashes_of, shrink, shrink_each
from imgcls_lab.engine.data.scan_index import ENTRY, QUALITY, Entries
from imgcls_lab.errors import DataError, OutOfMemoryError
from imgcls_lab.image_files import printable
from imgcls_lab.images import decode_sized, read_bytes
from imgcls_lab.planning.fingerprint import content_digest

HASH_EDGE = 64  # px; a file that is not cached is decoded no larger than this where its format allows
MIN_FILES_FOR_POOL = 257  # below that no process is started
MAX_FILES = 32  # of one chunk
CHUNK_BYTES = 2**20  # pixels of one chunk, as far as that is more than one file
JPEG = b"\xff\xd8"  # of all files these alone come smaller where a hint allows it
SMALL = 3 * 128**2  # bytes of a decoded image up to which several are resized at once


@dataclass
class Inspected:
    """The results for some files. entries: (n,); rows: their places in the cache, -1 where they are not in it; pixels:
    of files that are new to it; errors: why a file cannot be used, by number."""

    numbers: range
    entries: Entries
    rows: Indices
    pixels: dict[int, Pixels] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    qualities: Entries = field(default_factory=lambda: np.zeros(0, QUALITY))  # (n,) where an audit asks for them


@dataclass(frozen=True)
class KnownQuality:
    """What earlier audits measured. index: `QUALITY`, sorted by key; places: where each image is in it, or -1."""

    index: Entries
    places: Indices


@dataclass(eq=False)  # one is known by itself: its arrays have no one answer to ==
class SetInspection:
    """A set to inspect. index: of earlier scans; places: where each image is in it, or -1; cache: as it was opened;
    exact_hashes: whether hashes must not depend on the size to which files are decoded for a cache; quality: what is
    known of it; None: it is not measured."""

    images: ImageSet
    index: Entries
    places: Indices
    cache: Cache | None
    exact_hashes: bool = False
    quality: KnownQuality | None = None

    def __call__(self, numbers: range) -> Inspected:
        """Inspect these files. What cannot be read is in `errors`."""
        chunk = _Chunk(self, numbers)
        for number in numbers:
            try:
                chunk.add(number)
            except DataError as error:
                chunk.found.errors[number] = str(error)
        chunk.finish()
        return chunk.found

    def chunks(self) -> Iterator[range]:
        """The numbers of all images, about a megabyte of pixels at once."""
        size = max(1, min(MAX_FILES, CHUNK_BYTES // self.images.reader.image_bytes)) if self.cache else MAX_FILES
        return (range(first, min(first + size, len(self.images))) for first in range(0, len(self.images), size))


Alike = dict[tuple[int, ...], dict[int, Pixels]]  # images by their shape, and by place or number


class _Chunk:
    """Files that are inspected together. Small images are resized many at once: one by one would take longer."""

    def __init__(self, inspection: SetInspection, numbers: range) -> None:
        self.found = Inspected(numbers, np.zeros(len(numbers), ENTRY), np.full(len(numbers), -1))
        if inspection.quality is not None:
            self.found.qualities = np.zeros(len(numbers), QUALITY)
        self._inspection = inspection
        self._small: dict[int, Pixels] = {}  # by place
        self._to_shrink: Alike = {}  # by place
        self._to_resize: Alike = {}  # by number

    def add(self, number: int) -> None:
        """A file, from the index where it did not change. Raises DataError."""
        inspection, place = self._inspection, number - self.found.numbers.start
        full = os.path.join(inspection.images.root, inspection.images.path(number))
        entry, before = self.found.entries[place], inspection.places[number]
        try:
            status = os.stat(full)
        except OSError as error:
            raise DataError(f"“{printable(full)}” cannot be opened: {error.strerror}.") from None
        same = (status.st_size, status.st_mtime_ns)
        unchanged = before >= 0 and (inspection.index[before]["size"], inspection.index[before]["changed"]) == same
        unchanged = unchanged and bool(inspection.index[before]["settled"] or not inspection.exact_hashes)
        if unchanged:
            self.found.entries[place] = inspection.index[before]
            if self._is_in_cache(place) and self._is_measured(place, number, same):
                return
        data = read_bytes(full)
        if not unchanged:
            entry["digest"] = np.frombuffer(content_digest(data), np.uint64)
        is_cached = self._is_in_cache(place)
        image, size = decode_sized(
            data, size_hint=HASH_EDGE if is_cached else inspection.images.reader.size_hint, name=full
        )
        if not is_cached and image.size <= SMALL:
            self._to_resize.setdefault(image.shape, {})[number] = image
        elif not is_cached:
            self.found.pixels[number] = inspection.images.reader.resize(image).numpy()
        if inspection.quality is not None and not self._is_measured(place, number, same):
            found = self.found.qualities[place]
            found["size"], found["changed"] = same
            found["values"] = quality.measure(image)
        if not unchanged:
            entry["settled"] = is_cached or not data.startswith(JPEG) or min(size) <= HASH_EDGE
            if inspection.exact_hashes and not entry["settled"]:
                image, entry["settled"] = decode_sized(data, size_hint=HASH_EDGE, name=full)[0], True
            entry["size"], entry["changed"] = same
            entry["width"], entry["height"] = size
            if max(image.shape) < PLAIN:
                self._to_shrink.setdefault(image.shape, {})[place] = image
            else:
                self._small[place] = shrink(image)

    def _is_in_cache(self, place: int) -> bool:
        """Whether the pixels of this image are cached, or there is no cache; notes its row in the cache."""
        if self._inspection.cache is None:
            return True
        self.found.rows[place] = self._inspection.cache.row(self.found.entries["digest"][place])
        return bool(self.found.rows[place] >= 0)

    def _is_measured(self, place: int, number: int, same: tuple[int, int]) -> bool:
        """Whether nobody asks for the quality of this image, or it is known; notes it. same: its size and time."""
        known = self._inspection.quality
        if known is None:
            return True
        before = known.places[number]
        if before < 0 or (known.index[before]["size"], known.index[before]["changed"]) != same:
            return False
        self.found.qualities[place] = known.index[before]
        return True

    def finish(self) -> None:
        for alike in self._to_shrink.values():
            self._small |= zip(alike, shrink_each(np.stack(list(alike.values()))), strict=True)
        for alike in self._to_resize.values():
            resized = self._inspection.images.reader.resize(np.stack(list(alike.values()))).numpy()
            self.found.pixels |= zip(alike, resized, strict=True)
        if self._small:
            hashes, tiny = phashes_of(np.stack(list(self._small.values())))
            places = list(self._small)
            self.found.entries["print"][places], self.found.entries["tiny"][places] = hashes, tiny


Inspect = Callable[[SetInspection], Iterator[Inspected]]


@contextmanager
def inspecting(inspections: list[SetInspection]) -> Iterator[Inspect]:
    """Gives a function that inspects all images of a set, in their order.

    inspections: all that will be passed to it; forked processes know them from the start. The function raises
    OutOfMemoryError if a process is killed.
    """
    pool = _pool(inspections)
    try:
        yield lambda inspection: _inspect_all(pool, inspections, inspection)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _pool(inspections: list[SetInspection]) -> Executor | None:
    count = cpu.cores()
    if count == 1 or sum(len(inspection.images) for inspection in inspections) < MIN_FILES_FOR_POOL:
        return None
    if sys.platform != "linux":  # no fork, or none that its system libraries stand
        return ThreadPoolExecutor(count)
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(count, context, _init_process, (inspections, context.Lock()))


def _inspect_all(
    pool: Executor | None, inspections: list[SetInspection], inspection: SetInspection
) -> Iterator[Inspected]:
    if pool is None:
        yield from map(inspection, inspection.chunks())
        return
    if isinstance(pool, ThreadPoolExecutor):
        yield from _in_order(pool.submit(inspection, chunk) for chunk in inspection.chunks())
        return
    place = inspections.index(inspection)
    numbers = range(0)
    try:
        for found in _in_order(pool.submit(_inspect, place, chunk) for chunk in inspection.chunks()):
            numbers = found.numbers
            yield found
    except BrokenProcessPool:
        raise OutOfMemoryError(
            f"A process that reads images was killed, most likely because memory was short, among the "
            f"{2 * cpu.cores() * MAX_FILES} files that follow “{printable(inspection.images.path(numbers.start))}”. "
            "Close other programs, or check these files."
        ) from None


def _in_order(futures: Iterable[Future[Inspected]]) -> Iterator[Inspected]:
    """Results in the order of the calls; no more calls wait than keep all processes busy."""
    waiting: deque[Future[Inspected]] = deque()
    for future in futures:
        waiting.append(future)
        if len(waiting) > 2 * cpu.cores():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


# ── in a process beside the scan ────────────────────────────────────────────────────────────────────────────────
_inspections: list[SetInspection] = []


def _init_process(inspections: list[SetInspection], lock: images.Lock) -> None:
    init_worker(0)
    torch.set_num_threads(1)
    images.large_alone(lock)
    _inspections[:] = inspections


def _inspect(place: int, numbers: range) -> Inspected:
    return _inspections[place](numbers)
