"""Images that look like none of the classes, as those that came into a data set by mistake.

Called by the audit. The score is the Mahalanobis distance of the features to the nearest class (Lee et al. 2018), from
heads that did not see the image. An outlier must also lie further from its nearest images than usual (Kuan and Mueller
2022): a rare kind of a class, of which there are many images, is none. Knows no torch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.audits.linear_heads import ClassDistances
from imgcls_lab.audits.neighbours import Floats, Neighbours

DEVIATIONS = 2.3  # of the upper half of the distances in a class
_APART = 0.0  # the same, of the distances to the nearest images: strange images may be like each other
_UPPER = 0.9  # the quantile that shows how wide this half is
_NORMAL = 1.2816  # where a normal distribution has that quantile
_PRIOR_IMAGES = 50  # of all classes together, that count in the median and the width of each
_NEIGHBOURS = 10
_LEAST_IMAGES = 30  # fewer show no usual distance
_LEAST_WIDTH = 0.02  # of logarithms


class Outliers(NamedTuple):
    """rows: (m,), positions of images, the furthest first; scores: (m,), 0..1, 0.5 at the threshold."""

    rows: npt.NDArray[np.int64]
    scores: Floats


def find_outliers(distances: ClassDistances, neighbours: Neighbours) -> Outliers:
    """The outliers of n images."""
    if len(distances.squared) < _LEAST_IMAGES:
        return Outliers(np.zeros(0, np.int64), np.zeros(0, np.float32))
    far = _deviations(np.log(np.maximum(distances.squared, 1e-12)), distances.nearest)
    apart = np.log(1 - np.minimum(neighbours.similarity[:, :_NEIGHBOURS].mean(1), 1) + 1e-6)
    alone = _deviations(apart, distances.nearest) > _APART
    rows = np.flatnonzero((far > DEVIATIONS) & alone)
    rows = rows[np.argsort(-far[rows], kind="stable")]
    return Outliers(rows, (1 - DEVIATIONS / (2 * far[rows])).astype(np.float32))


def _deviations(values: npt.NDArray[np.floating], classes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How many deviations of the upper half each value lies above the median of its class.

    Median and width of a class with few images are drawn towards those of all images. The width is that within the
    classes: where their medians differ, it would otherwise hide what is far in its class.
    """
    order = np.argsort(classes, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(classes[order])) + 1)
    middle, above = float(np.median(values)), np.empty(len(values))
    for rows in members:
        above[rows] = values[rows] - _drawn(float(np.median(values[rows])), middle, len(rows))
    width = _width(above)
    for rows in members:
        above[rows] /= _drawn(_width(above[rows]), width, len(rows))
    return above


def _drawn(own: float, of_all: float, images: int) -> float:
    return (images * own + _PRIOR_IMAGES * of_all) / (images + _PRIOR_IMAGES)


def _width(values: npt.NDArray[np.floating]) -> float:
    middle, upper = np.quantile(values, [0.5, _UPPER])
    return max(float(upper - middle) / _NORMAL, _LEAST_WIDTH)
