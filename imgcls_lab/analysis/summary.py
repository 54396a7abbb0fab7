"""An evaluation with all that its page draws: metrics with intervals, confusion, classes, thresholds, reliability.

`view` serves the route, the live cell and Python. Metrics are those of the run's report, so that all places agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from imgcls_lab import predictions
from imgcls_lab.analysis import class_table
from imgcls_lab.analysis.class_table import Cells, ClassCounts
from imgcls_lab.analysis.evaluation import Evaluation, Floats, RunFiles, load
from imgcls_lab.errors import NotFoundError
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import EpochReport, EvaluationView, ReliabilityBin, ThresholdCurve

Z = 1.959963984540054  # standard normal quantile of a 95 % interval
LIMITS = (0.025, 0.975)
RESAMPLES = 400
MAX_RESAMPLED = 1000  # cells of the confusion up to which a bootstrap is quick: 0.1 s
Interval = tuple[float, float]
ReadReport = Callable[[int | None, str], EpochReport]


def view(run: RunFiles, split: str, epoch: int | None, read_report: ReadReport) -> EvaluationView:
    """The evaluation of an epoch on val/, by default the best, or that on test/. Raises NotFoundError, DataError.

    read_report: gives the report of an epoch and split, or raises NotFoundError.
    """
    evaluation = load(run, split, epoch)
    cells, counts = class_table.count(evaluation)
    notes: list[str] = []
    values = _values(evaluation, counts, read_report, notes)
    epochs = predictions.epochs(run.folder)
    trend_epochs, trend = (
        class_table.f1_over_epochs(run.folder, evaluation.classes)
        if split == "val"
        else ([], np.zeros((0, len(evaluation.classes)), np.float32))
    )
    shown, left_out = class_table.shown_cells(cells, evaluation.classes)
    _note_what_is_missing(evaluation, notes)
    found: dict[str, Any] = {
        "run_id": run.run_id,
        "epoch": evaluation.epoch,
        "split": split,
        "images": len(evaluation),
        "epochs": epochs,
        "best_epoch": run.best_epoch,
        "has_test": predictions.has_test(run.folder),
        "values": values,
        "intervals": intervals(evaluation, cells, counts, values),
        "class_names": evaluation.classes,
        "classes": class_table.class_rows(evaluation.classes, cells, counts, trend),
        "trend_epochs": trend_epochs,
        "cells": shown,
        "cells_left_out": left_out,
        "thresholds": threshold_curve(evaluation.confidence, evaluation.correct),
        "reliability": reliability(evaluation.confidence, evaluation.correct),
        "temperature": None,
        "calibrated": [],
        "calibrated_error": None,
        "abstention": None,
        "notes": notes,
    }
    return EvaluationView.model_construct(**found)


def _values(
    evaluation: Evaluation, counts: ClassCounts, read_report: ReadReport, notes: list[str]
) -> dict[str, float | None]:
    """The metrics of the report. Where it is gone, those that the predictions give."""
    try:
        return read_report(evaluation.epoch, evaluation.split).values
    except NotFoundError as error:
        notes.append(f"{error} Accuracy, macro F1 and balanced accuracy are computed from the predictions.")
    return {
        "metric/accuracy": float(evaluation.correct.mean()) if len(evaluation) else None,
        "metric/macro_f1": _mean(counts.f1()),
        "metric/balanced_accuracy": _mean(counts.recall()),
    }


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _note_what_is_missing(evaluation: Evaluation, notes: list[str]) -> None:
    if evaluation.held.losses is None:
        known = int(np.count_nonzero(np.isfinite(evaluation.losses)))
        notes.append(
            f"This run is of an older version and kept no losses. {counted(known, 'image has', 'images have')} a loss "
            "by the stored probability; those whose class is not among the five likeliest have none."
        )
    if evaluation.images.digests is None:
        notes.append(
            "This run is of an older version and kept no ids of its images, so they cannot be followed to other runs."
        )
    unknown = int(np.count_nonzero(np.isnan(evaluation.confidence)))
    if unknown:
        notes.append(
            f"The model gave no number for {counted(unknown, 'image')}: its outputs were not finite. They count as "
            "predictions without confidence."
        )


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────────────
def intervals(
    evaluation: Evaluation, cells: Cells, counts: ClassCounts, values: dict[str, float | None]
) -> dict[str, Interval]:
    """95 % intervals by tag: Wilson's of accuracies, a normal one of the loss, a bootstrap where it is quick."""
    images, found = len(evaluation), dict[str, Interval]()
    if images == 0:
        return found
    for tag, value in values.items():
        if value is not None and (tag == "metric/accuracy" or tag.startswith("metric/top")):
            found[tag] = wilson(value, images)
    losses = evaluation.losses
    if f"loss/{evaluation.split}" in values and images > 1 and np.isfinite(losses).all():
        mean, error = float(losses.mean(dtype=np.float64)), float(losses.std(ddof=1)) / math.sqrt(images)
        found[f"loss/{evaluation.split}"] = mean - Z * error, mean + Z * error
    if len(cells.images) <= MAX_RESAMPLED:
        found |= {tag: interval for tag, interval in bootstrap(cells, len(counts.support)).items() if tag in values}
    return found


