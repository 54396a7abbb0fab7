"""`store.dataset_pages`: a data set's page and its images, page by page, with the corrections of a revision.

Called through `Store`. Reads the image table of the last scan and the summary of the newest audit; opens no image.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import func
from sqlmodel import Session, select

from imgcls_lab.audits import results
from imgcls_lab.audits.map_json import map_json
from imgcls_lab.audits.results import Summary
from imgcls_lab.data_revision import Changes, in_force
from imgcls_lab.errors import ConflictError
from imgcls_lab.events import RunKind
from imgcls_lab.image_table import SPLITS, ImageTable, Order
from imgcls_lab.schemas import ClassCounts, DatasetDetail, DatasetView, ImagePage, ImageView, MapView
from imgcls_lab.settings import Settings
from imgcls_lab.store.audits import Audits, find_dataset
from imgcls_lab.store.database import Database
from imgcls_lab.store.registry import Datasets
from imgcls_lab.store.revision_rows import newest_number, overlay_of
from imgcls_lab.store.tables import Run

_EXCLUDED = -1  # instead of a label


class ImageFilter(NamedTuple):
    """Which images of a data set, in which order; empty texts and None: all. label: after the revision."""

    split: str | None = None
    label: str | None = None
    text: str | None = None
    sort: Order = "name"
    descending: bool = False


class DatasetPages:
    """The pages of registered data sets."""

    def __init__(self, database: Database, settings: Settings, datasets: Datasets, audits: Audits) -> None:
        self._database = database
        self._settings = settings
        self._datasets = datasets
        self._audits = audits

    def detail(self, dataset_id: int, revision: int | None = None) -> DatasetDetail:
        """All that the page shows at first, by default at the newest revision. Raises NotFoundError."""
        view = self._datasets.get(dataset_id)
        with self._database.read() as session:
            newest = newest_number(session, dataset_id)
            number = newest if revision is None else revision
            changes = overlay_of(session, dataset_id, number).by_key if number else {}
            runs = select(func.count()).where(Run.dataset_id == dataset_id, Run.kind == RunKind.TRAIN.value)
            used = session.exec(runs).one()
        summary = self._audits.summary(dataset_id)
        known = summary if summary is not None and "files" in summary.stages and summary.root == view.root else None
        stale = known is not None and self._audits.is_stale(view.root, known)
        return DatasetDetail(
            dataset=view, revision=number, newest_revision=newest, classes=self._classes(view, changes),
            runs=used, stale=stale, **_scanned(known),
        )  # fmt: skip

    def images(
        self, dataset_id: int, wanted: ImageFilter, *, offset: int = 0, limit: int = 200, revision: int | None = None
    ) -> ImagePage:
        """A page of images, by default at the newest revision. Raises NotFoundError; ConflictError before a scan."""
        with self._database.read() as session:
            root = find_dataset(session, dataset_id).root
            changes = _changes(session, dataset_id, revision)
        table = self._table(root)
        labels = _labels(table, changes)
        chosen = table.select(split=wanted.split, text=wanted.text, sort=wanted.sort, descending=wanted.descending)
        if wanted.label is not None:
            number = table.classes.index(wanted.label) if wanted.label in table.classes else len(table.classes)
            chosen = chosen[labels[chosen] == number]
        items = [_image(table, int(row), int(labels[row])) for row in chosen[offset : offset + limit]]
        return ImagePage(items=items, offset=offset, total=len(chosen))

    def map(self, dataset_id: int) -> MapView:
        """The map of the newest audit. Raises as `map_json` does."""
        return MapView.model_validate_json(self.map_json(dataset_id))

    def map_json(self, dataset_id: int) -> bytes:
        """The JSON text of the map. Raises NotFoundError; ConflictError where the newest audit has none."""
        summary, folder = self._audits.summary(dataset_id), self._audits.folder(dataset_id)
        found = results.read_map(folder) if folder is not None and summary is not None else None
        if found is None or summary is None:
            raise ConflictError(
                "There is no map of this data set. Audit it with a model: its features make the map.", reason="no_map"
            )
        return map_json(found, model=summary.model, classes=summary.classes, splits=[*SPLITS])

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _table(self, root: str) -> ImageTable:
        table = ImageTable.read(self._settings, root)
        if table is None:
            raise ConflictError(
                "The images of this data set are not known yet. They are shown as soon as an audit has looked at its "
                "files.",
                reason="not_scanned",
            )
        return table

    def _classes(self, view: DatasetView, changes: Changes) -> list[ClassCounts]:
        """Readable images of each class and split, as an audit or a training saw them last; without counts before."""
        table = ImageTable.read(self._settings, view.root)
        if table is None:
            return [ClassCounts(name=name, images={}) for name in view.classes]
        labels, readable = _labels(table, changes), table.rows["width"] > 0
        counts = np.zeros((len(SPLITS), len(table.classes) + 1), np.int64)
        np.add.at(counts, (table.rows["split"][readable], labels[readable]), 1)  # the last column: excluded
        there = [split for number, split in enumerate(SPLITS) if np.any(table.rows["split"] == number)]
        return [
            ClassCounts(name=name, images={split: int(counts[SPLITS.index(split), number]) for split in there})
            for number, name in enumerate(table.classes)
        ]


def _scanned(summary: Summary | None) -> dict[str, Any]:
    if summary is None:
        return dict.fromkeys(("bytes", "formats", "sizes", "fingerprint"))
    return {name: getattr(summary, name) for name in ("bytes", "formats", "sizes", "fingerprint")}


def _changes(session: Session, dataset_id: int, revision: int | None) -> Changes:
    number = newest_number(session, dataset_id) if revision is None else revision
    return overlay_of(session, dataset_id, number).by_key if number else {}


def _labels(table: ImageTable, changes: Changes) -> npt.NDArray[np.int64]:
    """The class of each image after the changes, (n,); `_EXCLUDED` for one that is excluded."""
    labels = table.rows["label"].astype(np.int64)
    numbers = {name: number for number, name in enumerate(table.classes)}
    for image in {image for image, _ in changes}:
        for row in table.find(image):
            change = in_force(changes, (image, SPLITS[table.rows["split"][row]]))
            if change is not None:
                labels[row] = _EXCLUDED if change.excluded else numbers.get(change.label or "", labels[row])
    return labels


def _image(table: ImageTable, row: int, label: int) -> ImageView:
    found = table[row]
    return ImageView(
        image=found.image, name=found.name, folder_label=found.label, problem=found.problem, excluded=label < 0,
        label=found.label if label < 0 else table.classes[label],
        **{name: getattr(found, name) for name in ("split", "width", "height", "size")},
    )  # fmt: skip
