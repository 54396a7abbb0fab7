"""How far probabilities can be trusted: reliability, temperature, and the threshold below which a model abstains.

Pure functions on arrays, for the engine and for views; torch-free. The confidence of an answer is the probability of
the most probable class, as the model gives it. Definitions and sources: docs/evaluation.md.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from imgcls_lab.schemas.calibration import Abstention, Answered, ReliabilityBin, ThresholdCurve

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]

BINS = 15  # of the reliability diagram, as of the metric calibration_error
CURVE_POINTS = 201  # of a threshold curve, at most
RISK = 0.05  # probability that a promise does not hold: 95 % confidence
COVERAGES = tuple(number / 20 for number in range(20, 0, -1))  # those that a threshold is chosen among
TEMPERATURES = (0.1, 10.0)  # between which the temperature is
FIT_VALUES = 2_000_000  # probabilities that the temperature is fitted on, evenly spaced images of all
_SMALLEST = 2.0**-24  # float16 holds none between this and 0
_PRECISION = 1e-5


def threshold_curve(confidence: Floats, correct: Bools) -> ThresholdCurve:
    """What happens at each threshold: evenly spaced in coverage, at most CURVE_POINTS, from 0 up.

    confidence: (n,), probability of the predicted class; correct: (n,), whether it is the true one; n is at least 1.
    """
    levels, answered, wrong = _by_level(confidence, correct)
    chosen = np.unique(np.linspace(0, len(levels) - 1, min(len(levels), CURVE_POINTS)).round().astype(int))[::-1]
    thresholds = [0.0, *levels[chosen].tolist()]
    answered = np.concatenate([[len(correct)], answered[chosen]])
    wrong = np.concatenate([[np.count_nonzero(~correct)], wrong[chosen]])
    right = answered - wrong
    return ThresholdCurve(
        threshold=thresholds,
        precision=(right / answered).tolist(),
        recall=(right / len(correct)).tolist(),
        coverage=(answered / len(correct)).tolist(),
        wrong_left_out=(wrong[0] - wrong).tolist(),
        right_left_out=(right[0] - right).tolist(),
    )


def reliability(confidence: Floats, correct: Bools, bins: int = BINS) -> list[ReliabilityBin]:
    """Mean confidence and accuracy in equal bins of the confidence (Guo et al. 2017). Arguments as threshold_curve."""
    confidence = confidence.astype(np.float64)
    place = np.clip((confidence * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums, hits = (np.bincount(place, weights, bins) for weights in (confidence, correct))
    return [
        ReliabilityBin(
            low=number / bins,
            high=(number + 1) / bins,
            images=int(count),
            confidence=float(sums[number] / count) if count else None,
            accuracy=float(hits[number] / count) if count else None,
        )
        for number, count in enumerate(counts)
    ]


def calibration_error(bins: list[ReliabilityBin]) -> float | None:
    """Expected calibration error of the bins; None if they hold no image."""
    total = sum(part.images for part in bins)
    gaps = ((part.images, part.confidence, part.accuracy) for part in bins)
    weighted = sum(count * abs(sure - hit) for count, sure, hit in gaps if sure is not None and hit is not None)
    return weighted / total if total else None


def fit_temperature(probs: Floats, labels: npt.NDArray[np.integer]) -> float:
    """The temperature of the smallest negative log-likelihood (Guo et al. 2017), within TEMPERATURES.

    probs: (n, classes), of each image; labels: (n,), the true classes. The likelihood is convex in 1 / temperature, so
    Newton's method finds it; where a step would leave the bracket, it is halved instead.
    """
    stride = max(1, math.ceil(probs.size / FIT_VALUES))
    logs = _logs(probs[::stride])
    of_label = logs[np.arange(len(logs)), labels[::stride]].mean()
    low, high = (1 / temperature for temperature in reversed(TEMPERATURES))
    inverse = 1.0
    for _ in range(60):
        weights = _softmax(logs * inverse)
        means = (weights * logs).sum(1)
        slope = means.mean() - of_label
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        curvature = ((weights * logs**2).sum(1) - means**2).mean()
        step = inverse - slope / curvature if curvature > 0 else low - 1
        following = step if low < step < high else (low + high) / 2
        if abs(following - inverse) < _PRECISION * inverse:
            break
        inverse = following
    return float(1 / following)


def at_temperature(probs: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """The probabilities (n, classes) of logits that are divided by a temperature."""
    return _softmax(_logs(probs) / temperature)


def choose_threshold(confidence: Floats, correct: Bools, promised_error: float | None = None) -> Abstention | None:
    """The threshold of the largest coverage at which few enough of the answered images are wrong.

    promised_error: the fraction of wrong answers that is exceeded with a probability of at most RISK, on images like
    these; the bound is that of Clopper and Pearson, for each of the COVERAGES that are tried (selective prediction
    with guaranteed risk: Geifman & El-Yaniv 2017). None: the error on these images must be at most half of what it is
    without a threshold, and the bound at that threshold is what is promised.
    Returns None if no coverage satisfies this. Other arguments as threshold_curve.
    """
    levels, answered, wrong = _by_level(confidence, correct)
    half = np.count_nonzero(~correct) / len(correct) / 2
    for coverage in COVERAGES:
        place = int(np.searchsorted(answered, math.ceil(coverage * len(correct))))
        images, mistakes = int(answered[place]), int(wrong[place])
        bound = upper_error(mistakes, images, RISK / len(COVERAGES))
        if (mistakes / images <= half) if promised_error is None else (bound <= promised_error):
            following = levels[place + 1] if place + 1 < len(levels) else np.nextafter(levels[place], levels[place] - 1)
            return Abstention(
                threshold=(float(levels[place]) + float(following)) / 2,  # rounding moves no image across
                promised_error=bound if promised_error is None else promised_error,
                coverage=images / len(correct),
                error=mistakes / images,
                upper_error=bound,
                images=len(correct),
            )
    return None


def answered_at(threshold: float, confidence: Floats, correct: Bools) -> Answered:
    """How a model does on images whose confidences are these, at a threshold that was chosen elsewhere."""
    answers = confidence >= threshold
    count = int(np.count_nonzero(answers))
    error = np.count_nonzero(answers & ~correct) / count if count else None
    return Answered(threshold=threshold, images=len(correct), coverage=count / len(correct), error=error)


def upper_error(wrong: int, images: int, risk: float = RISK) -> float:
    """The error that images like these exceed with this probability at most (Clopper & Pearson 1934), one-sided."""
    from scipy.special import betaincinv

    return 1.0 if wrong >= images else float(betaincinv(wrong + 1, images - wrong, 1 - risk))


def _by_level(confidence: Floats, correct: Bools) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct confidences from the largest down; how many images have at least each, and how many are wrong."""
    order = np.argsort(-confidence.astype(np.float64), kind="stable")
    ranked = confidence[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    return ranked[last], (last + 1).astype(np.int64), np.cumsum(~correct[order], dtype=np.int64)[last]


def _logs(probs: Floats) -> npt.NDArray[np.float64]:
    logs: npt.NDArray[np.float64] = np.log(np.maximum(probs.astype(np.float64), _SMALLEST))
    return logs


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    weights: npt.NDArray[np.float64] = np.exp(logits - logits.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    return weights
