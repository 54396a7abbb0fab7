"""The calibration of a model from its evaluation: called by the loop after each validation, and where a model that has
a threshold is evaluated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imgcls_lab import calibration
from imgcls_lab.engine.evaluation.metrics import MetricAccumulator
from imgcls_lab.schemas import Answered, Calibration


def calibrate(
    metrics: MetricAccumulator, probs: npt.NDArray[np.float16] | None, promised_error: float | None
) -> Calibration:
    """Choose the threshold and, where the probabilities of all classes are at hand, fit the temperature.

    probs: (images, classes), in the order of the images; promised_error: as in `calibration.choose_threshold`.
    """
    held = metrics.predictions()
    temperature = None if probs is None or probs.shape[1] < 2 else calibration.fit_temperature(probs, held.labels)
    confidence, correct = held.probs[:, 0], held.top[:, 0] == held.labels
    return Calibration(
        temperature=temperature, abstention=calibration.choose_threshold(confidence, correct, promised_error)
    )


def answered(metrics: MetricAccumulator, model: Calibration) -> Answered | None:
    """How a model did at its threshold; None if it has none."""
    if model.abstention is None:
        return None
    held = metrics.predictions()
    return calibration.answered_at(model.abstention.threshold, held.probs[:, 0], held.top[:, 0] == held.labels)
