"""An evaluation with all that its page draws: metrics with intervals, confusion, classes, thresholds, reliability.

`view` serves the route, the live cell and Python. Metrics are those of the run's report, so that all places agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from imgcls_lab import calibration, predictions
from imgcls_lab.analysis import class_table
from imgcls_lab.analysis.class_table import Cells, ClassCounts
from imgcls_lab.analysis.evaluation import Evaluation, RunFiles, all_probs, load, without_nan
from imgcls_lab.errors import NotFoundError
from imgcls_lab.plurals import counted
from imgcls_lab.predictions import StoredProbs
from imgcls_lab.schemas import EpochReport, EvaluationView, ReliabilityBin

NORMAL = NormalDist()
LIMITS = (0.025, 0.975)
Z = NORMAL.inv_cdf(LIMITS[1])
RESAMPLES = 400
MEANS = 10_000  # of losses drawn again: corrected limits lie farther out than 2.5 %, so it takes more of them
DRAWN_LOSSES = 20_000_000  # at most for all means together: 0.2 s
MAX_LOSSES = 20_000  # images up to which the loss is drawn again: so many leave no skew of the mean to correct
BLOCK = 1_000_000  # losses that are drawn at once
MAX_RESAMPLED = 1000  # cells of the confusion up to which a bootstrap is quick: 0.1 s
MAX_CALIBRATED = 4_000_000  # probabilities that the calibrated bins are computed from
Interval = tuple[float, float]
ReadReport = Callable[[int | None, str], EpochReport]


def view(run: RunFiles, split: str, epoch: int | None, read_report: ReadReport) -> EvaluationView:
    """The evaluation of an epoch on val/, by default the best, or that on test/. Raises NotFoundError, DataError.

    read_report: gives the report of an epoch and split, or raises NotFoundError.
    """
    evaluation = load(run, split, epoch)
    cells, counts = class_table.count(evaluation)
    notes: list[str] = []
    report = _report(read_report, evaluation.epoch, split, notes)
    values = report.values if report is not None else _values(evaluation, counts, notes)
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
        "has_train": bool(predictions.train_epochs(run.folder)),
        "values": values,
        "intervals": intervals(evaluation, cells, counts, values),
        "class_names": evaluation.classes,
        "classes": class_table.class_rows(evaluation.classes, cells, counts, trend),
        "trend_epochs": trend_epochs,
        "cells": shown,
        "cells_left_out": left_out,
        "thresholds": calibration.threshold_curve(evaluation.known_confidence, evaluation.correct),
        "reliability": calibration.reliability(evaluation.known_confidence, evaluation.correct),
        **_calibration(run, evaluation, report, read_report, notes),
        "notes": notes,
    }
    return EvaluationView.model_construct(**found)


def _report(read_report: ReadReport, epoch: int | None, split: str, notes: list[str]) -> EpochReport | None:
    try:
        return read_report(epoch, split)
    except NotFoundError as error:
        notes.append(str(error))
        return None


def _calibration(
    run: RunFiles, evaluation: Evaluation, report: EpochReport | None, read_report: ReadReport, notes: list[str]
) -> dict[str, Any]:
    """Temperature and threshold, both fitted on val/. The threshold in force, and all of test/, is the best epoch's."""
    best = report
    if evaluation.epoch is None or run.best_epoch not in (None, evaluation.epoch):
        best = _report(read_report, run.best_epoch, "val", notes)
    fitted = best if evaluation.epoch is None else report
    temperature = fitted.calibration.temperature if fitted is not None and fitted.calibration is not None else None
    bins = [] if temperature is None else calibrated_bins(run.folder, evaluation, temperature)
    if not bins and len(evaluation.classes) > 1:
        notes.append(
            "There is no calibrated curve: the run kept the probabilities of all classes for its best epoch alone, if "
            "they fitted 200 MB; a run of an older version kept none."
        )
    return {
        "temperature": temperature,
        "calibrated": bins,
        "calibrated_error": calibration.calibration_error(bins),
        "abstention": best.calibration.abstention if best is not None and best.calibration is not None else None,
    }


