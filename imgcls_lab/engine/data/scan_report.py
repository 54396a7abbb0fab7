"""What a scan found, reported in three places: the manifest, the run's notices, and a file that lists the copies.

Called by the run's preparation, once a run. Decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from imgcls_lab import run_layout, staged_data
from imgcls_lab.engine.data.duplicates import Leak
from imgcls_lab.engine.data.image_set import ImageSet, class_counts
from imgcls_lab.engine.data.scan import ScanResult
from imgcls_lab.engine.data.split import Splits
from imgcls_lab.plurals import counted

LISTED = 1000  # links that are named
Notice = Callable[[str, Literal["info", "warning"]], None]


def data_facts(splits: Splits, scanned: ScanResult) -> dict[str, Any]:
    """The manifest's part about the data: counts, sizes in pixels, what was left out and why, copies."""
    found = scanned.duplicates
    exact = sum(leak.exact for leak in found.leaks)
    links = sorted([*splits.summary.outside, *splits.summary.lost])
    sets = {images.split: images for images in (splits.train, splits.val, splits.test)}
    return {
        "root": staged_data.named(splits.summary.root),
        "skipped_files": splits.summary.skipped_files,
        "fingerprint": scanned.fingerprint,
        **{f"{split}_images": len(images) for split, images in sets.items()},
        "counts": {split: _by_class(images, splits.summary.classes) for split, images in sets.items()},
        "sizes": {name: _quantiles(scanned.sizes[:, place]) for place, name in enumerate(("width", "height"))},
        "quarantined": scanned.quarantined,
        "links_left_out": len(links),
        "links": links[:LISTED],
        "duplicates": {
            "exact": exact,
            "near": len(found.leaks) - exact,
            "across_classes": len(found.across_classes),
            "repeated": found.repeated,
            "dropped": scanned.dropped,
        },
        "shared_groups": len(splits.shared_groups),
        "corrected": {name: getattr(scanned.corrected, name) for name in ("relabelled", "excluded", "gone")},
    }


def _by_class(images: ImageSet, classes: list[str]) -> dict[str, int]:
    return dict(zip(classes, class_counts(images.labels, len(classes)).tolist(), strict=True))


def _quantiles(values: npt.NDArray[np.uint32]) -> dict[str, float]:
    names = ("least", "quarter", "median", "three_quarters", "most")
    return dict(zip(names, np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist(), strict=True))


def write_duplicates(folder: Path, splits: Splits, scanned: ScanResult) -> None:
    """List the copies in the run's folder, if there are any."""
    found = scanned.duplicates
    if not (found.leaks or found.across_classes or splits.shared_groups):
        return
    content = {
        "across_splits": [leak._asdict() for leak in found.leaks],
        "across_classes": found.across_classes,
        "shared_groups": splits.shared_groups,
    }
    run_layout.write_atomic(folder / run_layout.DUPLICATES, json.dumps(content, indent=1))


def emit_notices(notice: Notice, splits: Splits, scanned: ScanResult) -> None:
    """Report it in sentences, each with one example."""
    for note in (*splits.summary.notes, *scanned.notes):
        notice(note, "info")
    bad = list(scanned.quarantined.values())
    if bad:
        notice(
            f"{counted(len(bad), 'image is', 'images are')} left out. {bad[0]}"
            + (f" The others are listed in {run_layout.MANIFEST}." if len(bad) > 1 else ""),
            "warning",
        )
    found = scanned.duplicates
    _notice_leaks(notice, [leak for leak in found.leaks if leak.exact], "are also training images", "is a copy of")
    _notice_leaks(notice, [leak for leak in found.leaks if not leak.exact], "look like training images", "looks like")
    if scanned.dropped:
        notice(
            f"{counted(scanned.dropped, 'training image is', 'training images are')} left out, as on_duplicates asks.",
            "info",
        )
    if found.across_classes:
        one, other = found.across_classes[0]
        notice(
            f"{counted(len(found.across_classes), 'image lies', 'images lie')} "
            f"under two classes: “{one}” and “{other}” are the same. All are "
            f"listed in {run_layout.DUPLICATES}.",
            "warning",
        )
    if found.repeated:
        notice(
            f"{counted(found.repeated, 'image is a further copy', 'images are further copies')} "
            f"of one in the same split.",
            "info",
        )
    if splits.shared_groups:
        notice(
            f"{counted(len(splits.shared_groups), 'group of images is', 'groups of images are')} "
            f"in train/ and in val/ or test/ too, such as "
            f"“{splits.shared_groups[0]}”, so metrics may look better than they are.",
            "warning",
        )


def _notice_leaks(notice: Notice, leaks: list[Leak], what: str, how: str) -> None:
    if leaks:
        notice(
            f"{len(leaks)} validation or test images {what}, so metrics may look better than they are: "
            f"“{leaks[0].other}” {how} “{leaks[0].train}”. All are listed in {run_layout.DUPLICATES}; see the setting "
            "on_duplicates.",
            "warning",
        )
