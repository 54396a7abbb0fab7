"""What a file of a data set is: whether it can be read, its digest, print and size, and its pixels for the cache.

Asked by the scan, of few files at once, from processes beside it where the system can fork: decoding small images is
work of the interpreter, which threads only hinder each other in. It changes nothing; the scan notes what is found.
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
from imgcls_lab.engine.data.image_cache import Cache, Pixels
from imgcls_lab.engine.data.image_set import ImageSet, Indices, start_worker
from imgcls_lab.engine.data.phash import PLAIN, prints_of, small_of, small_of_each
from imgcls_lab.engine.data.scan_index import ENTRY, Entries
from imgcls_lab.errors import DataError, OutOfMemoryError
from imgcls_lab.image_files import printable
from imgcls_lab.images import decode_sized, read_bytes
from imgcls_lab.planning.fingerprint import content_digest

PRINT_EDGE = 64  # px; a file that is only looked at is decoded no larger than this where its format allows
ALONE = 256  # files up to which no process is started
MOST = 32  # files of one share
SHARE_BYTES = 2**20  # pixels of one share, as far as that is more than one file
JPEG = b"\xff\xd8"  # of all files these alone come smaller where a hint allows it
SMALL = 3 * 128**2  # bytes of a decoded image up to which several are resized at once


@dataclass
class Found:
    """What some files are. entries: (n,); rows: their places in the cache, -1 where they are not in it; pixels: of
    files that are new to it; wrong: what is the matter with which."""

    numbers: range
    entries: Entries
    rows: Indices
    pixels: dict[int, Pixels] = field(default_factory=dict)
    wrong: dict[int, str] = field(default_factory=dict)


@dataclass(eq=False)  # one is known by itself: its arrays have no one answer to ==
class Look:
    """A set under inspection. known: the index; places: where in it each image is, or -1; cache: as it was opened;
    settled: whether prints must not depend on what a cache has the files decoded to."""

    images: ImageSet
    known: Entries
    places: Indices
    cache: Cache | None
    settled: bool = False

    def __call__(self, numbers: range) -> Found:
        """Look at these files. What cannot be read is in `wrong`."""
        share = _Share(self, numbers)
        for number in numbers:
            try:
                share.add(number)
            except DataError as error:
                share.found.wrong[number] = str(error)
        share.finish()
        return share.found

    def shares(self) -> Iterator[range]:
        """All images, few at once: about a megabyte of pixels."""
        size = max(1, min(MOST, SHARE_BYTES // self.images.reader.image_bytes)) if self.cache else MOST
        return (range(first, min(first + size, len(self.images))) for first in range(0, len(self.images), size))


Alike = dict[tuple[int, ...], dict[int, Pixels]]  # images by their shape, and by place or number


class _Share:
    """Files that are looked at together. What is small is finished for many at once: call by call would take longer."""

    def __init__(self, look: Look, numbers: range) -> None:
        self.found = Found(numbers, np.zeros(len(numbers), ENTRY), np.full(len(numbers), -1))
        self._look = look
        self._small: dict[int, Pixels] = {}  # by place
        self._to_shrink: Alike = {}  # by place
        self._to_fit: Alike = {}  # by number

    def add(self, number: int) -> None:
        """A file, from the index where it did not change. Raises DataError."""
        look, place = self._look, number - self.found.numbers.start
        full = os.path.join(look.images.root, look.images.path(number))
        entry, before = self.found.entries[place], look.places[number]
        try:
            status = os.stat(full)
        except OSError as error:
            raise DataError(f"“{printable(full)}” cannot be opened: {error.strerror}.") from None
        same = (status.st_size, status.st_mtime_ns)
        unchanged = before >= 0 and (look.known[before]["size"], look.known[before]["changed"]) == same
        unchanged = unchanged and bool(look.known[before]["settled"] or not look.settled)
        if unchanged:
            self.found.entries[place] = look.known[before]
            if self._is_kept(place):
                return
        data = read_bytes(full)
        if not unchanged:
            entry["digest"] = np.frombuffer(content_digest(data), np.uint64)
        kept = self._is_kept(place)
        image, size = decode_sized(data, size_hint=PRINT_EDGE if kept else look.images.reader.hint, name=full)
        if not kept and image.size <= SMALL:
            self._to_fit.setdefault(image.shape, {})[number] = image
        elif not kept:
            self.found.pixels[number] = look.images.reader.fit(image).numpy()
        if not unchanged:
            entry["settled"] = kept or not data.startswith(JPEG) or min(size) <= PRINT_EDGE
            if look.settled and not entry["settled"]:
                image, entry["settled"] = decode_sized(data, size_hint=PRINT_EDGE, name=full)[0], True
            entry["size"], entry["changed"] = same
            entry["width"], entry["height"] = size
            if max(image.shape) < PLAIN:
                self._to_shrink.setdefault(image.shape, {})[place] = image
            else:
                self._small[place] = small_of(image)

    def _is_kept(self, place: int) -> bool:
        """Whether no pixels are wanted of this image, whose digest is noted; notes its row in the cache."""
        if self._look.cache is None:
            return True
        self.found.rows[place] = self._look.cache.row(self.found.entries["digest"][place])
        return bool(self.found.rows[place] >= 0)

    def finish(self) -> None:
        for alike in self._to_shrink.values():
            self._small |= zip(alike, small_of_each(np.stack(list(alike.values()))), strict=True)
        for alike in self._to_fit.values():
            fitted = self._look.images.reader.fit(np.stack(list(alike.values()))).numpy()
            self.found.pixels |= zip(alike, fitted, strict=True)
        if self._small:
            prints, tiny = prints_of(np.stack(list(self._small.values())))
            places = list(self._small)
            self.found.entries["print"][places], self.found.entries["tiny"][places] = prints, tiny


Looks = Callable[[Look], Iterator[Found]]


@contextmanager
def looking(looks: list[Look]) -> Iterator[Looks]:
    """Gives what looks at all images of a set, in their order. Raises OutOfMemoryError if a process of it is killed.

    looks: all that will be asked for; forked processes know them from the start.
    """
    pool = _pool(looks)
    try:
        yield lambda look: _found(pool, looks, look)
    finally:
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _pool(looks: list[Look]) -> Executor | None:
    count = cpu.cores()
    if count == 1 or sum(len(look.images) for look in looks) <= ALONE:
        return None
    if sys.platform != "linux":  # no fork, or none that its system libraries stand
        return ThreadPoolExecutor(count)
    context = multiprocessing.get_context("fork")
    return ProcessPoolExecutor(count, context, _begin, (looks, context.Lock()))


def _found(pool: Executor | None, looks: list[Look], look: Look) -> Iterator[Found]:
    if pool is None:
        yield from map(look, look.shares())
        return
    if isinstance(pool, ThreadPoolExecutor):
        yield from _in_order(pool.submit(look, share) for share in look.shares())
        return
    place = looks.index(look)
    numbers = range(0)
    try:
        for found in _in_order(pool.submit(_look, place, share) for share in look.shares()):
            numbers = found.numbers
            yield found
    except BrokenProcessPool:
        raise OutOfMemoryError(
            f"A process that reads images was killed, most likely because memory was short, among the "
            f"{2 * cpu.cores() * MOST} files that follow “{printable(look.images.path(numbers.start))}”. Close "
            "other programs, or look at these files."
        ) from None


def _in_order(futures: Iterable[Future[Found]]) -> Iterator[Found]:
    """Results as they were asked for; no more is asked for than keeps everybody busy."""
    waiting: deque[Future[Found]] = deque()
    for future in futures:
        waiting.append(future)
        if len(waiting) > 2 * cpu.cores():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


# ── in a process beside the scan ────────────────────────────────────────────────────────────────────────────────
_looks: list[Look] = []


def _begin(looks: list[Look], alone: images.Lock) -> None:
    start_worker(0)
    torch.set_num_threads(1)
    images.large_alone(alone)
    _looks[:] = looks


def _look(place: int, numbers: range) -> Found:
    return _looks[place](numbers)