def _values(evaluation: Evaluation, counts: ClassCounts, notes: list[str]) -> dict[str, float | None]:
    """The metrics that the predictions give, where there is no report."""
    notes.append("Accuracy, macro F1 and balanced accuracy are computed from the predictions.")
    return {
        "metric/accuracy": float(evaluation.correct.mean()),
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
            f"The model gave no number for {counted(unknown, 'image')}: its outputs were not finite. They have the "
            "confidence 0."
        )


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────────────
def intervals(
    evaluation: Evaluation, cells: Cells, counts: ClassCounts, values: dict[str, float | None]
) -> dict[str, Interval]:
    """95 % intervals by tag: Wilson's of accuracies, bootstraps of the loss and, where quick, of F1 and recall."""
    images, found = len(evaluation), dict[str, Interval]()
    for tag, value in values.items():
        if value is not None and (tag == "metric/accuracy" or tag.startswith("metric/top")):
            found[tag] = wilson(value, images)
    losses = evaluation.losses
    if f"loss/{evaluation.split}" in values and images > 1 and np.isfinite(losses).all():
        found[f"loss/{evaluation.split}"] = mean_interval(losses.astype(np.float64))
    if len(cells.images) <= MAX_RESAMPLED:
        found |= {tag: interval for tag, interval in bootstrap(cells, len(counts.support)).items() if tag in values}
    return found


def wilson(fraction: float, images: int) -> Interval:
    """Wilson's score interval of a fraction (Wilson, 1927)."""
    scale = 1 + Z**2 / images
    centre = (fraction + Z**2 / (2 * images)) / scale
    half = Z / scale * math.sqrt(fraction * (1 - fraction) / images + Z**2 / (4 * images**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_interval(losses: npt.NDArray[np.float64]) -> Interval:
    """Interval of a mean of numbers that are not negative and mostly small: BCa bootstrap (Efron, 1987).

    A normal interval of a few such numbers reaches below 0, and lies too low. Many images: normal in the logarithm.
    """
    mean, images = float(losses.mean()), len(losses)
    away = losses - mean
    spread = float(np.square(away).sum())
    if spread == 0 or mean <= 0:
        return mean, mean
    if images > MAX_LOSSES:
        factor = math.exp(Z * math.sqrt(spread / (images - 1) / images) / mean)
        return mean / factor, mean * factor
    drawn = _means_drawn_again(losses, min(MEANS, DRAWN_LOSSES // images))
    below = (np.count_nonzero(drawn < mean) + np.count_nonzero(drawn <= mean)) / (2 * len(drawn))
    bias = NORMAL.inv_cdf(min(max(below, 1 / len(drawn)), 1 - 1 / len(drawn)))
    acceleration = float((away**3).sum()) / (6 * spread**1.5)
    points = (bias + NORMAL.inv_cdf(limit) for limit in LIMITS)
    shares = [NORMAL.cdf(bias + point / (1 - acceleration * point)) for point in points]
    low, high = np.quantile(drawn, shares)
    return float(low), float(high)


def _means_drawn_again(losses: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    random, images = np.random.default_rng(0), len(losses)
    rows = max(1, BLOCK // images)
    drawn = (losses[random.integers(0, images, (min(rows, count - done), images))] for done in range(0, count, rows))
    return np.concatenate([block.mean(1) for block in drawn])


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


# ── confidence ──────────────────────────────────────────────────────────────────────────────────────────────────
def calibrated_bins(folder: Path, evaluation: Evaluation, temperature: float) -> list[ReliabilityBin]:
    """The bins at a temperature, of evenly spaced images if there are many. None where not all probabilities are kept.

    Raises DataError.
    """
    probs = all_probs(folder, evaluation)
    if probs is None:
        return []
    images, classes = len(evaluation), len(evaluation.classes)
    stride = max(1, math.ceil(images * classes / MAX_CALIBRATED))
    confidence, correct = [], []
    first = 0
    for block in probs.blocks() if isinstance(probs, StoredProbs) else [probs]:
        places = np.arange(-first % stride, len(block), stride)
        powered = calibration.at_temperature(without_nan(block[places]), temperature)
        confidence.append(powered.max(1))
        correct.append(evaluation.correct[first + places])
        first += len(block)
    return calibration.reliability(np.concatenate(confidence), np.concatenate(correct))
