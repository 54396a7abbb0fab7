"""`store.revisions`: corrections of a data set as revisions, each on top of the one before; files are never touched.

Called through `Store`. Undoing is a revision, too, so nothing is ever taken back. `overlay` gives what a run applies.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.data_revision import (
    CHANGES,
    Change,
    Changes,
    Key,
    Overlay,
    flatten,
    in_force,
    in_split,
    of_folder,
    revision_digest,
    same,
)
from imgcls_lab.dataset_images import DatasetImages, Place
from imgcls_lab.errors import ConflictError, InputError, NotFoundError, Problem, unknown
from imgcls_lab.image_files import named, printable
from imgcls_lab.image_table import SPLITS
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ChangeEdit, RevisionDiff, RevisionEdit, RevisionView
from imgcls_lab.schemas.revisions import MAX_LISTED, ChangeCounts
from imgcls_lab.settings import Settings
from imgcls_lab.store import audit, rights
from imgcls_lab.store.database import Database
from imgcls_lab.store.revision_diffs import difference, kind_of
from imgcls_lab.store.revision_rows import (
    changes_of,
    find_dataset,
    newest_number,
    no_revision,
    overlay_for,
    overlay_of,
    revision_views,
)
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import Dataset, DatasetRevision


class Revisions:
    """The revisions of all data sets. A data set is named by its id, a revision by its number; 0: the folders."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────
    def list(self, dataset_id: int) -> Sequence[RevisionView]:
        """All revisions of a data set, newest first. Raises NotFoundError."""
        with self._database.read() as session:
            find_dataset(session, dataset_id)
            return revision_views(session, dataset_id)

    def newest(self, dataset_id: int) -> int:
        """The number of the newest revision; 0: there is none. Raises NotFoundError."""
        with self._database.read() as session:
            find_dataset(session, dataset_id)
            return newest_number(session, dataset_id)

    def overlay(self, dataset_id: int, number: int | None = None) -> Overlay:
        """What a revision, by default the newest, says of all images. Raises NotFoundError."""
        with self._database.read() as session:
            find_dataset(session, dataset_id)
            return overlay_of(session, dataset_id, newest_number(session, dataset_id) if number is None else number)

    def for_config(self, config: TrainConfig) -> Overlay | None:
        """The corrections that a config means, None where it names none. Raises NotFoundError, DataError."""
        with self._database.read() as session:
            dataset_id = session.exec(select(Dataset.id).where(Dataset.root == config.root)).first()
            return overlay_for(session, config, dataset_id)

    def diff(self, dataset_id: int, number: int, against: int | None = None, limit: int = MAX_LISTED) -> RevisionDiff:
        """What differs between a revision and its parent, or another one. Raises NotFoundError."""
        with self._database.read() as session:
            dataset = find_dataset(session, dataset_id)
            view = revision_views(session, dataset_id, number)[0] if number else None
            other = (view.parent if view else 0) if against is None else against
            after, before = (overlay_of(session, dataset_id, of).by_key for of in (number, other))
            restores = changes_of(session, dataset_id, number) if view and view.restored else []
            own = {change.key: change for change in restores}
        images = DatasetImages.open(self._settings, dataset.root)
        counts, views, total = difference(before, after, own, images, limit)
        more = total - len(views)
        return RevisionDiff(revision=view, against=other, changes=views, total=total, more=more, **counts)

    def since(self, run: str, limit: int = MAX_LISTED) -> RevisionDiff:
        """What the newest revision of a run's data set changes against the corrections that the run trained with.

        Raises NotFoundError for a run whose data set is not registered; DataError, StoreError for damaged corrections.
        """
        with self._database.read() as session:
            row = find_run(session, run)
            if row.dataset_id is None:
                raise NotFoundError(f"The data set of “{row.name}” is not registered.", reason="not_registered")
            dataset = find_dataset(session, row.dataset_id)
            newest = newest_number(session, row.dataset_id)
            view = revision_views(session, row.dataset_id, newest)[0] if newest else None
            after = overlay_of(session, row.dataset_id, newest).by_key
            number = (row.data_revision if row.data_revision_digest else 0) or 0
            revision = overlay_of(session, row.dataset_id, min(number, newest))
        trained: tuple[int | None, Overlay | None] = (number, revision)
        if row.data_revision_digest not in ("", revision.digest):  # it had them from a file
            trained = (None, of_folder(self._settings.run_dir(row.id)))
        against, overlay = trained
        before = {} if overlay is None else overlay.by_key
        images = DatasetImages.open(self._settings, dataset.root)
        counts, views, total = difference(before, after, {}, images, limit)
        more = total - len(views)
        return RevisionDiff(revision=view, against=against, changes=views, total=total, more=more, **counts)

    # ── changing ────────────────────────────────────────────────────────────────────────────────────────────
    def add(self, dataset_id: int, edit: RevisionEdit, images: DatasetImages | None = None) -> RevisionView:
        """Correct images. images: of this data set, where the caller has looked for some in it.

        Raises NotFoundError, ForbiddenError; InputError for an image or a class that the data set does not have, and
        where nothing would change; ConflictError where there is a newer revision than the parent named.
        """
        with self._database.read() as session:
            dataset = find_dataset(session, dataset_id)
        images = images or DatasetImages.open(self._settings, dataset.root)
        places = {_key(change): _places(images, change) for change in edit.changes}
        _check_edit(edit, dataset, places)
        with self._database.write() as session:
            row, parent = _lock(session, dataset_id, edit.parent)
            before = overlay_of(session, dataset_id, parent).by_key
            by, now = audit.actor_of(session).user, round(time.time(), 3)
            wanted = {_key(change): _change(change, places[_key(change)], by, now) for change in edit.changes}
            changes = [
                change
                for (image, only), change in wanted.items()
                if (only and (image, "") in wanted) or _differs(before, change)
            ]
            changes += _excluded_from_one(before, edit, wanted)
            after = flatten([before.values(), changes])
            if all(same(in_force(before, key), in_force(after, key)) for key in {**before, **after}):
                what = (
                    "The image has this label" if len(wanted) == 1 else f"All {len(wanted):,} images have these labels"
                )
                raise InputError(f"{what} already, so there is nothing to correct.", reason="no_change")
            number = _insert(session, row, parent, changes, edit.message)
            view = revision_views(session, dataset_id, number)[0]
        view.notes += _notes(images, dataset, changes, after)
        return view

    def undo(self, dataset_id: int, number: int | None = None) -> RevisionView:
        """Add a revision that takes back what a revision, by default the newest, changed.

        Images that later revisions changed again stay as those left them; the answer's notes say how many. Raises
        NotFoundError, ForbiddenError; ConflictError where nothing of it is left to undo.
        """
        with self._database.write() as session:
            row, newest = _lock(session, dataset_id, None)
            number = newest if number is None else number
            if number == 0:
                raise NotFoundError(f"The data set “{row.name}” has no corrections that could be undone.")
            if number > newest:
                raise no_revision(session, dataset_id, number)
            before = overlay_of(session, dataset_id, number - 1).by_key
            own = changes_of(session, dataset_id, number)
            images = {change.image for change in own}
            later = {c.image for of in range(number + 1, newest + 1) for c in changes_of(session, dataset_id, of)}
            by, now = audit.actor_of(session).user, round(time.time(), 3)
            there = overlay_of(session, dataset_id, newest).by_key
            taken_back = [
                _taken_back(change, in_force(before, change.key), by, now)
                for change in {**before, **there, **{change.key: change for change in own}}.values()
                if change.image in images and change.image not in later
            ]
            if not taken_back:
                raise ConflictError(
                    f"Later revisions changed all images of revision {number} of “{row.name}” again, so nothing of it "
                    "is left to undo.",
                    reason="nothing_to_undo",
                )
            made = _insert(session, row, newest, taken_back, f"Undo of revision {number}")
            view = revision_views(session, dataset_id, made)[0]
        left = len(images) - len({change.image for change in taken_back})
        if left:
            view.notes.append(f"{counted(left, 'image stays', 'images stay')} as later revisions left them.")
        return view


