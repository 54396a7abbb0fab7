"""Writes the image table of a data set from what a scan learned. Called by the scans of a training and of an audit."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from imgcls_lab import image_table
from imgcls_lab.audits.results import relative_reason
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.data.scan_index import Entries


def keep_table(
    scans: Path, sets: list[ImageSet], classes: list[str], entries: Entries, errors: dict[int, str]
) -> list[str]:
    """Replace the table. Returns a sentence if there is no place for it; nothing but pictures needs it.

    sets: all splits, with labels by their folders; entries: (n,), of all sets in turn; errors: why a file cannot be
    read, by its place in them.
    """
    root = sets[0].root
    rows = np.zeros(len(entries), image_table.ROW)
    for name in ("size", "changed", "width", "height"):
        rows[name] = entries[name]
    rows["digest"] = np.ascontiguousarray(entries["digest"]).view(np.uint8)
    rows["label"] = np.concatenate([images.labels for images in sets])
    rows["split"] = np.concatenate([np.full(len(images), _folder_split(images)) for images in sets])
    if errors:
        unread = list(errors)
        for name in ("digest", "width", "height"):
            rows[name][unread] = 0
    paths = np.concatenate([images.paths for images in sets])
    problems = {row: relative_reason(reason, root) for row, reason in errors.items()}
    try:
        image_table.write(image_table.table_path(scans, root), root, classes, rows, paths, problems=problems)
    except OSError as error:
        return [f"The table of the images cannot be kept in “{scans}”: {error.strerror or error}."]
    return []


def _folder_split(images: ImageSet) -> int:
    """The split that the folders give: images that a run holds out for validation lie in train/."""
    held_out = images.split == "val" and len(images) and images.path(0).split(os.sep)[0] != "val"
    return image_table.SPLITS.index("train" if held_out else images.split)
