"""Which images two runs do not share, and which have another label: by their content, in whatever split they lie.

Read from the lists that runs keep of their images. A copy counts once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.analysis.cache import stored_images
from imgcls_lab.analysis.evaluation import RunFiles, load
from imgcls_lab.errors import ConflictError, NotFoundError
from imgcls_lab.image_files import printable
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ChangedImage, ImageChanges

MAX_LISTED = 100  # images of each kind
SPLITS = ("train", "val", "test")
Digests = npt.NDArray[np.bytes_]


class Listed(NamedTuple):
    """The images of a run, each content once: digests, sorted (n,); of each its name, split and label (n,)."""

    digests: Digests
    names: list[str]
    splits: npt.NDArray[np.int8]
    labels: npt.NDArray[np.str_]


def compare(run: RunFiles, other: RunFiles) -> ImageChanges:
    """What `run` has otherwise than `other`.

    Raises NotFoundError, ConflictError where a run kept no list of them, DataError.
    """
    now, before = _listed(run), _listed(other)
    places = np.searchsorted(before.digests, now.digests)
    found = np.minimum(places, max(0, len(before.digests) - 1))
    shared = before.digests[found] == now.digests if len(before.digests) else np.zeros(len(now.digests), bool)
    gone = np.ones(len(before.digests), bool)
    gone[found[shared]] = False
    mine, theirs = np.flatnonzero(shared), found[shared]
    relabelled = now.labels[mine] != before.labels[theirs]
    moved = (now.splits[mine] != before.splits[theirs]) & ~relabelled
    added, removed = np.flatnonzero(~shared), np.flatnonzero(gone)
    kinds = {
        "added": [_image(now, place) for place in added[:MAX_LISTED]],
        "removed": [_image(before, place) for place in removed[:MAX_LISTED]],
        "relabelled": [_change(before, now, pair) for pair in _pairs(theirs, mine, relabelled)],
        "moved": [_change(before, now, pair) for pair in _pairs(theirs, mine, moved)],
    }
    totals = {
        "added_total": len(added), "removed_total": len(removed), "relabelled_total": int(relabelled.sum()),
        "moved_total": int(moved.sum()),
    }  # fmt: skip
    facts = {"run_id": run.run_id, "against": other.run_id, "shared": len(mine)}
    return ImageChanges.model_validate({**facts, **kinds, **totals, "sentence": _sentence(totals, len(mine))})


def _listed(run: RunFiles) -> Listed:
    digests, names, splits, labels = [], [], [], []
    for number, split in enumerate(SPLITS):
        try:
            images = stored_images(run.folder, split)
            classes = np.asarray(images.classes, dtype=np.str_)
            of_each = images.labels if split == "train" else load(run, split).labels
        except NotFoundError:
            continue  # it has no such split, or has not come so far
        if images.digests is None or of_each is None:
            raise ConflictError(
                f"“{run.name}” was trained by a version that kept no hashes of its images, so they cannot be compared.",
                reason="no_digests",
                run=run.run_id,
            )
        digests.append(np.ascontiguousarray(images.digests).view("S32")[:, 0])
        names += [printable(images.name(place)) for place in range(len(images))]
        splits.append(np.full(len(images), number, np.int8))
        labels.append(classes[of_each])
    if not digests:
        raise NotFoundError(
            f"“{run.name}” has kept no list of its images. It comes with the first evaluation.",
            reason="no_predictions",
            run=run.run_id,
        )
    every, first = np.unique(np.concatenate(digests), return_index=True)
    return Listed(
        every, [names[place] for place in first], np.concatenate(splits)[first], np.concatenate(labels)[first]
    )


def _pairs(
    before: npt.NDArray[np.intp], now: npt.NDArray[np.intp], which: npt.NDArray[np.bool_]
) -> list[tuple[int, int]]:
    places = np.flatnonzero(which)[:MAX_LISTED]
    return [(int(before[place]), int(now[place])) for place in places]


def _image(listed: Listed, place: int) -> ChangedImage:
    split, label = SPLITS[listed.splits[place]], str(listed.labels[place])
    return ChangedImage(
        image=_id(listed, place), name=listed.names[place], split=split, label=label, before_split=split,
        before_label=label,
    )  # fmt: skip


def _change(before: Listed, now: Listed, pair: tuple[int, int]) -> ChangedImage:
    was, place = pair
    return _image(now, place).model_copy(
        update={"before_split": SPLITS[before.splits[was]], "before_label": str(before.labels[was])}
    )


def _id(listed: Listed, place: int) -> str:
    return bytes(listed.digests[place]).ljust(32, b"\0").hex()


def _sentence(totals: dict[str, int], shared: int) -> str:
    parts = [f"{counted(count, 'image')} {kind.removesuffix('_total')}" for kind, count in totals.items() if count]
    same = counted(shared, "image is in both", "images are in both")
    return f"{', '.join(parts) or 'The same images, with the same labels'}; {same}."