def wilson(fraction: float, images: int) -> Interval:
    """Wilson's score interval of a fraction (Wilson, 1927)."""
    scale = 1 + Z**2 / images
    centre = (fraction + Z**2 / (2 * images)) / scale
    half = Z / scale * math.sqrt(fraction * (1 - fraction) / images + Z**2 / (4 * images**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap(cells: Cells, classes: int) -> dict[str, Interval]:
    """Percentile intervals of macro F1 and balanced accuracy, of images drawn again (Efron, 1979). Always the same."""
    images = int(cells.images.sum())
    drawn = np.random.default_rng(0).multinomial(images, cells.images / images, size=RESAMPLES)
    right = cells.label == cells.predicted
    f1, recall = np.empty(RESAMPLES), np.empty(RESAMPLES)
    for number, weights in enumerate(drawn):
        support, predicted = (np.bincount(each, weights, classes) for each in (cells.label, cells.predicted))
        sample = ClassCounts(support, predicted, np.bincount(cells.label[right], weights[right], classes))
        f1[number], recall[number] = np.nanmean(sample.f1()), np.nanmean(sample.recall())
    quantiles = {"metric/macro_f1": np.quantile(f1, LIMITS), "metric/balanced_accuracy": np.quantile(recall, LIMITS)}
    return {tag: (float(low), float(high)) for tag, (low, high) in quantiles.items()}


# ── thresholds and reliability ──────────────────────────────────────────────────────────────────────────────────
def threshold_curve(confidence: Floats, correct: npt.NDArray[np.bool_]) -> ThresholdCurve:
    """What the model answers at each threshold: every hundredth, and where the confidences lie close."""
    known = np.where(np.isnan(confidence), -1, confidence).astype(np.float64)  # below every threshold
    order = np.argsort(known, kind="stable")
    ranked, right = known[order], np.concatenate([[0], np.cumsum(correct[order])])
    given = known[known >= 0]
    grid = [
        np.linspace(0, 1, 101),
        *([np.quantile(given, np.linspace(0, 1, 101), method="lower")] if len(given) else []),
    ]
    thresholds = np.unique(np.concatenate(grid))
    left_out = np.searchsorted(ranked, thresholds, "left")
    images, answered = len(known), len(known) - left_out
    right_left_out, right_answered = right[left_out], right[-1] - right[left_out]
    precision = [
        right / of if of else None for right, of in zip(right_answered.tolist(), answered.tolist(), strict=True)
    ]
    return ThresholdCurve(
        threshold=thresholds.tolist(),
        precision=precision,
        recall=(right_answered / max(1, images)).tolist(),
        coverage=(answered / max(1, images)).tolist(),
        wrong_left_out=(left_out - right_left_out).tolist(),
        right_left_out=right_left_out.tolist(),
    )


BINS = 15


def reliability(confidence: Floats, correct: npt.NDArray[np.bool_]) -> list[ReliabilityBin]:
    """The bins of the calibration error: images, mean confidence and accuracy of each."""
    place = np.clip(np.nan_to_num(confidence.astype(np.float64) * BINS).astype(np.int64), 0, BINS - 1)
    images, sums, right = (np.bincount(place, weights, BINS) for weights in (None, confidence, correct))
    return [
        ReliabilityBin(
            low=number / BINS,
            high=(number + 1) / BINS,
            images=int(count),
            confidence=float(total / count) if count and not math.isnan(total) else None,
            accuracy=float(hits / count) if count else None,
        )
        for number, (count, total, hits) in enumerate(zip(images, sums, right, strict=True))
    ]
