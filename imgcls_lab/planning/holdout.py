"""Which training images are held out for validation where a data set has no val/.

Called by the engine, which splits by it, and by the previews of a run, which count by it. It opens no image. A fraction
of each class is held out, or whole groups of images (the photographs of one patient) that come close to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt
import regex

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, DataError, Problem
from imgcls_lab.imagefolder import FolderSummary, list_images
from imgcls_lab.planning.seeding import Stream, generator
from imgcls_lab.plurals import counted

PATTERN_SECONDS, PATH_SECONDS = 10.0, 0.5  # for all paths of a data set, and for one
Labels = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Fractions = npt.NDArray[np.float64]


def held_out(root: Path, paths: Collection[bytes], labels: Labels, config: TrainConfig) -> Mask:
    """Which training images are held out, shape (images,).

    paths: of the images, relative to the root, as the file system has them. Raises DataError if none can be held out,
    ConfigError if group_pattern does not match a path.
    """
    groups = groups_of(paths, config.group_pattern) if config.group_pattern else None
    chosen = (
        hold_out(labels, config.val_fraction, config.seed)
        if groups is None
        else hold_out_groups(labels, groups, config.val_fraction, config.seed)
    )
    if not chosen.any():
        raise DataError(*_nothing_to_hold_out(root, groups))
    return chosen


def count_held_out(summary: FolderSummary, config: TrainConfig) -> int:
    """How many training images `held_out` chooses; 0 where there is a val/. Lists files only if they have groups.

    Raises DataError and ConfigError as `held_out` does, OSError if a folder cannot be read.
    """
    if "val" in summary.splits:
        return 0
    if config.group_pattern:
        paths, labels = list_images(summary, "train", summary.classes)
        names = [os.fsencode(path) for path in paths]
        return int(held_out(summary.root, names, np.asarray(labels, np.int64), config).sum())
    classes = summary.splits["train"].values()
    count = sum(held_out_of_class(images, config.val_fraction) for images in classes)
    if not count:
        raise DataError(*_nothing_to_hold_out(summary.root, None))
    return count


def held_out_of_class(images: int, fraction: float) -> int:
    """How many images of a class are held out: at least one where there are two, and never the last one."""
    return max(0, min(max(1, round(images * fraction)), images - 1))


def hold_out(labels: Labels, fraction: float, seed: int) -> Mask:
    """Which images are held out, class by class."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = held_out_of_class(len(members), fraction)
        chosen[generator(seed, Stream.SPLIT, int(label)).permutation(members)[:count]] = True
    return chosen


def groups_of(paths: Collection[bytes], pattern: str) -> npt.NDArray[np.str_]:
    """The group of each image: what the pattern's first group matches in its path, relative to the root.

    Raises ConfigError if a path does not match, or if matching takes longer than a limit: Python's own `re`
    has no limit, and holds up every thread of the process meanwhile.
    """
    try:
        expression = regex.compile(pattern)
    except regex.error as error:
        text = f"group_pattern is no regular expression: {error}."
        raise ConfigError(text, [Problem("group_pattern", text)]) from None
    until = time.monotonic() + PATTERN_SECONDS
    found: list[str] = []
    missed: list[str] = []
    for path in map(os.fsdecode, map(bytes, paths)):
        left = min(PATH_SECONDS, until - time.monotonic())
        try:
            match = expression.search(path, timeout=max(0.001, left), concurrent=True)
        except TimeoutError:
            text = (
                f"group_pattern takes too long: more than {PATH_SECONDS:g} s for “{path[:200]}”, or more than "
                f"{PATTERN_SECONDS:g} s for {counted(len(paths), 'path')}. Write one without repetitions inside "
                "repetitions, such as (patient[0-9]+)."
            )
            raise ConfigError(text, [Problem("group_pattern", text)]) from None
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


def hold_out_groups(labels: Labels, groups: npt.NDArray[np.str_], fraction: float, seed: int) -> Mask:
    """Which images are held out, whole groups only, each class as close to the fraction as they allow.

    Greedy: groups in random order, large ones first. A group is held out if that brings the fractions of its classes
    nearer (in squares) to the wanted one. Then, small ones first, one group for each class that has none yet. No group
    is held out that would take the last training images of a class.
    """
    _, member_of = np.unique(groups, return_inverse=True)
    order = np.argsort(member_of, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(member_of[order])) + 1)
    random: list[int] = generator(seed, Stream.SPLIT).permutation(len(members)).tolist()
    totals = np.bincount(labels)
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


def _is_nearer(before: Fractions, after: Fractions, fraction: float) -> bool:
    return bool(np.square(after - fraction).sum() < np.square(before - fraction).sum())


def _is_first(before: Fractions, _after: Fractions, _fraction: float) -> bool:
    return bool((before == 0).any())


def _nothing_to_hold_out(root: Path, groups: npt.NDArray[np.str_] | None) -> tuple[str, list[Problem]]:
    if groups is None:
        text = f"“{root}” has no val/ and too few images to hold some out. Add val/CLASS, or more images."
        return text, [Problem("root", text)]
    text = (
        f"“{root}” has no val/, and no group of images can be held out without taking all images of a class: "
        f"group_pattern finds {len(np.unique(groups))}. Add val/CLASS, or choose a pattern with smaller groups."
    )
    return text, [Problem("group_pattern", text)]
