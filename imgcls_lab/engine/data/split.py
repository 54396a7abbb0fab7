"""The files of a run by name, split by split.

Called by the run's preparation and by evaluation; opens no image. `planning.holdout` decides which images validate
where there is no val/.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab import staged_data
from imgcls_lab.config import TrainConfig
from imgcls_lab.data_revision import Overlay
from imgcls_lab.engine.data.image_set import ImageSet, Indices, Reader
from imgcls_lab.errors import DataError
from imgcls_lab.imagefolder import FolderSummary, inspect_folder, list_images
from imgcls_lab.planning.holdout import groups_of, held_out

Paths = npt.NDArray[np.bytes_]


class Splits(NamedTuple):
    """The files of a run by split. test: empty where there is no test/.

    shared_groups: groups with images in train/ and in val/ or test/; overlay: corrections, which the scan applies.
    """

    summary: FolderSummary
    train: ImageSet
    val: ImageSet
    test: ImageSet
    shared_groups: list[str]
    overlay: Overlay | None = None


def list_splits(config: TrainConfig, train_reader: Reader, eval_reader: Reader) -> Splits:
    """The files of each split. Raises DataError with what is wrong and what to do, ConfigError for group_pattern."""
    summary = inspect_folder(staged_data.location(config.root))
    if summary.problem:
        raise DataError(summary.problem)
    paths, labels = list_split(summary, "train", summary.classes)
    if "val" in summary.splits:
        val_paths, val_labels = list_split(summary, "val", summary.classes)
    else:
        chosen = held_out(summary.root, paths, labels, config)
        val_paths, val_labels = paths[chosen], labels[chosen]
        paths, labels = paths[~chosen], labels[~chosen]
    test_paths, test_labels = list_split(summary, "test", summary.classes)
    shared: list[str] = []
    if config.group_pattern:
        others = [groups_of(p, config.group_pattern) for p in (val_paths, test_paths) if len(p)]
        shared = np.intersect1d(groups_of(paths, config.group_pattern), np.concatenate(others)).tolist()
    return Splits(
        summary,
        ImageSet(summary.root, "train", train_reader, paths, labels),
        ImageSet(summary.root, "val", eval_reader, val_paths, val_labels),
        ImageSet(summary.root, "test", eval_reader, test_paths, test_labels),
        shared,
    )


def list_split(summary: FolderSummary, split: str, classes: list[str]) -> tuple[Paths, Indices]:
    """Paths relative to the root and labels of the images of one split, none if it is not there."""
    paths, labels = list_images(summary, split, classes)
    return np.array([os.fsencode(path) for path in paths], np.bytes_), np.asarray(labels, np.int64)
