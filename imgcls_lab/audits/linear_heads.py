"""The probability of each class for each image, from heads that did not see the image: out-of-sample probabilities.

Called by the search for label errors. Two classifiers of the features are averaged: a linear discriminant analysis,
fitted K times without a part of the images, and the votes of the nearest other images. Both have closed forms, so that
100,000 images in 1,000 classes take seconds. The probabilities are made block by block: all of them together could be
larger than memory. Knows no torch and no files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular

from imgcls_lab.audits.neighbours import Floats, Neighbours, principal_axes

Labels = npt.NDArray[np.int64]

FOLDS = 5
VOTES = 20  # neighbours that vote
_SHARPNESS = 10.0  # of a vote: a neighbour that is nearer by 0.1 of the cosine weighs e times more
_PRIOR = 0.02  # of the votes go to all classes alike
_SHRINKAGE = (0.01, 0.1, 0.5)  # of the covariance towards a sphere; the best on held out images is taken
_DISTANCE_SHRINKAGE = 0.5  # less would fit the distances of few images to their own accidents
_SCALES = np.geomspace(0.02, 4, 36)  # of the logits, 1 / temperature
_CALIBRATION_IMAGES = 4000
BLOCK_BYTES = 2**26  # probabilities that are made at once


@dataclass(frozen=True)
class _Moments:
    """Sums of the images of a fold: of their outer products, by class, and how many there are of each class."""

    outer: npt.NDArray[np.float32]  # (width, width)
    sums: npt.NDArray[np.float32]  # (classes, width)
    counts: npt.NDArray[np.float32]  # (classes,)


@dataclass(frozen=True)
class _Head:
    weight: Floats  # (width, classes)
    bias: Floats  # (classes,)
    prior: Floats  # (classes,), logarithms of the fractions of the classes, a part of the bias
    factor: npt.NDArray[np.float64]  # (width, width), of Cholesky, of the covariance


class ClassDistances(NamedTuple):
    """squared: (n,), Mahalanobis distances to the nearest class; nearest: (n,), this class."""

    squared: Floats
    nearest: Labels


class OutOfSample:
    """Probabilities of `classes` classes for n images, each from heads that were fitted without it.

    rows: float32 (n, width), from `neighbours.unit_rows`; labels: (n,); groups: (n,), copies of an image have one
    number, so that none of them vouches for the label of another.
    """

    def __init__(
        self, rows: Floats, labels: Labels, classes: int, neighbours: Neighbours, *, groups: Labels, seed: int = 0
    ) -> None:
        self.labels, self.classes = labels, classes
        if rows.shape[1] > len(rows) > 1:  # so many axes hold all of them
            rows = rows @ principal_axes(rows, len(rows) - 1)
        self._rows = rows
        self._neighbours, self._groups = neighbours, groups
        rng = np.random.default_rng(seed)
        numbers = np.unique(groups, return_inverse=True)[1]
        fold_of_group = rng.permutation(int(numbers.max(initial=-1)) + 1) % FOLDS
        self._folds = [np.flatnonzero(fold_of_group[numbers] == fold) for fold in range(FOLDS)]
        self._moments = moments = [_moments(rows[fold], labels[fold], classes) for fold in self._folds]
        asked = rng.permutation(len(rows))[:_CALIBRATION_IMAGES]
        least = np.inf
        for shrinkage in _SHRINKAGE:
            heads = _heads(moments, shrinkage)
            loss, scale = self._calibrate(heads, asked)
            if not loss >= least:  # of no image it is no number
                least, self._scale, self._heads = loss, scale, heads

    def blocks(self) -> Iterator[tuple[Labels, Floats]]:
        """Positions of images, and their probabilities (block, classes) in float32; all images, each once."""
        size = max(1, BLOCK_BYTES // (4 * self.classes))
        for fold, head in zip(self._folds, self._heads, strict=True):
            for start in range(0, len(fold), size):
                images = fold[start : start + size]
                probs = _softmax(self._logits(head, images) * np.float32(self._scale))
                probs += self._votes(images)
                probs /= probs.sum(1, keepdims=True)
                yield images, probs

    def distances(self) -> ClassDistances:
        """How far each image is from the nearest class."""
        heads = _heads(self._moments, _DISTANCE_SHRINKAGE)
        squared, nearest = np.empty(len(self._rows), np.float32), np.empty(len(self._rows), np.int64)
        size = max(1, BLOCK_BYTES // (4 * max(self.classes, self._rows.shape[1])))
        for fold, head in zip(self._folds, heads, strict=True):
            whitening = solve_triangular(head.factor, np.eye(len(head.factor)), lower=True).T.astype(np.float32)
            for start in range(0, len(fold), size):
                images = fold[start : start + size]
                logits = self._logits(head, images) - head.prior
                nearest[images] = logits.argmax(1)
                whitened = self._rows[images] @ whitening
                squared[images] = np.einsum("nw,nw->n", whitened, whitened) - 2 * logits.max(1)
        return ClassDistances(np.maximum(squared, 0), nearest)

    def _logits(self, head: _Head, images: Labels) -> Floats:
        return self._rows[images] @ head.weight + head.bias

    def _calibrate(self, heads: list[_Head], asked: Labels) -> tuple[float, float]:
        """The least mean loss on some images, and the scale of the logits that gives it."""
        logits = np.empty((len(asked), self.classes), np.float32)
        place = np.full(len(self._rows), -1)
        place[asked] = np.arange(len(asked))
        for fold, head in zip(self._folds, heads, strict=True):
            images = fold[place[fold] >= 0]
            logits[place[images]] = self._logits(head, images)
        logits -= logits.max(1, keepdims=True)
        own = logits[np.arange(len(asked)), self.labels[asked]]
        losses = [float(np.mean(np.log(np.exp(logits * np.float32(s)).sum(1)) - own * s)) for s in _SCALES]
        best = int(np.argmin(losses))
        return losses[best], float(_SCALES[best])

    def _votes(self, images: Labels) -> Floats:
        index = self._neighbours.index[images, :VOTES]
        weights = np.exp(_SHARPNESS * (self._neighbours.similarity[images, :VOTES] - 1))
        weights *= self._groups[index] != self._groups[images][:, None]
        votes = np.zeros((len(images), self.classes), np.float32)
        np.add.at(votes, (np.arange(len(images))[:, None], self.labels[index]), weights)
        total = weights.sum(1, keepdims=True)
        votes += np.where(total > 0, _PRIOR * total, 1) / self.classes
        votes /= votes.sum(1, keepdims=True)
        return votes


def _moments(rows: Floats, labels: Labels, classes: int) -> _Moments:
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=classes)
    there = np.flatnonzero(counts)
    sums = np.zeros((classes, rows.shape[1]), np.float32)
    if len(there):
        sums[there] = np.add.reduceat(rows[order], (np.cumsum(counts) - counts)[there], axis=0)
    return _Moments(rows.T @ rows, sums, counts.astype(np.float32))


def _heads(moments: list[_Moments], shrinkage: float) -> list[_Head]:
    """For each fold the discriminants of a normal distribution for each class, fitted to the other folds.

    The covariance is that within the classes, all classes together (Fisher; Hastie, Tibshirani, Friedman 2009, 4.3).
    """
    outer = np.sum([part.outer for part in moments], 0)
    sums = np.sum([part.sums for part in moments], 0)
    counts = np.sum([part.counts for part in moments], 0)
    heads = []
    for part in moments:
        left = counts - part.counts
        means = (sums - part.sums) / np.maximum(left, 1)[:, None]
        within = (outer - part.outer - (means * left[:, None]).T @ means).astype(np.float64) / max(1, left.sum())
        width = len(within)
        sphere = max(float(np.trace(within)), 1e-9) / width
        within *= 1 - shrinkage
        within[np.diag_indices(width)] += shrinkage * sphere
        factor = np.linalg.cholesky(within)
        weight = cho_solve((factor, True), means.T.astype(np.float64))
        prior = np.log(np.maximum(left, 0.5) / max(1, left.sum()))
        bias = prior - 0.5 * np.einsum("cw,wc->c", means, weight)
        weight, bias, prior = (part.astype(np.float32) for part in (weight, bias, prior))
        heads.append(_Head(weight, bias, prior, factor))
    return heads


def _softmax(logits: Floats) -> Floats:
    logits -= logits.max(1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(1, keepdims=True)
    return logits
