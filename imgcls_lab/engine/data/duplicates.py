"""Copies among the images of a run: equal or similar images on both sides of a split, equal ones under two classes.

Called by the scan, with what it noted of each file; opens no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.engine.data.phash import near_pairs
from imgcls_lab.engine.data.scan_index import Entries

SMALLEST = 32  # px; smaller pictures of one class look alike to a hash
Indices = npt.NDArray[np.int64]


class Leak(NamedTuple):
    """An image of val/ or test/ that training sees too. exact: the same bytes; else it looks the same."""

    train: str
    other: str
    exact: bool


@dataclass
class Duplicates:
    """leaks: one for each image of val/ and test/; across_classes: the same bytes under two classes; repeated: how
    many images are further copies of one in the same split; exact, near: the images of train, by number, that are in
    val/ or test/ as well.
    """

    leaks: list[Leak] = field(default_factory=list)
    across_classes: list[tuple[str, str]] = field(default_factory=list)
    repeated: int = 0
    exact: set[int] = field(default_factory=set)
    near: set[int] = field(default_factory=set)


def find_duplicates(entries: Entries, splits: Indices, labels: Indices, name: Callable[[int], str]) -> Duplicates:
    """Compare all images by content and by perceptual hash.

    entries, splits, labels: (n,), split 0 is train and comes first; name: the path of an image. n log n.
    """
    found = Duplicates()
    seen: set[int] = set()  # images of val/ and test/ that are exact copies
    for group in _same_content(entries):
        seen.update(_note_copies(found, group, splits[group], labels[group], name))
    likely = np.flatnonzero(np.minimum(entries["width"], entries["height"]) >= SMALLEST)
    outside = (splits[likely] > 0).astype(np.int64)
    partner: dict[int, int] = {}
    for one, other in likely[near_pairs(entries["print"][likely], entries["tiny"][likely], outside)].tolist():
        if other not in seen:
            partner.setdefault(other, one)
            found.near.add(one)
    found.leaks += [Leak(name(one), name(other), False) for other, one in sorted(partner.items())]
    return found


def _same_content(entries: Entries) -> Iterator[Indices]:
    """The groups of two and more images with the same content, each in ascending order."""
    contents = entries["digest"][:, 0]
    order = np.argsort(contents, kind="stable")
    starts = np.flatnonzero(np.diff(contents[order], prepend=contents[order[:1]] + np.uint64(1)))
    ends = np.append(starts[1:], len(order))
    for group in np.flatnonzero(ends - starts > 1):
        yield order[starts[group] : ends[group]]


def _note_copies(
    found: Duplicates, group: Indices, splits: Indices, labels: Indices, name: Callable[[int], str]
) -> list[int]:
    """Note what a group of copies means, whose splits and labels are given; returns those that train has as well."""
    train: list[int] = group[splits == 0].tolist()
    others: list[int] = group[splits > 0].tolist()
    found.repeated += len(group) - len(np.unique(splits))
    found.across_classes += [(name(int(group[0])), name(int(i))) for i in group[labels != labels[0]]]
    if not train:
        return []
    found.leaks += [Leak(name(train[0]), name(other), True) for other in others]
    found.exact.update(train if others else [])
    return others