def _lock(session: Session, dataset_id: int, parent: int | None) -> tuple[Dataset, int]:
    """The data set, held until the commit, and its newest revision. Raises as `Revisions.add`."""
    row = session.exec(select(Dataset).where(Dataset.id == dataset_id).with_for_update()).first()
    if row is None:
        raise NotFoundError(f"There is no data set {dataset_id}.")
    rights.check(session, "corrected", row)
    newest = newest_number(session, dataset_id)
    if parent is not None and parent > newest:
        raise no_revision(session, dataset_id, parent)
    if parent is not None and parent != newest:
        raise _newer(row.name, parent, newest)
    return row, newest


def _newer(name: str, parent: int, newest: int) -> ConflictError:
    return ConflictError(
        f"The corrections were made on revision {parent} of “{name}”, and there is a newer revision {newest} now. Look "
        f"at what it changed (`imgcls-lab datasets diff {name!r} {newest} {parent}`), then send them again on top of "
        f"{newest}.",
        reason="newer_revision",
        parent=parent,
        newest=newest,
    )


def _insert(session: Session, dataset: Dataset, parent: int, changes: Sequence[Change], message: str) -> int:
    """Add a revision on top of `parent`, the newest. Returns its number."""
    assert dataset.id is not None  # noqa: S101
    before = overlay_of(session, dataset.id, parent)
    after = flatten([before.changes, changes])
    new = [change for change in changes if _differs(before.by_key, change)]
    kinds = Counter(map(kind_of, new))
    values: dict[str, Any] = {
        "dataset_id": dataset.id,
        "number": parent + 1,
        "parent": parent,
        "digest": revision_digest(before.digest if parent else "", changes),
        "author": audit.actor_of(session).user,
        "created_at": time.time(),
        "message": message,
        "files": sum(change.files for change in new),
        **{kind: kinds[kind] for kind in ChangeCounts.model_fields},
        "total": len({image for image, _ in after}),
        "changes": [change.facts() for change in changes],
    }
    row = DatasetRevision(**values)
    try:
        session.add(row)
        session.flush()
    except IntegrityError:
        raise _newer(dataset.name, parent, parent + 1) from None
    session.info.setdefault("revised", set()).add(dataset.id)
    audit.record(session, "corrected", dataset, revision=row.number, images=len({change.image for change in new}))
    return row.number


