"""The quality of an image file as numbers, and which of them make it a problem: dark, bright, blurred and so on.

Called by the audit's file stage. `measure` sees one decoded image; `find` compares the measures of a whole data set.
Brightness, entropy and shape and their limits are defined as by cleanvision 0.3; blur is not, because its measure
depends on the border of the image. An image must also stand out from its data set: a property of most images is no
fault of one.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from imgcls_lab.schemas.audits import QualityKind

EDGE = 64  # px; images are measured at this size
# percentiles of brightness; the Laplacian's deviation over that of the pixels; bits; the 99th percentile of colour
MEASURES = ("bright_99", "bright_05", "sharpness", "entropy", "colour")
Values = npt.NDArray[np.float16]
_LUMA = np.array([0.241, 0.691, 0.068], np.float32)  # of squared red, green and blue (perceived brightness)
_GREY = 8.0  # of 255: a JPEG's rounding stays below
_NOISE = 2.0  # variance of the Laplacian of rounded and compressed pixels where nothing is to be seen
_CONTRAST = 4.0  # levels that are added to the deviation, so that noise on a plain image is no edge

# A photograph in focus has a sharpness of 0.3 to 1.5; a Gaussian of 4 % of the edge leaves less than 0.12.
DARK, BRIGHT, BLURRED, PLAIN, SHAPE = 0.32, 0.05, 0.12, 3.0, 0.35
_DEVIATIONS = 2.5  # robust standard deviations from the median that make an image stand out
_SIZE_FENCE = 3.0  # interquartile ranges
_LEAST_FENCE = 1.0  # of log2: sizes up to twice or half the quartiles are never odd
_RARE = 0.1  # greyscale images are a problem while they are at most this fraction
_LEAST_IMAGES = 8  # below, nothing is said to stand out


class Flagged(NamedTuple):
    """Images with one problem. rows: (n,), the worst first; scores: (n,), 0..1, 1 the worst."""

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]


def measure(pixels: npt.NDArray[np.uint8]) -> Values:
    """The measures of one image, float16 (5,), in the order of `MEASURES`. pixels: uint8 (height, width, 3), RGB."""
    image = Image.fromarray(pixels)
    ratio = max(image.size) / EDGE
    if ratio > 1:
        size = (max(int(image.width / ratio), 1), max(int(image.height / ratio), 1))
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    small = np.asarray(image)
    spread = small.max(2).astype(np.int16) - small.min(2)
    colour = _at(np.bincount(spread.ravel(), minlength=256), 0.99)
    brightness = np.sqrt((small.astype(np.float32) ** 2) @ _LUMA).astype(np.int16)
    levels = np.bincount(brightness.ravel(), minlength=256)
    entropy = (image.convert("L") if colour < _GREY else image).entropy()
    found = (_at(levels, 0.99) / 255, _at(levels, 0.05) / 255, _sharpness(small), entropy, colour)
    return np.array(found, np.float16)


def _sharpness(pixels: npt.NDArray[np.uint8]) -> float:
    """How much of an image's contrast is in its edges."""
    if min(pixels.shape[:2]) < 3:
        return 1.0
    grey = pixels.astype(np.float32).mean(2)
    inner = grey[1:-1, 1:-1]
    laplacian = 4 * inner - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(np.sqrt(max(laplacian.var() - _NOISE, 0)) / (grey.std() + _CONTRAST))


def _at(counts: npt.NDArray[np.int64], part: float) -> float:
    """The value below which this part of the counted values lies."""
    below = np.cumsum(counts)
    return float(np.searchsorted(below, part * (below[-1] - 1), side="right"))


def find(values: Values, widths: npt.NDArray[np.uint32], heights: npt.NDArray[np.uint32]) -> dict[QualityKind, Flagged]:
    """The images with each problem. values: (n, 5); widths, heights: (n,) pixels. Empty for a handful of images."""
    if len(values) < _LEAST_IMAGES:
        return {}
    bright_99, bright_05, sharpness, entropy, colour = values.astype(np.float32).T
    width, height = np.maximum(widths, 1).astype(np.float32), np.maximum(heights, 1).astype(np.float32)
    shape = (np.minimum(width, height) / np.maximum(width, height)).astype(np.float32)
    found: dict[QualityKind, Flagged] = {
        "dark": _below(bright_99, DARK),
        "bright": _below((1 - bright_05).astype(np.float32), BRIGHT),
        "blurred": _blurred(sharpness),
        "low_information": _below(entropy, PLAIN),
        "odd_size": _odd_size(np.sqrt(width * height)),
        "odd_shape": _below(shape, SHAPE),
        "greyscale": _rare(colour < _GREY),
    }
    assert set(found) == set(get_args(QualityKind))  # noqa: S101 - each kind has its rule
    return {kind: flagged for kind, flagged in found.items() if len(flagged.rows)}


def _below(values: npt.NDArray[np.float32], limit: float) -> Flagged:
    """Those below the limit that also lie far below the data set's median."""
    median = float(np.median(values))
    deviation = 1.4826 * float(np.median(np.abs(values - median)))  # of a normal distribution: its sigma
    least = min(limit, median - max(_DEVIATIONS * deviation, 0.1 * limit))
    return _worst_first(np.flatnonzero(values < least), 1 - values / limit)


def _blurred(sharpness: npt.NDArray[np.float32]) -> Flagged:
    """Those below the limit whose logarithm also lies far below the median; a plain image has no edges to be sharp."""
    logs = np.log(np.maximum(sharpness, 1e-3))
    median = float(np.median(logs))
    deviation = max(1.4826 * float(np.median(np.abs(logs - median))), 0.2)
    limit = min(BLURRED, float(np.exp(median - _DEVIATIONS * deviation)))
    return _worst_first(np.flatnonzero(sharpness < limit), 1 - sharpness / BLURRED)


def _odd_size(edge: npt.NDArray[np.float32]) -> Flagged:
    """Those whose edge lies outside Tukey's far fences of its logarithm."""
    logs = np.log2(edge)
    low, high = np.percentile(logs, [25, 75])
    fence = max(_SIZE_FENCE * (high - low), _LEAST_FENCE)
    beyond = np.maximum(low - logs, logs - high)
    return _worst_first(np.flatnonzero(beyond > fence), 1 - fence / np.maximum(2 * beyond, 1e-6))


def _rare(chosen: npt.NDArray[np.bool_]) -> Flagged:
    rows = np.flatnonzero(chosen)
    if len(rows) > _RARE * len(chosen):
        rows = rows[:0]
    return Flagged(rows, np.full(len(rows), 0.5, np.float32))


def _worst_first(rows: npt.NDArray[np.int64], severity: npt.NDArray[np.float32]) -> Flagged:
    scores = np.clip(severity[rows], 0, 1).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    return Flagged(rows[order], scores[order])
