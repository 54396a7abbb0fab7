"""Applies the corrections of a data revision to the images of a split: labels, exclusions, and their order.

Called by the scan, which knows all contents, and through `correct_listing` by all that lists images without a scan:
evaluation and finders. The split was drawn before, by the labels of the folders, so the hold-out does not move.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from imgcls_lab import cpu
from imgcls_lab.data_revision import Change, Overlay
from imgcls_lab.engine.data import scan_index
from imgcls_lab.engine.data.image_set import ImageSet, Indices
from imgcls_lab.errors import DataError
from imgcls_lab.export_names import export_names
from imgcls_lab.planning.fingerprint import UNREADABLE, file_digest
from imgcls_lab.plurals import counted

Digests = npt.NDArray[np.uint8]  # (n, 32): SHA-256 of the contents
_BYTES = len(UNREADABLE)


@dataclass(frozen=True)
class Corrected:
    """What corrections did: files with another label, files excluded, and corrections that found no file."""

    relabelled: int = 0
    excluded: int = 0
    gone: int = 0
    images: frozenset[str] = frozenset()  # ids of the corrections that found a file

    def __add__(self, other: Corrected) -> Corrected:
        return Corrected(
            self.relabelled + other.relabelled, self.excluded + other.excluded, 0, self.images | other.images
        )

    def of(self, overlay: Overlay) -> Corrected:
        """With the number of the corrections that found no file in any split."""
        return Corrected(self.relabelled, self.excluded, len(overlay.changes) - len(self.images), self.images)

    @property
    def sentence(self) -> str:
        """Such as: 12 labels are corrected, 3 images are excluded; 2 corrections name images that are gone."""
        done = (
            f"{counted(self.relabelled, 'label is', 'labels are')} corrected, "
            f"{counted(self.excluded, 'image is', 'images are')} excluded"
        )
        if not self.gone:
            return f"{done}."
        return f"{done}; {counted(self.gone, 'correction names an image', 'corrections name images')} that are gone."


def correct(
    images: ImageSet, digests: Digests, overlay: Overlay, classes: list[str]
) -> tuple[ImageSet, Indices, Corrected]:
    """A split as the corrections say, the place before of each image that stays, and what was done.

    digests: of the images, zero for one whose content is not known. The images come class by class, in the order that
    the exported folder would have. Raises DataError for a label that is no class.
    """
    changed = _changes(digests, overlay, images.split)
    numbers = {name: number for number, name in enumerate(classes)}
    labels, left = images.labels.copy(), np.ones(len(images), bool)
    moved: dict[int, tuple[str, str]] = {}
    for place, change in changed.items():
        if change.excluded:
            left[place] = False
        elif change.label is not None and change.label not in numbers:
            raise DataError(
                f"The corrections give “{change.name or change.image}” the label “{change.label}”, which is no class "
                f"of “{images.root}”. Add its folder to train/, or undo that correction.",
                reason="unknown_class",
                label=change.label,
            )
        elif change.label is not None and numbers[change.label] != labels[place]:
            labels[place] = numbers[change.label]
            moved[place] = (change.label, change.image)
    done = Corrected(len(moved), int((~left).sum()), 0, frozenset(change.image for change in changed.values()))
    kept = np.flatnonzero(left)
    if moved:
        kept = kept[_order(images, kept, labels, moved)]
    return replace(images.select(kept), labels=labels[kept]), kept, done


def _changes(digests: Digests, overlay: Overlay, split: str) -> dict[int, Change]:
    """Number of an image of a split -> its change."""
    wanted = {bytes.fromhex(image): change for image, change in overlay.in_split(split).items()}
    if not wanted or not len(digests):
        return {}
    keys = np.ascontiguousarray(digests[:, :8]).view(np.uint64)[:, 0]
    some = np.isin(keys, np.frombuffer(b"".join(key[:8] for key in wanted), np.uint64))
    found = {int(place): wanted.get(digests[place].tobytes()) for place in np.flatnonzero(some)}
    return {place: change for place, change in found.items() if change is not None}


def _order(images: ImageSet, kept: Indices, labels: Indices, moved: dict[int, tuple[str, str]]) -> Indices:
    """The order of the images that stay, as the exported folder would list them."""
    places = {int(place): number for number, place in enumerate(kept)}
    start = _class_folder(images)
    inside = [os.sep.join(images.path(int(place)).split(os.sep)[start:]) for place in kept]
    names = export_names(inside, {places[place]: change for place, change in moved.items() if place in places})
    of_kept = labels[kept].tolist()
    return np.array(sorted(range(len(kept)), key=lambda number: (of_kept[number], names[number])), np.int64)


def _class_folder(images: ImageSet) -> int:
    """How many parts of a path stand before the class: none where the classes lie in the root."""
    first = images.path(0).split(os.sep)[0]
    return int(first == images.split or (first == "train" and (images.root / "train").is_dir()))


# ── without a scan ──────────────────────────────────────────────────────────────────────────────────────────────────
def correct_listing(images: ImageSet, overlay: Overlay | None, classes: list[str], index: Path) -> ImageSet:
    """A split as the corrections say; the contents come from the scan index or are read now. Raises DataError."""
    if overlay is None or not overlay.changes or not len(images):
        return images
    return correct(images, digests_of(images.root, images.paths, index), overlay, classes)[0]


def digests_of(root: Path, paths: npt.NDArray[np.bytes_], index: Path) -> Digests:
    """The SHA-256 of each file, zero for one that cannot be read; files that did not change are not read again."""
    known = scan_index.read(index)
    places = scan_index.find(known, scan_index.keys_of(paths))

    def digest(number: int) -> bytes:
        path = os.path.join(root, os.fsdecode(bytes(paths[number])))
        if places[number] >= 0:
            entry = known[places[number]]
            try:
                status = os.stat(path)
            except OSError:
                return UNREADABLE
            if (status.st_size, status.st_mtime_ns) == (int(entry["size"]), int(entry["changed"])):
                return bytes(entry["digest"].tobytes())
        return file_digest(path)

    with ThreadPoolExecutor(cpu.cores()) as pool:
        found: Iterable[bytes] = pool.map(digest, range(len(paths)), chunksize=256)
        return np.frombuffer(b"".join(found), np.uint8).reshape(len(paths), _BYTES)
