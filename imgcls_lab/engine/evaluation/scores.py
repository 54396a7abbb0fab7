"""The scores of each class over all images, for ranks: all of up to some thousand images, then evenly spaced ones.

Called by `metrics.py`. Memory is bounded whatever the number of images, and the error is one of rank, so that it does
not matter whether scores are spread out or squeezed. After Manku, Rajagopalan and Lindsay, 1998: equal summaries merge.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

EXACT = 8_192  # images of which all scores are kept
CELLS = 4_194_304  # scores that are kept so, 32 MiB
KEPT = 1_024  # scores of a class that stand for the images before

Rows = npt.NDArray[np.float64]  # (n, classes)


class Scores:
    """images: how many there will be; more may come by `merge`."""

    def __init__(self, classes: int, images: int) -> None:
        self.classes = classes
        self._limit = max(2, min(EXACT, CELLS // classes) // KEPT) * KEPT
        self._buffer: Rows = np.zeros((min(self._limit, images), classes))
        self._filled = 0
        self._summaries: dict[int, Rows] = {}  # images that a row stands for -> KEPT rows, each column sorted
        self._parity = 0

    def add(self, rows: Rows) -> None:
        """Add the scores of some images."""
        if self._filled + len(rows) > len(self._buffer) < self._limit:
            grown = np.zeros((min(self._limit, self._filled + len(rows)), self.classes))
            grown[: self._filled] = self._buffer[: self._filled]
            self._buffer = grown
        while len(rows):
            part, rows = np.split(rows, [min(len(rows), self._limit - self._filled)])
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            if self._filled == self._limit and len(rows):
                self._summarise()

    def _summarise(self) -> None:
        self._buffer.sort(axis=0)
        weight = self._limit // KEPT
        self._push(weight, self._buffer[weight // 2 :: weight].copy())
        self._filled = 0

    def _push(self, weight: int, rows: Rows) -> None:
        """Keep a summary; of two of one weight every other score, alternately the lower and the upper of each pair."""
        while (other := self._summaries.pop(weight, None)) is not None:
            self._parity ^= 1
            rows = np.sort(np.concatenate([other, rows]), axis=0)[self._parity :: 2]
            weight *= 2
        self._summaries[weight] = rows

    def merge(self, other: Self) -> None:
        """Add what another process kept of other images."""
        for weight, rows in other._summaries.items():
            self._push(weight, rows)
        self.add(other._buffer[: other._filled])

    def auroc(self, number: int, own: Rows, images: int) -> float:
        """The chance that an image of a class scores above one of another; ties count half.

        own: the scores of its images, each as it was added; images: how many there are in all.
        """
        values = [self._buffer[: self._filled, number], *(rows[:, number] for rows in self._summaries.values())]
        weights = [np.ones(self._filled), *(np.full(KEPT, weight) for weight in self._summaries)]
        below = _ranks(np.concatenate(values), np.concatenate(weights), own) - _ranks(own, np.ones(len(own)), own)
        return float(np.clip(below.sum() / (len(own) * (images - len(own))), 0.0, 1.0))

    def state_dict(self) -> dict[str, Any]:
        """All of it as numbers and tensors, for another process."""
        rows = [self._buffer[: self._filled], *self._summaries.values()]
        return {"weights": [1, *self._summaries], "rows": [torch.from_numpy(part.copy()) for part in rows]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, on an object that has no scores yet."""
        fresh, *summaries = (part.numpy() for part in state["rows"])
        self.add(fresh)
        self._summaries.update(zip(state["weights"][1:], summaries, strict=True))


def _ranks(values: Rows, weights: Rows, queries: Rows) -> Rows:
    """The weight of the values below each query, and half of that of its equals."""
    order = np.argsort(values, kind="stable")
    values, up_to = values[order], np.concatenate([[0.0], np.cumsum(weights[order])])
    left, right = (up_to[np.searchsorted(values, queries, side)] for side in ("left", "right"))
    ranks: Rows = (left + right) / 2
    return ranks
