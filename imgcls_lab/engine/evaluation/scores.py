"""The scores of each class over all images, for ranks: exact up to some thousand images, then by evenly spaced ones.

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
        self._fresh: Rows = np.zeros((min(self._limit, images), classes))
        self._filled = 0
        self._summaries: dict[int, Rows] = {}  # images that a row stands for -> KEPT rows, each column sorted
        self._turn = 0

    def add(self, rows: Rows) -> None:
        """Take in the scores of some images."""
        if self._filled + len(rows) > len(self._fresh) < self._limit:
            grown = np.zeros((min(self._limit, self._filled + len(rows)), self.classes))
            grown[: self._filled] = self._fresh[: self._filled]
            self._fresh = grown
        while len(rows):
            part, rows = np.split(rows, [min(len(rows), self._limit - self._filled)])
            self._fresh[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            if self._filled == self._limit and len(rows):
                self._summarise()

    def _summarise(self) -> None:
        self._fresh.sort(axis=0)
        weight = self._limit // KEPT
        self._push(weight, self._fresh[weight // 2 :: weight].copy())
        self._filled = 0

    def _push(self, weight: int, rows: Rows) -> None:
        """Keep a summary; of two of one weight every other score, by turns the lower and the upper of each pair."""
        while (other := self._summaries.pop(weight, None)) is not None:
            self._turn ^= 1
            rows = np.sort(np.concatenate([other, rows]), axis=0)[self._turn :: 2]
            weight *= 2
        self._summaries[weight] = rows

    def merge(self, other: Self) -> None:
        """Take in what another process kept of other images."""
        for weight, rows in other._summaries.items():
            self._push(weight, rows)
        self.add(other._fresh[: other._filled])

    def area(self, number: int, own: Rows, images: int) -> float:
        """The chance that an image of a class scores above one of another; ties count half.

        own: the scores of its images, each as it was added; images: how many there are in all.
        """
        values = [self._fresh[: self._filled, number], *(rows[:, number] for rows in self._summaries.values())]
        weights = [np.ones(self._filled), *(np.full(KEPT, weight) for weight in self._summaries)]
        below = _ranks(np.concatenate(values), np.concatenate(weights), own) - _ranks(own, np.ones(len(own)), own)
        return float(np.clip(below.sum() / (len(own) * (images - len(own))), 0.0, 1.0))

    def to_tree(self) -> dict[str, Any]:
        """All of it as numbers and tensors, for another process."""
        rows = [self._fresh[: self._filled], *self._summaries.values()]
        return {"weights": [1, *self._summaries], "rows": [torch.from_numpy(part.copy()) for part in rows]}

    @classmethod
    def from_tree(cls, tree: dict[str, Any], classes: int) -> Self:
        """The inverse of `to_tree`."""
        fresh, *summaries = (part.numpy() for part in tree["rows"])
        scores = cls(classes, len(fresh))
        scores.add(fresh)
        scores._summaries = dict(zip(tree["weights"][1:], summaries, strict=True))
        return scores


def _ranks(values: Rows, weights: Rows, asked: Rows) -> Rows:
    """The weight of the values below each one asked for, and half of that of its equals."""
    order = np.argsort(values, kind="stable")
    values, up_to = values[order], np.concatenate([[0.0], np.cumsum(weights[order])])
    left, right = (up_to[np.searchsorted(values, asked, side)] for side in ("left", "right"))
    ranks: Rows = (left + right) / 2
    return ranks
