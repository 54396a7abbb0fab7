"""The nearest neighbours of images by the features of a model.

Called by the audit for all images and by the page of one image. Exact up to `EXACT_IMAGES` images. Beyond that images
are compared within the cells of a k-means clustering (an inverted file), and the recall of this is measured. Knows no
torch and no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Floats = npt.NDArray[np.float32]
Features = npt.NDArray[np.floating]
Numbers = npt.NDArray[np.int32]
Progress = Callable[[int, int], None]

EXACT_IMAGES = 20_000
_BLOCK = 1024  # images that are compared with all others at once
_CELL_IMAGES = 400  # on average
_PROBES = 12  # cells in which the neighbours of an image are looked for
_KMEANS_ROUNDS = 8
_KMEANS_IMAGES = 20_000  # from which the centres are learned
_GROUP = 32  # columns whose minimum is looked at first
_RECALL_IMAGES = 500  # whose neighbours are compared with the exact ones


@dataclass(frozen=True)
class Neighbours:
    """The k nearest other images of each image, the nearest first.

    index: (n, k), positions of images; similarity: (n, k), cosine, -1 to 1; recall: which part of the true neighbours
    is among them, 1 where the search was exact.
    """

    index: Numbers
    similarity: Floats
    recall: float = 1.0


def unit_rows(features: npt.NDArray[np.floating], mean: Floats | None = None) -> Floats:
    """Features (n, width) minus their mean, each row of length 1; the cosine of two images is then a product.

    All pooled features of a network share a large part. Without it, a cosine differs much more between images.
    mean: (width,), of other features that these are compared with.
    """
    rows = features.astype(np.float32)
    if len(rows):
        rows -= rows.mean(0) if mean is None else mean
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.maximum(norms, 1e-12)[:, None]
    return rows


def nearest_to(blocks: Callable[[], Iterable[Features]], image: Features, k: int) -> tuple[Numbers, Floats]:
    """Positions of the k nearest rows to one image (width,), the nearest first, and the cosines.

    blocks: gives all rows in their order, (some, width) each, twice: first for their mean.
    """
    total, count = np.zeros(len(image)), 0
    for block in blocks():
        total += block.sum(0, dtype=np.float64)
        count += len(block)
    mean = (total / max(1, count)).astype(np.float32)
    own = unit_rows(image[None], mean)[0]
    similarity = np.concatenate([np.zeros(0, np.float32), *(unit_rows(block, mean) @ own for block in blocks())])
    k = min(k, count)
    index = np.argpartition(-similarity, k - 1)[:k] if k else np.zeros(0, np.int64)
    index = index[np.lexsort((index, -similarity[index]))]
    return index.astype(np.int32), similarity[index]


def nearest(rows: Floats, k: int, progress: Progress | None = None, *, seed: int = 0) -> Neighbours:
    """The k nearest others of each image; fewer than k where there are not so many.

    rows: (n, width), from `unit_rows`; progress: gets (done, of all). The same rows and seed give the same neighbours.
    """
    k = max(0, min(k, len(rows) - 1))
    if k == 0:
        return Neighbours(np.zeros((len(rows), 0), np.int32), np.zeros((len(rows), 0), np.float32))
    if len(rows) <= EXACT_IMAGES:
        return Neighbours(*_exact(rows, np.arange(len(rows)), k, progress))
    return _inverted_file(rows, k, progress, np.random.default_rng(seed))


def _exact(rows: Floats, asked: npt.NDArray[np.int64], k: int, progress: Progress | None) -> tuple[Numbers, Floats]:
    index, similarity = np.empty((len(asked), k), np.int32), np.empty((len(asked), k), np.float32)
    for start in range(0, len(asked), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(asked)))
        distance = -rows[asked[part]] @ rows.T
        distance[np.arange(len(distance)), asked[part]] = np.inf
        columns = _smallest(distance, k)
        index[part], similarity[part] = columns, -np.take_along_axis(distance, columns, 1)
        if progress:
            progress(part.stop, len(asked))
    return index, similarity


def _smallest(values: Floats, k: int) -> npt.NDArray[np.int64]:
    """The k columns of smallest value in each row, the smallest first.

    Of many columns, those are compared that lie in the k groups of smallest minimum: no other can be among the k.
    """
    whole = values.shape[1] // _GROUP * _GROUP
    if values.shape[1] < 4 * k * _GROUP:
        columns = np.argpartition(values, k - 1, axis=1)[:, :k] if k < values.shape[1] else np.indices(values.shape)[1]
    else:
        minima = values[:, :whole].reshape(len(values), -1, _GROUP).min(2)
        groups = np.argpartition(minima, k - 1, axis=1)[:, :k]
        candidates = (groups[:, :, None] * _GROUP + np.arange(_GROUP)).reshape(len(values), -1)
        rest = np.broadcast_to(np.arange(whole, values.shape[1]), (len(values), values.shape[1] - whole))
        candidates = np.concatenate([candidates, rest], 1)
        chosen = np.argpartition(np.take_along_axis(values, candidates, 1), k - 1, axis=1)[:, :k]
        columns = np.take_along_axis(candidates, chosen, 1)
    order = np.argsort(np.take_along_axis(values, columns, 1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, 1)


def principal_axes(rows: Floats, count: int) -> Floats:
    """The axes (width, count) of the largest variance of centred rows, the largest first; count: below their number."""
    if len(rows) < rows.shape[1]:  # the smaller of two matrices with the same eigenvalues
        squares, images = np.linalg.eigh((rows @ rows.T).astype(np.float64))
        axes = rows.T @ images / np.sqrt(np.maximum(squares, 1e-12))
    else:
        _, axes = np.linalg.eigh((rows.T @ rows).astype(np.float64))
    return np.ascontiguousarray(axes[:, ::-1][:, :count], dtype=np.float32)


# ── more images than are compared each with each ────────────────────────────────────────────────────────────────
def _inverted_file(rows: Floats, k: int, progress: Progress | None, rng: np.random.Generator) -> Neighbours:
    centres = _kmeans(rows, max(_PROBES, len(rows) // _CELL_IMAGES), rng)
    probes = np.empty((len(rows), _PROBES), np.int32)
    for start in range(0, len(rows), 8 * _BLOCK):
        part = slice(start, start + 8 * _BLOCK)
        probes[part] = _smallest(-rows[part] @ centres.T, _PROBES)
    members = _lists(probes[:, 0], len(centres))
    searchers = _lists(probes.reshape(-1), len(centres))
    found_index = np.zeros((len(rows), _PROBES, k), np.int32)
    found_distance = np.full((len(rows), _PROBES, k), np.inf, np.float32)
    for cell, (own, asking) in enumerate(zip(members, searchers, strict=True)):
        images, probe = np.divmod(asking, _PROBES)
        if len(own):
            found = -rows[images] @ rows[own].T
            inside = np.minimum(np.searchsorted(own, images), len(own) - 1)
            found[np.arange(len(images)), inside] += np.where(own[inside] == images, np.inf, 0)  # none is its own
            columns = _smallest(found, min(k, len(own)))
            found_index[images, probe, : columns.shape[1]] = own[columns]
            found_distance[images, probe, : columns.shape[1]] = np.take_along_axis(found, columns, 1)
        if progress:
            progress((cell + 1) * len(rows) // len(centres), len(rows))
    index, distance = found_index.reshape(len(rows), -1), found_distance.reshape(len(rows), -1)
    best = _smallest(distance, k)
    index, similarity = np.take_along_axis(index, best, 1), -np.take_along_axis(distance, best, 1)
    asked = np.sort(rng.choice(len(rows), min(_RECALL_IMAGES, len(rows)), replace=False))
    true, _ = _exact(rows, asked, k, None)
    recall = float((true[:, :, None] == index[asked][:, None, :]).any(2).mean())
    return Neighbours(index, similarity, recall)


def _kmeans(rows: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Centres (count, width) of unit length."""
    sample = rows[np.sort(rng.choice(len(rows), min(_KMEANS_IMAGES, len(rows)), replace=False))]
    centres = sample[rng.choice(len(sample), count, replace=False)]
    for _ in range(_KMEANS_ROUNDS):
        owner = (sample @ centres.T).argmax(1)
        members = csr_array((np.ones(len(sample), np.float32), (owner, np.arange(len(sample)))), (count, len(sample)))
        sums = members @ sample
        norms = np.linalg.norm(sums, axis=1)
        centres = np.where(norms[:, None] > 0, sums / np.maximum(norms, 1e-12)[:, None], centres).astype(np.float32)
    return centres


def _lists(owner: npt.NDArray[np.integer], count: int) -> list[npt.NDArray[np.int64]]:
    """The positions of each number below `count` in `owner`, ascending."""
    order = np.argsort(owner, kind="stable")
    return np.split(order, np.searchsorted(owner[order], np.arange(1, count)))
