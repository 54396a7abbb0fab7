"""The problems that files show without a model: unreadable, not taken, copies, look-alikes, quality.

Called by the audit's pipeline while the files are inspected, and when all are. Opens no file.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from imgcls_lab.audits import quality
from imgcls_lab.audits.copies import SAME_BITS, SAME_LEVELS, Group, Indices, Pairs, groups, same_content
from imgcls_lab.audits.results import Problem
from imgcls_lab.engine.audit.files import Files
from imgcls_lab.engine.data.duplicates import SMALLEST
from imgcls_lab.engine.data.phash import NEAR_BITS, NEAR_LEVELS, mirrored, near_pairs
from imgcls_lab.engine.data.scan_index import Entries
from imgcls_lab.image_files import suffix_of
from imgcls_lab.imagefolder import SPLITS
from imgcls_lab.schemas.audits import ProblemKind, QualityKind
from imgcls_lab.schemas.images import ImageView

_SAME_SHAPE = 0.02  # by which the ratio of width and height may differ in a scaled copy
_SAID: dict[QualityKind, str] = {
    "dark": "Almost all of it is dark.",
    "bright": "Almost all of it is white.",
    "blurred": "It has no sharp edges.",
    "low_information": "It shows little more than one tone.",
    "odd_size": "Its size is far from that of the others.",
    "odd_shape": "It is much longer than wide, or wider than long.",
    "greyscale": "It has no colour, while almost all others have.",
}


def find_problems(files: Files) -> Iterator[Problem]:
    """The problems of the files that were inspected so far; those of one kind in one piece, the worst first."""
    yield from _left_out(files)
    rows = files.readable
    entries = files.entries[rows]
    yield from _groups(files, rows, "copy", same_content(entries["digest"].view(np.uint8).reshape(len(rows), -1)))
    yield from _groups(files, rows, "look_alike", _look_alikes(entries))
    found = quality.find(files.qualities["values"][rows], entries["width"], entries["height"])
    for kind, flagged in found.items():
        for row, score in zip(rows[flagged.rows].tolist(), flagged.scores.tolist(), strict=True):
            yield Problem(kind, [files.view(row)], round(score, 4), reason=_SAID[kind])


def _left_out(files: Files) -> Iterator[Problem]:
    for row, reason in sorted(files.errors.items()):
        yield Problem("unreadable", [files.view(row)], reason=reason)
    for name in files.summary.skipped:
        first, _, rest = name.partition("/")
        split, folder = (first, rest) if first in SPLITS else ("train", name)
        label = folder.partition("/")[0]
        reason = f"It is no image of a known format ({suffix_of(name)})."
        image = ImageView(image="", name=name, split=split, label=label, folder_label=label, problem=reason)
        yield Problem("not_taken", [image], reason=reason)


def _groups(files: Files, rows: Indices, kind: ProblemKind, found: Iterator[Group]) -> Iterator[Problem]:
    """The groups as problems: those across splits first, then those across classes, then the surest."""
    listed = list(found)

    def place(group: Group) -> tuple[bool, bool, float, int]:
        there = rows[group.rows]
        one_split, one_class = len(np.unique(files.splits[there])) < 2, len(np.unique(files.labels[there])) < 2
        return one_split, one_class, -group.score, int(there[0])

    for group in sorted(listed, key=place):
        images = [files.view(row) for row in rows[group.rows].tolist()]
        yield Problem(kind, images, round(group.score, 4), reason=", ".join(group.reasons))


def _look_alikes(entries: Entries) -> Iterator[Group]:
    """The groups of files with different bytes that look the same, as they are or mirrored; with all their copies."""
    whole = np.ascontiguousarray(entries["digest"]).view("V32").ravel()
    _, first, content = np.unique(whole, return_index=True, return_inverse=True)
    likely = first[np.minimum(entries["width"], entries["height"])[first] >= SMALLEST]
    if len(likely) < 2:
        return
    some = entries[likely]
    hashes, tiny, count = some["print"], some["tiny"], len(some)
    straight = near_pairs(hashes, tiny, np.arange(count, dtype=np.int64))
    turned_hashes, turned_tiny = mirrored(hashes, tiny)
    sides = np.repeat(np.array([0, 1], np.int64), count)
    both = near_pairs(np.concatenate([hashes, turned_hashes]), np.concatenate([tiny, turned_tiny]), sides)
    turned: Indices = np.sort(both - np.array([0, count]), axis=1)
    turned = np.unique(turned[turned[:, 0] != turned[:, 1]], axis=0)
    keys = straight @ [count, 1]
    turned = turned[~np.isin(turned @ [count, 1], keys)]
    pairs = [
        _described(some, straight, hashes, tiny),
        _described(some, turned, turned_hashes, turned_tiny, mirror=True),
    ]
    copies = np.argsort(content, kind="stable")
    ends = np.cumsum(np.bincount(content))
    for group in groups(pairs, count):
        numbers = content[likely[group.rows]]
        rows = np.concatenate([copies[ends[number - 1] if number else 0 : ends[number]] for number in numbers])
        yield Group(np.sort(rows), group.reasons, group.score)


def _described(
    some: Entries, pairs: Indices, hashes: npt.NDArray[np.uint64], tiny: npt.NDArray[np.uint8], *, mirror: bool = False
) -> Pairs:
    """Why these pairs look the same, and how surely. hashes, tiny: of the second image of each pair."""
    one, other = pairs.T
    bits = np.bitwise_count(some["print"][one] ^ hashes[other])
    levels = np.abs(some["tiny"][one].astype(np.int16) - tiny[other]).mean((1, 2, 3))
    ratio = some["width"] / some["height"]
    shape = np.abs(ratio[one] / ratio[other] - 1) <= _SAME_SHAPE
    size = (some["width"][one] == some["width"][other]) & (some["height"][one] == some["height"][other])
    same = shape & (bits <= SAME_BITS) & (levels <= SAME_LEVELS)
    reasons = np.where(same & size, "re-encoded", np.where(same, "scaled", "looks the same")).tolist()
    scores = 1 - 0.5 * (bits / NEAR_BITS + levels / NEAR_LEVELS) / 2
    return Pairs(pairs, ["mirrored"] * len(pairs) if mirror else reasons, scores.astype(np.float32))
