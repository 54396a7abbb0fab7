"""Curves with fewer points: of each stretch the smallest and the largest stay, so that no spike is lost.

`thin` serves whoever sends a curve to be drawn: the store (`metrics.py`) and a run's folder (`curves.py`).
`stretch_extremes` thins stored curves once and for all (`store/pyramid.py`). `StreamThinner` thins a curve while it is
written (TensorBoard's event file). The chart in the browser thins once more, to the pixels that it has
(`decimate.ts`). Numbers only: no torch, no files, no database.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DENSE = 1_024  # steps up to which `StreamThinner` keeps every point
BUCKETS = 256  # of each doubling of the steps from there on


def thin(along: NDArray[np.float64], values: NDArray[np.float64], max_points: int) -> NDArray[np.intp]:
    """Indices that keep the first and last point, and smallest and largest of each equal stretch of the axis.

    along: (n,), not falling; values: (n,), NaN where not finite. A stretch of NaN alone keeps one of them.
    """
    count = len(along)
    if count <= max_points:
        return np.arange(count)
    stretches = max(1, (max_points - 2) // 2)
    width = (along[-1] - along[0]) / stretches
    if width > 0:
        bucket = np.minimum(((along - along[0]) / width).astype(np.intp), stretches - 1)
    else:
        bucket = np.arange(count) * stretches // count
    keep = [0, count - 1]
    for filled in (_no_minimum(values), -_no_maximum(values)):
        order = np.lexsort((filled, bucket))
        keep.append(order[np.flatnonzero(np.diff(bucket[order], prepend=-1))])  # type: ignore[arg-type]
    return np.unique(np.hstack(keep))


def stretch_extremes(steps: NDArray[np.int64], values: NDArray[np.float64], factor: int) -> NDArray[np.intp]:
    """Places of the smallest and the largest of every `factor` points in a row, one place a step.

    steps, values: (n,), n a multiple of `factor`; NaN where not finite. A stretch of NaN alone keeps one of them.
    """
    begin = np.arange(len(values) // factor) * factor
    lowest = _no_minimum(values).reshape(-1, factor).argmin(axis=1)
    highest = _no_maximum(values).reshape(-1, factor).argmax(axis=1)
    keep = np.unique(np.hstack([begin + lowest, begin + highest]))
    return keep[np.flatnonzero(np.diff(steps[keep], prepend=-1))]


def _no_minimum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, in which a NaN is never the smallest."""
    return np.where(np.isnan(values), np.inf, values)


def _no_maximum(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isnan(values), -np.inf, values)


class StreamPoint(NamedTuple):
    step: int
    seconds: float  # Unix time
    value: float


def bucket_width(step: int) -> int:
    """Steps of the bucket that a step lies in: 1 below 1,024, then a 256th of the power of two at or below it."""
    return 1 if step < DENSE else (1 << (step.bit_length() - 1)) // BUCKETS


@dataclass
class StreamThinner:
    """Keeps the smallest and the largest value of each tag in a bucket of steps, while the points come in.

    Buckets depend on the step alone, so a resumed run goes on as if it had never stopped. A million steps come to
    1,024 + 10 · 2 · 256, about 6,000 points a tag.
    """

    _bucket: tuple[int, int] = (1, 0)
    _kept: dict[str, tuple[StreamPoint, StreamPoint]] = field(default_factory=dict)

    def add(self, step: int, seconds: float, values: dict[str, float]) -> list[tuple[int, float, dict[str, float]]]:
        """Take the values of a step; returns what is due to be written as (step, seconds, values), by step."""
        width = bucket_width(step)
        due = self.drain() if (width, step // width) != self._bucket else []
        self._bucket = width, step // width
        for tag, value in values.items():
            point = StreamPoint(step, seconds, value)
            low, high = self._kept.get(tag, (point, point))
            # a NaN compares with nothing: it stays only where there is no number
            if value < low.value or low.value != low.value:
                low = point
            if value > high.value or high.value != high.value:
                high = point
            self._kept[tag] = low, high
        return due + self.drain() if width == 1 else due

    def drain(self) -> list[tuple[int, float, dict[str, float]]]:
        """What the bucket at hand holds; it is empty then."""
        steps: dict[int, tuple[float, dict[str, float]]] = defaultdict(lambda: (0.0, {}))
        for tag, (low, high) in self._kept.items():
            for point in (low, high):
                steps[point.step] = point.seconds, {**steps[point.step][1], tag: point.value}
        self._kept.clear()
        return [(step, seconds, values) for step, (seconds, values) in sorted(steps.items())]
