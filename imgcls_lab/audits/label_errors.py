"""Images whose label is most likely wrong, by confident learning (Northcutt, Jiang and Chuang 2021).

Called by the audit with out-of-sample probabilities. How many labels are wrong is counted off the diagonal of the
confident joint; which, by the least probability of the given label. This is the filter `low_self_confidence` of
cleanlab, its oracle in the tests, in passes over blocks that need no memory for all probabilities. Where classes are
told apart well, the joint counts too few: labels that are all but ruled out are listed in any case. Knows no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.audits.linear_heads import Labels
from imgcls_lab.audits.neighbours import Floats

Blocks = Callable[[], Iterable[tuple[Labels, Floats]]]

_TOLERANCE = 1e-6
RULED_OUT, SURE = 0.15, 0.5  # the given label's probability is below, another one's above: listed in any case
MIN_CLASS_IMAGES = 5  # a class with fewer images teaches no head what its images look like


class LabelErrors(NamedTuple):
    """Images whose label is most likely wrong, the surest first.

    rows: (m,), positions of images; suggested: (m,), the likelier class; confidence: (m,), its probability;
    scores: (m,), 0..1, 1 minus the probability of the given label.
    """

    rows: npt.NDArray[np.int64]
    suggested: npt.NDArray[np.int64]
    confidence: Floats
    scores: Floats


def find_label_errors(blocks: Blocks, labels: Labels, classes: int) -> LabelErrors:
    """The label errors of n images.

    blocks: gives, each time that it is called, all images as (positions, probabilities (block, classes)).
    """
    given, best = np.empty(len(labels), np.float32), np.empty(len(labels), np.int64)
    confidence = np.empty(len(labels), np.float32)
    for images, probs in blocks():
        given[images] = probs[np.arange(len(images)), labels[images]]
        best[images], confidence[images] = _likeliest_other(probs, labels[images])
    counts = np.bincount(labels, minlength=classes)
    thresholds = np.bincount(labels, given, minlength=classes) / np.maximum(counts, 1)
    thresholds = np.where(counts > 0, np.maximum(thresholds, _TOLERANCE), np.inf)
    off_diagonal = sum(_off_diagonal(probs, labels[images], thresholds) for images, probs in blocks())
    errors = max(off_diagonal, int(((given < RULED_OUT) & (confidence > SURE)).sum()))
    judged = np.flatnonzero((counts[labels] >= MIN_CLASS_IMAGES) & (confidence > given))
    rows = judged[np.argsort(given[judged], kind="stable")][:errors]
    return LabelErrors(rows, best[rows], confidence[rows], 1 - given[rows])


def _likeliest_other(probs: Floats, labels: Labels) -> tuple[Labels, Floats]:
    """The class of the largest probability that is not the label, and this probability."""
    rows = np.arange(len(labels))
    own = probs[rows, labels]
    probs[rows, labels] = -1
    best = probs.argmax(1)
    found = probs[rows, best]
    probs[rows, labels] = own
    return best, found


def _off_diagonal(probs: Floats, labels: Labels, thresholds: npt.NDArray[np.float64]) -> int:
    """How many images are confidently of another class than their label, and not most likely of their own."""
    confident = probs >= (thresholds - _TOLERANCE).astype(probs.dtype)
    several = confident.sum(1)
    guess = np.where(several > 1, probs.argmax(1), confident.argmax(1))
    rows = np.arange(len(labels))
    agrees = probs[rows, labels] + _TOLERANCE > probs.max(1)
    return int(((several > 0) & (guess != labels) & ~agrees).sum())
