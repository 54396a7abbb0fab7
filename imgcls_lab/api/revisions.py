"""Corrections of a registered data set: relabel, exclude, undo, compare, import and export. Files are never touched.

Called by the command line and by `lab.dataset(...)`. An image is named by its id or by its path.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcls_lab.api import context
from imgcls_lab.api.validation import request
from imgcls_lab.dataset_export import ExportedFolder, Progress, export_folder
from imgcls_lab.dataset_images import DatasetImages
from imgcls_lab.errors import ConflictError, InputError
from imgcls_lab.image_table import SPLITS
from imgcls_lab.input_file import read_given
from imgcls_lab.run_layout import write_atomic
from imgcls_lab.schemas import RevisionDiff, RevisionEdit, RevisionView
from imgcls_lab.schemas.revisions import MAX_CHANGES

if TYPE_CHECKING:
    from imgcls_lab.schemas import DatasetView

MAX_FILE = 256_000_000  # bytes of a file of corrections
_ID = re.compile(r"[0-9a-f]{64}")
BY_HAND, RESTORED = "by hand", "restored"  # why a change was made
Paths = Sequence[str | os.PathLike[str]]


def revisions(dataset: str) -> Sequence[RevisionView]:
    """The revisions of a data set, newest first. dataset: its name or number, as in all functions here."""
    store = context.store()
    return store.revisions.list(store.datasets.find(dataset).id)


def diff(dataset: str, revision: int, against: int | None = None) -> RevisionDiff:
    """What differs between a revision and its parent, or another one. Raises NotFoundError."""
    store = context.store()
    return store.revisions.diff(store.datasets.find(dataset).id, revision, against)


def since(run: str) -> RevisionDiff:
    """What the newest revision of a run's data set changes against the corrections that the run trained with.

    Raises NotFoundError for a run whose data set is not registered.
    """
    return context.store().revisions.since(run)


def relabel(
    dataset: str, images: Paths, label: str, *, only: str | None = None, message: str = "", parent: int | None = None
) -> RevisionView:
    """Give images another class. All files with their content get it, or those of the split `only`.

    images: ids, or paths inside the data set; parent: the newest revision that the caller knows. Raises InputError for
    an image or a class that there is not, ConflictError where there is a newer revision than `parent`.
    """
    return _correct(dataset, images, {"label": label, "only": only, "why": BY_HAND}, message, parent)


def exclude(
    dataset: str, images: Paths, *, only: str | None = None, message: str = "", parent: int | None = None
) -> RevisionView:
    """Exclude images from training and evaluation, or from the split `only`: a copy stays elsewhere.

    Raises as `relabel`.
    """
    return _correct(dataset, images, {"excluded": True, "only": only, "why": BY_HAND}, message, parent)


def restore(
    dataset: str, images: Paths, *, only: str | None = None, message: str = "", parent: int | None = None
) -> RevisionView:
    """Let the folders of images say their class again, of all or of the split `only`. Raises as `relabel`."""
    return _correct(dataset, images, {"only": only, "why": RESTORED}, message, parent)


def correct(dataset: str, changes: Iterable[Mapping[str, Any]], *, message: str = "") -> RevisionView:
    """Make several corrections as one revision; each is a row as in a file of them. Raises as `relabel`."""
    store = context.store()
    found: DatasetView = store.datasets.find(dataset)
    images = DatasetImages.open(store.settings, found.root)
    wanted = [_change({"why": BY_HAND, **change}, images) for change in changes]
    return store.revisions.add(found.id, request(RevisionEdit, changes=wanted, message=message), images)


def undo(dataset: str, revision: int | None = None) -> RevisionView:
    """Add a revision that takes back what one changed, by default the newest. Raises NotFoundError, ConflictError."""
    store = context.store()
    return store.revisions.undo(store.datasets.find(dataset).id, revision)


def import_corrections(dataset: str, file: Path, *, message: str = "") -> list[RevisionView]:
    """Add the corrections in a CSV or JSON file as a revision, or as several where there are many.

    A row has `image` (an id) or `path`, and `label`, or `excluded`; `only` may name the one split that is meant.
    Nothing is added where a row is wrong, or two rows correct the same image in two ways. Raises InputError with the
    row.
    """
    store = context.store()
    found = store.datasets.find(dataset)
    rows = [*_rows(file)]
    if not rows:
        raise InputError(f"“{file}” holds no corrections.", reason="empty")
    images = DatasetImages.open(store.settings, found.root)
    said: dict[tuple[str, str], tuple[int, dict[str, Any]]] = {}  # image and split -> row and what it says
    for number, row in enumerate(rows, 1):
        try:
            change = _change(row, images)
            if not images.find(change["image"]):
                raise InputError(f"no file has the content {change['image']}.")
            if change.get("label") is not None and change["label"] not in found.classes:
                raise InputError(f"“{change['label']}” is no class of the data set.")
            first, same = said.setdefault((change["image"], change.get("split", "")), (number, change))
            if (same.get("label"), same.get("excluded")) != (change.get("label"), change.get("excluded")):
                raise InputError(f"row {first} corrects an image with the same content in another way.")
        except InputError as error:
            raise InputError(f"Row {number} of “{file}”: {error}", reason="row", row=number) from None
    changes = [change for _, change in said.values()]
    message = message or f"Imported from {file.name}"
    made = []
    for start in range(0, len(changes), MAX_CHANGES):
        edit = request(RevisionEdit, changes=changes[start : start + MAX_CHANGES], message=message)
        made.append(store.revisions.add(found.id, edit, images))
    return made


def export(
    dataset: str, out: Path | str, *, revision: int | None = None, progress: Progress | None = None
) -> ExportedFolder:
    """Write a data set as a revision, by default the newest, has it: a real folder of images.

    Hard links where the disk can, copies elsewhere. Raises ConflictError where `out` holds something, DiskFullError.
    """
    store = context.store()
    found = store.datasets.find(dataset)
    return export_folder(Path(found.root), store.revisions.overlay(found.id, revision), Path(out), progress)


def export_overlay(dataset: str, out: Path | str, *, revision: int | None = None) -> int:
    """Write the corrections alone into a file that `data_revision` takes. Returns how many there are.

    Raises ConflictError where the file exists.
    """
    store = context.store()
    overlay = store.revisions.overlay(store.datasets.find(dataset).id, revision)
    path = Path(out).expanduser()
    if os.path.lexists(path):
        raise ConflictError(f"“{path}” exists already. Name a new file.", reason="exists")
    try:
        write_atomic(path, overlay.to_json(), mode=0o644)
    except OSError as error:
        raise InputError(f"“{path}” cannot be written: {error.strerror}.") from None
    return len(overlay.changes)


# ── helpers ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _correct(dataset: str, paths: Paths, change: Mapping[str, Any], message: str, parent: int | None) -> RevisionView:
    """Make the same change of several images."""
    store = context.store()
    found: DatasetView = store.datasets.find(dataset)
    images = DatasetImages.open(store.settings, found.root)
    changes = [_change({**change, "image": path}, images) for path in paths]
    edit = request(RevisionEdit, changes=changes, message=message, parent=parent)
    return store.revisions.add(found.id, edit, images)


def _change(row: Mapping[str, Any], images: DatasetImages) -> dict[str, Any]:
    """A change as a request has it: the image by its id."""
    given = row.get("image") or row.get("path") or ""
    named = os.fspath(given) if isinstance(given, str | os.PathLike) else ""
    if not named:
        raise InputError("it names no image; give its path or its id.")
    image = named if _ID.fullmatch(named) else images.image_of(named)
    kept = {name: row[name] for name in ("label", "excluded", "why") if row.get(name) not in (None, "")}
    only = row.get("only") or None
    if only not in (None, *SPLITS):
        raise InputError(f"only={only!r} is no split; it is one of {', '.join(SPLITS)}.")
    return {"image": image, **kept, **({} if only is None else {"split": only})}


def _table(text: str, file: Path) -> list[dict[str, Any]]:
    """The rows of a CSV. Raises InputError where its header lacks a column."""
    reader = csv.DictReader(io.StringIO(text))
    columns = {*(reader.fieldnames or ())}
    if not columns & {"path", "image"} or not columns & {"label", "excluded"}:
        raise InputError(
            f"The first line of “{file}” must name the columns path (or image) and label (or excluded), with commas "
            "between them.",
            reason="columns",
        )
    return [*reader]


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of corrections. Raises InputError."""
    try:
        text = read_given(file.expanduser(), MAX_FILE).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"“{file}” cannot be read: {error.strerror}.", reason="unreadable") from None
    except UnicodeDecodeError:
        raise InputError(f"“{file}” is neither CSV nor JSON in UTF-8.", reason="unreadable") from None
    if text.lstrip()[:1] in ("[", "{"):
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"“{file}” is not valid JSON: {error}.", reason="unreadable") from None
        found = data.get("changes") if isinstance(data, dict) else data
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise InputError(f"“{file}” is no list of corrections.", reason="unreadable")
    else:
        try:
            found = _table(text, file)
        except csv.Error as error:
            raise InputError(f"“{file}” is not valid CSV: {error}.", reason="unreadable") from None
    for number, row in enumerate(found, 1):
        excluded = str(row.get("excluded") or "").lower() in ("1", "true", "yes", "x")
        label = row.get("label") or None
        if (label is None) is not excluded and (excluded or not row.get("only")):  # with `only`: restored there
            raise InputError(
                f"Row {number} of “{file}” must have either a label or excluded=1.", reason="row", row=number
            )
        yield {**row, "label": label, "excluded": excluded}
