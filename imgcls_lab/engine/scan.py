"""The look at every file before training: unreadable ones are put aside with the reason, the rest gets cached.

Called once a run. What was found is kept in the run's folder, so that a resume opens only files that changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from imgcls_lab.engine import hardware
from imgcls_lab.engine.data import ImageSet, class_counts
from imgcls_lab.errors import DataError, OutOfMemoryError
from imgcls_lab.images import read_bytes

INDEX = "scan.npz"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ScanResult:
    """fingerprint: SHA-256 over the relative paths and contents of all files; quarantined: path -> reason."""

    fingerprint: str
    quarantined: dict[str, str]
    cached: bool


@dataclass(frozen=True)
class _Seen:
    """What is known of a file: its size and time of change, SHA-256 of its content, aspect, why it is unreadable."""

    size: int
    changed: int
    digest: str
    aspect: float
    problem: str


def scan(
    sets: list[ImageSet],
    classes: list[str],
    *,
    cache: str,
    index: Path,
    progress: Progress,
    stop: Callable[[], bool],
) -> ScanResult | None:
    """Check all files of the sets, drop unreadable ones from them and fill their caches. None if stopped.

    cache: auto, ram or off. Raises DataError if nothing is left of a class, OutOfMemoryError if the cache was asked
    for and cannot fit.
    """
    cached = _fits(sets, cache)
    known = {} if cached else _read_index(index)
    total = sum(len(images) for images in sets)
    found: dict[str, _Seen] = {}
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(hardware.cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            done = 0
            for images in sets:
                pixels = _room(images) if cached else None
                jobs = _jobs(images, pixels, known)
                for start in range(0, len(jobs), 512):  # bounded, so that a stop is heard
                    for path, seen in pool.map(lambda job: job(), jobs[start : start + 512]):
                        found[path] = seen
                    done += len(jobs[start : start + 512])
                    progress(done, total)
                    if stop():
                        return None
                images.pixels = pixels
    finally:
        torch.set_num_threads(threads)
    for images in sets:
        _keep_readable(images, found, classes)
    if not cached:
        _write_index(index, found)
    lines = sorted(f"{path}\0{seen.digest}" for path, seen in found.items())
    fingerprint = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
    return ScanResult(fingerprint, {path: s.problem for path, s in sorted(found.items()) if s.problem}, cached)


def _fits(sets: list[ImageSet], cache: str) -> bool:
    if cache == "off":
        return False
    needed, free = sum(images.bytes_if_cached for images in sets), hardware.free_memory()
    if cache == "ram" and needed > 0.9 * free:
        raise OutOfMemoryError(
            f"The image cache needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free. Set cache to auto or off, "
            "or lower image_size."
        )
    return cache == "ram" or needed <= free / 4


def _room(images: ImageSet) -> torch.Tensor:
    edge = images.reader.edge
    return torch.empty((len(images), edge, edge, 3), dtype=torch.uint8)


def _jobs(
    images: ImageSet, pixels: torch.Tensor | None, known: dict[str, _Seen]
) -> list[Callable[[], tuple[str, _Seen]]]:
    def job(index: int) -> tuple[str, _Seen]:
        path = images.path(index)
        full = os.path.join(images.root, path)
        try:
            status = os.stat(full)
            before = known.get(path)
            if before and (before.size, before.changed) == (status.st_size, status.st_mtime_ns):
                return path, before
            data = read_bytes(full)
        except DataError as error:
            return path, _Seen(0, 0, "", 1.0, str(error))
        except OSError as error:
            return path, _Seen(0, 0, "", 1.0, f"“{full}” cannot be opened: {error.strerror}.")
        digest = hashlib.sha256(data).hexdigest()
        try:
            decoded, aspect = images.reader.read(data, full)
        except DataError as error:
            return path, _Seen(status.st_size, status.st_mtime_ns, digest, 1.0, str(error))
        if pixels is not None:
            pixels[index] = decoded
        return path, _Seen(status.st_size, status.st_mtime_ns, digest, aspect, "")

    return [lambda index=index: job(index) for index in range(len(images))]  # type: ignore[misc]


def _keep_readable(images: ImageSet, found: dict[str, _Seen], classes: list[str]) -> None:
    seen = [found[images.path(index)] for index in range(len(images))]
    good = np.asarray([not entry.problem for entry in seen])
    aspects = np.asarray([entry.aspect for entry in seen], np.float32)
    if not good.all():
        reason = next(entry.problem for entry in seen if entry.problem)
        images.paths, images.labels, aspects = images.paths[good], images.labels[good], aspects[good]
        if images.pixels is not None:
            images.pixels = images.pixels[torch.from_numpy(good)]
        if not len(images):
            raise DataError(f"No image of {images.split}/ can be read. The first one: {reason}")
        empty = np.flatnonzero(class_counts(images.labels, len(classes)) == 0)
        if images.split == "train" and len(empty):
            raise DataError(
                f"No training image of the class “{classes[empty[0]]}” can be read. One of the reasons: {reason}"
            )
    images.aspects = aspects


def _read_index(path: Path) -> dict[str, _Seen]:
    """What an earlier attempt found; nothing if there is no readable index."""
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = [file[name].tolist() for name in ("path", "size", "changed", "digest", "aspect", "problem")]
    except (OSError, ValueError, KeyError):
        return {}
    return {os.fsdecode(row[0]): _Seen(row[1], row[2], row[3], row[4], row[5]) for row in zip(*columns, strict=True)}


def _write_index(path: Path, found: dict[str, _Seen]) -> None:
    temporary = path.with_suffix(".tmp.npz")
    np.savez(
        temporary,
        path=np.asarray([os.fsencode(name) for name in found]),
        size=np.asarray([seen.size for seen in found.values()], np.int64),
        changed=np.asarray([seen.changed for seen in found.values()], np.int64),
        digest=np.asarray([seen.digest for seen in found.values()]),
        aspect=np.asarray([seen.aspect for seen in found.values()], np.float64),
        problem=np.asarray([seen.problem for seen in found.values()]),
    )
    os.replace(temporary, path)
