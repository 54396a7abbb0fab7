"""The image files of a data set as an audit sees them: each is inspected once, whatever a training would take of it.

Called by the audit's pipeline. Fills the same index as a training's scan, so that neither opens a file that the other
has seen; the quality of the pixels has an index of its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgcls_lab.audits.results import relative_reason
from imgcls_lab.engine.data import scan_index
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.data.file_inspection import HASH_EDGE, KnownQuality, SetInspection, inspecting
from imgcls_lab.engine.data.image_set import ImageSet, Indices, Reader
from imgcls_lab.engine.data.scan_index import ENTRY, QUALITY, Entries
from imgcls_lab.engine.data.scan_table import keep_table
from imgcls_lab.engine.data.split import list_split
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import DataError
from imgcls_lab.image_files import printable
from imgcls_lab.imagefolder import SPLITS, FolderSummary, inspect_folder
from imgcls_lab.schemas.images import ImageView

KEEP_EVERY = 30.0  # seconds after which the indexes are written, so that a killed audit goes on from there
Watch = Callable[[int, int], None]  # called with the files done and their total


@dataclass
class Files:
    """All files of a data set that are taken for images: train, val and test in turn, n in all.

    classes: those of train, then those that only val or test have; splits: (n,) places in SPLITS; labels: (n,) places
    in `classes`; entries, qualities: (n,), zero where a file was not inspected or cannot be read; errors: why, by row.
    """

    summary: FolderSummary
    classes: list[str]
    sets: list[ImageSet]
    splits: npt.NDArray[np.uint8]
    labels: Indices
    entries: Entries
    qualities: Entries
    errors: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def root(self) -> Path:
        return self.summary.root

    @property
    def paths(self) -> npt.NDArray[np.bytes_]:
        """Relative to the root, (n,)."""
        return np.concatenate([images.paths for images in self.sets])

    @property
    def readable(self) -> Indices:
        """Rows of the files that were inspected and can be read."""
        return np.flatnonzero(self.entries["width"] > 0)

    def path(self, row: int) -> str:
        start = 0
        for images in self.sets:
            if row < start + len(images):
                return images.path(row - start)
            start += len(images)
        raise IndexError(row)

    def name(self, row: int) -> str:
        """The path as text."""
        return printable(self.path(row))

    def view(self, row: int) -> ImageView:
        entry = self.entries[row]
        problem, label = self.errors.get(row), self.classes[self.labels[row]]
        return ImageView(
            image="" if problem else entry["digest"].tobytes().hex(),
            name=self.name(row),
            split=SPLITS[self.splits[row]],
            label=label,
            folder_label=label,
            **{name: int(entry[name]) for name in ("width", "height", "size")},
            problem=problem,
        )


def list_files(root: Path) -> Files:
    """All files by name. Raises DataError for a folder that holds no images by class, with the reason."""
    summary = inspect_folder(root)
    if not any(count for classes in summary.splits.values() for count in classes.values()):
        raise DataError(summary.problem or f"There is no image under “{root}”.", reason="no_images", root=str(root))
    others = {name for classes in summary.splits.values() for name in classes} - {*summary.classes}
    classes = [*summary.classes, *sorted(others)]
    reader = Reader(EvalSpec.default(HASH_EDGE))  # nothing is read by it: an audit keeps no pixels
    try:
        listed = [(split, *list_split(summary, split, classes)) for split in SPLITS if split in summary.splits]
    except OSError as error:
        raise DataError(f"“{printable(error.filename or root)}” cannot be read: {error.strerror}.") from None
    sets = [ImageSet(summary.root, split, reader, paths, labels) for split, paths, labels in listed]
    count = sum(map(len, sets))
    return Files(
        summary=summary,
        classes=classes,
        sets=sets,
        splits=np.repeat([SPLITS.index(images.split) for images in sets], list(map(len, sets))).astype(np.uint8),
        labels=np.concatenate([images.labels for images in sets]),
        entries=np.zeros(count, ENTRY),
        qualities=np.zeros(count, QUALITY),
    )


def inspect(files: Files, locations: CacheLocations, watch: Watch, stop: Callable[[], bool]) -> bool:
    """Inspect all files, those of earlier scans by the index. False: stopped; what was learned is kept."""
    index = scan_index.index_path(locations.scans, files.root)
    measured = scan_index.quality_path(locations.scans, files.root)
    known, known_quality = scan_index.read(index), scan_index.read(measured, QUALITY)
    inspections, starts = [], [0]
    for images in files.sets:
        keys = scan_index.keys_of(images.paths)
        part = slice(starts[-1], starts[-1] + len(images))
        files.entries["key"][part] = files.qualities["key"][part] = keys
        quality = KnownQuality(known_quality, scan_index.find(known_quality, keys))
        inspections.append(SetInspection(images, known, scan_index.find(known, keys), None, quality=quality))
        starts.append(part.stop)
    kept_at = time.monotonic()
    stopped = False
    with inspecting(inspections) as inspected:
        for inspection, start in zip(inspections, starts, strict=False):
            for found in inspected(inspection):
                rows = slice(start + found.numbers.start, start + found.numbers.stop)
                for ours, theirs in ((files.entries, found.entries), (files.qualities, found.qualities)):
                    theirs["key"] = ours["key"][rows]
                    ours[rows] = theirs
                files.errors |= {
                    start + number: relative_reason(reason, files.root) for number, reason in found.errors.items()
                }
                watch(rows.stop, len(files))
                stopped = stop()
                if stopped or time.monotonic() - kept_at > KEEP_EVERY:
                    _keep(files, index, measured, known, known_quality)
                    kept_at = time.monotonic()
                if stopped:
                    return False
    _keep(files, index, measured, known, known_quality)
    keep_table(locations.scans, files.sets, files.classes, files.entries, files.errors)
    return True


def _keep(files: Files, index: Path, measured: Path, known: Entries, known_quality: Entries) -> None:
    """Write what is known now, and of what was not inspected yet what was known before."""
    for path, now, before in ((index, files.entries, known), (measured, files.qualities, known_quality)):
        seen = now[now["size"] > 0]
        waiting = now["key"][(now["size"] == 0) & (files.entries["size"] == 0)]
        rest = before[np.isin(before["key"], waiting)]
        scan_index.write(path, np.concatenate([seen, rest]) if len(rest) else seen)


def folder_times(files: Files) -> dict[str, int]:
    """When each folder that holds files, or folders of them, changed: by its path below the root, nanoseconds."""
    found = {""}
    for path in {os.path.dirname(bytes(path)) for path in files.paths}:
        while path and (name := os.fsdecode(path)) not in found:
            found.add(name)
            path = os.path.dirname(path)  # noqa: PLW2901
    times = {}
    for name in sorted(found):
        if printable(name) == name:  # another cannot be written down
            times[name] = os.stat(files.root / name).st_mtime_ns
    return times
