"""Precision over recall and ROC of one class, exact, and thinned for a chart without a pixel's difference.

The points are those of scikit-learn's `precision_recall_curve` and `roc_curve` (drop_intermediate=False), the areas
those of `average_precision_score` and `roc_auc_score`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.analysis.evaluation import Evaluation, all_probs, without_nan
from imgcls_lab.errors import NotFoundError
from imgcls_lab.predictions import StoredProbs
from imgcls_lab.schemas import ClassCurves

PIXELS = 512  # columns of a chart

Doubles = npt.NDArray[np.float64]


class Steps(NamedTuple):
    """What is predicted from each threshold on. threshold: (n,), falling; the others: numbers of images, (n,)."""

    threshold: Doubles
    true_positives: Doubles
    false_positives: Doubles


def class_curves(folder: Path, evaluation: Evaluation, label: str) -> ClassCurves:
    """The curves of a class against the rest. Raises InputError; NotFoundError where the run kept too little."""
    number = evaluation.class_number(label)
    probs = all_probs(folder, evaluation)
    if probs is None:
        raise NotFoundError(
            f"The curves of “{label}” need its probability for each image. The run kept the probabilities of all "
            "classes for its best epoch, if they fitted 200 MB; of other epochs, and of older runs, only the five "
            "likeliest classes.",
            reason="no_probs",
        )
    scores = probs.column(number) if isinstance(probs, StoredProbs) else probs[:, number]
    positive = evaluation.labels == number
    steps = steps_of(without_nan(scores.astype(np.float64)), positive)
    return _view(label, int(positive.sum()), len(positive), steps)


def steps_of(scores: Doubles, positive: npt.NDArray[np.bool_]) -> Steps:
    """One step for each distinct score. scores, positive: (n,)."""
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    last = np.flatnonzero(np.diff(scores, append=-np.inf))  # of each group of equal scores
    true = np.cumsum(positive, dtype=np.float64)[last]
    return Steps(scores[last], true, 1.0 + last - true)


def average_precision(steps: Steps) -> float | None:
    """The sum of the precisions, each times what it adds to the recall; None for a class without images."""
    total = steps.true_positives[-1] if len(steps.true_positives) else 0
    if total == 0:
        return None
    precision = steps.true_positives / (steps.true_positives + steps.false_positives)
    return float(np.sum(precision * np.diff(steps.true_positives, prepend=0)) / total)


def auroc(steps: Steps) -> float | None:
    """Area under the ROC curve; None where all images are of the class, or none is."""
    if not len(steps.threshold) or 0 in (steps.true_positives[-1], steps.false_positives[-1]):
        return None
    true = np.concatenate([[0], steps.true_positives / steps.true_positives[-1]])
    false = np.concatenate([[0], steps.false_positives / steps.false_positives[-1]])
    return float(np.trapezoid(true, false))


def thin_for_chart(x: Doubles, y: Doubles, pixels: int = PIXELS) -> npt.NDArray[np.intp]:
    """Places that draw the same line on a chart of so many columns: of each its first, last, lowest and highest point.

    Jugel et al., "M4: a visualization-oriented time series data aggregation", VLDB 2014. x: (n,), 0 to 1, not falling.
    """
    if len(x) <= 4 * pixels:
        return np.arange(len(x))
    column = np.minimum((x * pixels).astype(np.intp), pixels - 1)
    first = np.flatnonzero(np.diff(column, prepend=-1))
    last = np.append(first[1:], len(x)) - 1
    by_height = np.lexsort((y, column))  # the columns keep their places
    return np.unique(np.concatenate([first, last, by_height[first], by_height[last]]))


def _view(name: str, images: int, total: int, steps: Steps) -> ClassCurves:
    recall = steps.true_positives / images if images else np.zeros(0)
    precision = steps.true_positives / (steps.true_positives + steps.false_positives)
    shown = thin_for_chart(recall, precision) if images else np.zeros(0, np.intp)
    area = auroc(steps)
    values: dict[str, Any] = {
        "name": name,
        "images": images,
        "precision": _rounded(precision[shown]),
        "recall": _rounded(recall[shown]),
        "thresholds": _rounded(steps.threshold[shown]),
        "average_precision": average_precision(steps),
        "auroc": area,
        "false_positive_rate": [],
        "true_positive_rate": [],
        "roc_thresholds": [],
    }
    if area is not None:
        false = np.concatenate([[0], steps.false_positives / (total - images)])
        true = np.concatenate([[0], steps.true_positives / images])
        places = thin_for_chart(false, true)
        thresholds: list[float | None] = _rounded(steps.threshold[places[1:] - 1])  # the first place is (0, 0)
        values |= {
            "false_positive_rate": _rounded(false[places]),
            "true_positive_rate": _rounded(true[places]),
            "roc_thresholds": [None, *thresholds],
        }
    return ClassCurves(**values)


def _rounded(values: Doubles) -> list[Any]:
    rounded: list[Any] = np.round(values, 6).tolist()
    return rounded
