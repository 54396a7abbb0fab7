"""What differs between two sums of corrections, image by image. Called by `store.revisions`; reads no row."""

from __future__ import annotations

from collections import Counter

from imgcls_lab.data_revision import Change, Changes, in_force, same
from imgcls_lab.dataset_images import DatasetImages
from imgcls_lab.schemas import ChangeView
from imgcls_lab.schemas.revisions import ChangeCounts


def difference(
    before: Changes, after: Changes, own: Changes, images: DatasetImages, limit: int
) -> tuple[dict[str, int], list[ChangeView], int]:
    """What differs: the number of images of each kind of change, the first changes by name, and how many there are.

    own: changes of the revision itself that restore, which know why.
    """
    changed = [key for key in {**before, **after} if not same(in_force(before, key), in_force(after, key))]
    facts = {key: after.get(key) or own.get(key) or before[key] for key in changed}
    changed.sort(key=lambda key: (facts[key].name, key))
    counts = Counter(kind_of(in_force(after, key)) for key in changed)
    views = [_change_view(facts[key], in_force(before, key), in_force(after, key), images) for key in changed[:limit]]
    return {kind: counts[kind] for kind in ChangeCounts.model_fields}, views, len(changed)


def kind_of(change: Change | None) -> str:
    """The field of a revision that counts it."""
    return "restored" if change is None or change.restores else "excluded" if change.excluded else "relabelled"


def _change_view(facts: Change, before: Change | None, after: Change | None, images: DatasetImages) -> ChangeView:
    return ChangeView(
        image=facts.image,
        name=facts.name,
        split=facts.split,
        before=before.state if before else facts.folder_label,
        label=after.state if after else facts.folder_label,
        why=facts.why,
        found=images.is_there(facts.image, facts.name),
    )
