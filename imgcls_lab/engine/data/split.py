"""The files of a run by name, split by split; what is held out for validation where there is no val/.

Called by the run's preparation; opens no image. A share of each class is held out, or whole groups of images (the
photographs of one patient) that come as close to it as they can.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.image_set import ImageSet, Indices, Reader, class_counts
from imgcls_lab.engine.rng import Stream, generator
from imgcls_lab.errors import ConfigError, DataError, Problem
from imgcls_lab.imagefolder import FolderSummary, inspect_folder, list_images
from imgcls_lab.plurals import counted

Paths = npt.NDArray[np.bytes_]
Mask = npt.NDArray[np.bool_]
Shares = npt.NDArray[np.float64]


class Splits(NamedTuple):
    """test: empty where there is no test/; shared_groups: groups with images in train/ and in val/ or test/."""

    summary: FolderSummary
    train: ImageSet
    val: ImageSet
    test: ImageSet
    shared_groups: list[str]


def list_splits(config: TrainConfig, train_reader: Reader, eval_reader: Reader) -> Splits:
    """The files of each split. Raises DataError with what is wrong and what to do, ConfigError for group_pattern."""
    summary = inspect_folder(Path(os.path.expanduser(config.root)).absolute())
    if summary.problem:
        raise DataError(summary.problem)
    paths, labels = list_split(summary, "train", summary.classes)
    groups = groups_of(paths, config.group_pattern) if config.group_pattern else None
    if "val" in summary.splits:
        val_paths, val_labels = list_split(summary, "val", summary.classes)
    else:
        held_out = (
            hold_out(labels, config.val_fraction, config.seed)
            if groups is None
            else hold_out_groups(labels, groups, config.val_fraction, config.seed)
        )
        if not held_out.any():
            raise DataError(_nothing_to_hold_out(summary.root, groups))
        val_paths, val_labels = paths[held_out], labels[held_out]
        paths, labels = paths[~held_out], labels[~held_out]
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


def _nothing_to_hold_out(root: Path, groups: npt.NDArray[np.str_] | None) -> str:
    if groups is None:
        return f"“{root}” has no val/ and too few images to hold some out. Add val/CLASS, or more images."
    return (
        f"“{root}” has no val/, and no group of images can be held out without taking all images of a class: "
        f"group_pattern finds {len(np.unique(groups))}. Add val/CLASS, or choose a pattern with smaller groups."
    )


def hold_out(labels: Indices, fraction: float, seed: int) -> Mask:
    """Which images are kept for validation: the share of each class, at least one where a class has two."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(len(members) * fraction)), len(members) - 1)
        chosen[generator(seed, Stream.SPLIT, int(label)).permutation(members)[:count]] = True
    return chosen


def groups_of(paths: Paths, pattern: str) -> npt.NDArray[np.str_]:
    """The group of each image: what the pattern's first group matches in its path, relative to the root.

    Raises ConfigError if a path does not match.
    """
    expression = re.compile(pattern)
    found: list[str] = []
    missed: list[str] = []
    for path in map(os.fsdecode, map(bytes, paths)):
        match = expression.search(path)
        if match and match[1] is not None:
            found.append(match[1])
        else:
            missed.append(path)
    if missed:
        text = (
            f"group_pattern matches {len(found):,} of {counted(len(paths), 'image')}, "
            f"and not “{missed[0]}”. Write a pattern whose "
            "first group is found in every path, such as (patient[0-9]+)."
        )
        raise ConfigError(text, [Problem("group_pattern", text)])
    return np.asarray(found, np.str_)


def hold_out_groups(labels: Indices, groups: npt.NDArray[np.str_], fraction: float, seed: int) -> Mask:
    """Which images are kept for validation, whole groups only, each class as close to the share as they allow.

    Greedy: groups in random order, large ones first; one is held out if that brings the classes' shares nearer (in
    squares) to the wanted one. Then, small ones first, one for each class that has none yet. Never one that would
    take the last training images of a class.
    """
    _, member_of = np.unique(groups, return_inverse=True)
    order = np.argsort(member_of, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(member_of[order])) + 1)
    random: list[int] = generator(seed, Stream.SPLIT).permutation(len(members)).tolist()
    totals = class_counts(labels, int(labels.max(initial=0)) + 1)
    held = np.zeros(len(totals), np.int64)
    chosen = np.zeros(len(labels), bool)
    for wanted, sign in ((_is_nearer, -1), (_is_first, 1)):
        for number in sorted(random, key=lambda n, sign=sign: sign * len(members[n])):  # type: ignore[misc]
            group = members[number]
            touched, counts = np.unique(labels[group], return_counts=True)
            before, after = held[touched] / totals[touched], (held[touched] + counts) / totals[touched]
            if not chosen[group[0]] and (after < 1).all() and wanted(before, after, fraction):
                held[touched] += counts
                chosen[group] = True
    return chosen


def _is_nearer(before: Shares, after: Shares, fraction: float) -> bool:
    return bool(np.square(after - fraction).sum() < np.square(before - fraction).sum())


def _is_first(before: Shares, _after: Shares, _fraction: float) -> bool:
    return bool((before == 0).any())
