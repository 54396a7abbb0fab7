"""The confusion of an evaluation as a list of cells, and a row for each class with its F1 over the epochs.

Works for any number of classes: no matrix of classes x classes is made.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from imgcls_lab import run_paths
from imgcls_lab.analysis.cache import identity
from imgcls_lab.analysis.evaluation import Evaluation
from imgcls_lab.memory_cache import CACHE
from imgcls_lab.run_layout import REPORTS, report_name
from imgcls_lab.schemas import ClassRow, ConfusionCell

MAX_CELLS = 10_000
TAKEN_FOR, ALL_TAKEN_FOR = 5, 20_000  # classes of a row, and of all rows together
TREND_EPOCHS = 60  # points of a sparkline
TREND_VALUES = 60_000  # of all rows together
_REPORT = re.compile(r"epoch-(\d{4,9})\.json")
# lists of thousands, which pydantic makes at once
_CELLS, _ROWS = TypeAdapter(list[ConfusionCell]), TypeAdapter(list[ClassRow])
Counts = npt.NDArray[np.int64]
Weights = npt.NDArray[np.int64] | npt.NDArray[np.float64]  # the second: of images drawn again


class Cells(NamedTuple):
    """The cells of the confusion matrix that are not 0, the most images first. All int64 (cells,)."""

    label: Counts
    predicted: Counts
    images: Counts


class ClassCounts(NamedTuple):
    """Images by true class, by predicted class, and right ones, (classes,)."""

    support: Weights
    predicted: Weights
    correct: Weights

    def f1(self) -> npt.NDArray[np.float64]:
        """F1 of each class; NaN of a class with neither images nor predictions."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return 2 * self.correct / (self.support + self.predicted)

    def recall(self) -> npt.NDArray[np.float64]:
        """Recall of each class; NaN of a class without images."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.correct / self.support


def count(evaluation: Evaluation) -> tuple[Cells, ClassCounts]:
    """The cells and the counts of an evaluation."""
    classes = len(evaluation.classes)
    labels, predicted = evaluation.labels.astype(np.int64), evaluation.predicted.astype(np.int64)
    pairs, images = np.unique(labels * classes + predicted, return_counts=True)
    order = np.argsort(-images, kind="stable")
    cells = Cells(pairs[order] // classes, pairs[order] % classes, images[order].astype(np.int64))
    right = labels[evaluation.correct]
    counts = ClassCounts(*(np.bincount(each, minlength=classes) for each in (labels, predicted, right)))
    return cells, counts


def shown_cells(cells: Cells, classes: Sequence[str]) -> tuple[list[ConfusionCell], int]:
    """The cells as the page gets them, mistakes before right ones, and how many are left out."""
    right = cells.label == cells.predicted
    order = np.concatenate([np.flatnonzero(~right), np.flatnonzero(right)])[:MAX_CELLS]
    return _CELLS.validate_python(_named(cells, order, classes)), len(cells.label) - len(order)


def _named(cells: Cells, places: npt.NDArray[np.intp], classes: Sequence[str]) -> list[dict[str, Any]]:
    rows = zip(*(column[places].tolist() for column in cells), strict=True)
    return [
        {"label": classes[label], "predicted": classes[predicted], "images": images}
        for label, predicted, images in rows
    ]


def class_rows(
    classes: Sequence[str], cells: Cells, counts: ClassCounts, trend: npt.NDArray[np.float32]
) -> list[ClassRow]:
    """A row for each class in the order of the outputs. trend: F1, (epochs, classes)."""
    taken = _taken_for(classes, cells)
    f1, by_class = counts.f1().tolist(), np.round(trend.astype(np.float64), 4).T.tolist()
    rows = []
    for number, (images, predicted, correct) in enumerate(zip(*(each.tolist() for each in counts), strict=True)):
        row: dict[str, Any] = {
            "name": classes[number],
            "images": images,
            "predicted": predicted,
            "precision": correct / predicted if predicted else None,
            "recall": correct / images if images else None,
            "f1": f1[number] if images + predicted else None,
            "f1_by_epoch": [None if math.isnan(value) else value for value in by_class[number]],
            "taken_for": taken.get(number, []),
        }
        rows.append(row)
    return _ROWS.validate_python(rows)


def _taken_for(classes: Sequence[str], cells: Cells) -> dict[int, list[dict[str, Any]]]:
    """What each class is taken for, the most images first."""
    wrong = np.flatnonzero(cells.label != cells.predicted)
    order = wrong[np.argsort(cells.label[wrong], kind="stable")]  # by class; within it still by images
    label = cells.label[order]
    first = np.flatnonzero(np.diff(label, prepend=-1))
    rank = np.arange(len(label)) - np.repeat(first, np.diff(first, append=len(label)))
    found: dict[int, list[dict[str, Any]]] = {}
    kept = order[rank < max(1, min(TAKEN_FOR, ALL_TAKEN_FOR // len(classes)))]
    for number, cell in zip(cells.label[kept].tolist(), _named(cells, kept, classes), strict=True):
        found.setdefault(number, []).append(cell)
    return found


# ── over the epochs ─────────────────────────────────────────────────────────────────────────────────────────────
def f1_over_epochs(folder: Path, classes: Sequence[str]) -> tuple[list[int], npt.NDArray[np.float32]]:
    """The epochs whose reports are drawn, oldest first, and the F1 of each class at each, float32 (epochs, classes).

    Of many epochs some are left out, evenly; the first and the last stay. A report that cannot be read is left out.
    """
    names = (_REPORT.fullmatch(name) for name in run_paths.names_in(folder, REPORTS))
    found = sorted(int(match[1]) for match in names if match)
    most = max(2, min(TREND_EPOCHS, TREND_VALUES // max(1, len(classes))))
    if len(found) > most:
        found = [found[place] for place in np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))]
    rows = {epoch: _f1_of(folder, report_name(epoch), classes) for epoch in found}
    kept = {epoch: row for epoch, row in rows.items() if row is not None}
    return [*kept], np.stack([*kept.values()]) if kept else np.zeros((0, len(classes)), np.float32)


def _f1_of(folder: Path, name: str, classes: Sequence[str]) -> npt.NDArray[np.float32] | None:
    def read() -> npt.NDArray[np.float32] | None:
        try:
            by_name = {row["name"]: row["f1"] for row in run_paths.read_json(folder, name)["classes"]}
            values = [by_name.get(name) for name in classes]
            return np.asarray([np.nan if value is None else value for value in values], np.float32)
        except (OSError, ValueError, KeyError, TypeError, OverflowError):  # of a report that is gone or damaged
            return None

    return CACHE.get(("f1", identity(folder, [name])), read, lambda made: 0 if made is None else made.nbytes)