# ── one change ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _check_edit(edit: RevisionEdit, dataset: Dataset, places: Mapping[Key, list[Place]]) -> None:
    """Raises InputError for images and classes that the data set does not have."""
    wrong = []
    said: dict[Key, ChangeEdit] = {}
    for place, change in enumerate(edit.changes):
        before = said.setdefault(_key(change), change)
        if change.excluded and change.label is not None:
            wrong.append(Problem(f"changes.{place}", "Give an image a label or exclude it, not both."))
        elif change.label is not None and dataset.problem and not dataset.classes:
            wrong.append(
                Problem(f"changes.{place}.label", dataset.problem)
            )  # its folder is away, so it has no class now
        elif change.label is not None and change.label not in dataset.classes:
            text = unknown("class", change.label, dataset.classes)
            wrong.append(
                Problem(f"changes.{place}.label", f"{text} A new class needs a folder in train/ and a rescan.")
            )
        elif (before.label, before.excluded) != (change.label, change.excluded):
            text = f"The image {change.image[:12]}… is corrected twice, and not in the same way: copies are one image."
            wrong.append(Problem(f"changes.{place}", text))
        elif not places[_key(change)]:
            where = f" in {change.split}/" if change.split else ""
            text = (
                f"No file of “{dataset.name}”{where} has the content {change.image[:12]}…. If files changed, rescan it."
            )
            wrong.append(Problem(f"changes.{place}.image", text))
    if wrong:
        more = f" So it is with {len(wrong) - 1:,} more." if len(wrong) > 1 else ""
        raise InputError(f"These corrections cannot be made. {wrong[0].message}{more}", wrong[:50], reason="wrong")


def _places(images: DatasetImages, edit: ChangeEdit) -> list[Place]:
    """The files that a change is about."""
    return [place for place in images.find(edit.image) if edit.split in (None, place.split)]


def _change(edit: ChangeEdit, places: Sequence[Place], by: str, now: float) -> Change:
    first = next((place for place in places if place.split == "train"), places[0])
    label = edit.label if any(place.label != edit.label for place in places) else None
    (made,) = CHANGES.validate_python([
        {
            "image": edit.image, "label": label, "excluded": edit.excluded, "only": edit.split or "", "why": edit.why,
            "by": by, "at": now, "name": printable(first.path), "split": first.split, "folder_label": first.label,
            "files": len(places),
        }
    ])  # fmt: skip
    return made


def _key(edit: ChangeEdit) -> Key:
    return edit.image, edit.split or ""


def _differs(before: Changes, after: Change) -> bool:
    """Whether files are something else after a change; one of all splits, also those of one split."""
    if not after.only and any((after.image, split) in before for split in SPLITS):
        return True
    return not same(in_force(before, after.key), after)


def _excluded_from_one(before: Changes, edit: RevisionEdit, wanted: Mapping[Key, Change]) -> list[Change]:
    """The changes that exclude files from one split, of images that get a label in all splits: these stay excluded."""
    labelled = [change.image for change in edit.changes if change.split is None and change.label is not None]
    keys = [(image, split) for image in labelled for split in SPLITS if (image, split) not in wanted]
    return [before[key] for key in keys if key in before and before[key].excluded]


def _taken_back(change: Change, before: Change | None, by: str, now: float) -> Change:
    """The change that makes an image again what it was before `change`."""
    label, excluded = (before.label, before.excluded) if before else (None, False)
    return replace(change, label=label, excluded=excluded, why="undo", by=by, at=now)


def _notes(images: DatasetImages, dataset: Dataset, changes: Sequence[Change], after: Changes) -> list[str]:
    """What is worth knowing of a revision: copies that were changed together, and classes without an image."""
    notes = []
    copies = sum(change.files for change in changes) - len(changes)
    if copies:
        notes.append(
            f"{counted(copies, 'further file has', 'further files have')} the same content as a corrected image, and "
            "so the same correction."
        )
    if any(change.split == "train" for change in changes):
        empty = _emptied(images, dataset.classes, after)
        if empty:
            notes.append(
                f"No training image of the class {named(empty)} is left, so no run can train on this revision. "
                "Give the class an image, or undo the revision."
            )
    return notes


def _emptied(images: DatasetImages, classes: Iterable[str], after: Changes) -> list[str]:
    """The classes that have no training image under these corrections."""
    counts = images.count_by_class("train")
    for change in in_split(after.values(), "train").values():
        for place in images.find(change.image):
            if place.split == "train" and not change.restores:
                counts[place.label] -= 1
                if change.label is not None:
                    counts[change.label] += 1
    return [name for name in classes if counts[name] <= 0]
