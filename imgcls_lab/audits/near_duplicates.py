"""Images that show the same although their hashes differ: mirrored, cropped, lightened or taken again.

Called by the audit with the nearest neighbours by features. Two images are a pair if they are alike, and much more so
than either is like its other neighbours. So a data set of similar images gives few pairs. Knows no torch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.audits.neighbours import Floats, Neighbours

MIN_SIMILARITY = 0.85  # cosine
_GAP = 0.9  # of the logarithms of two distances: to the other image, and to the usual neighbour
_LEAST_NEIGHBOURS = 12  # fewer show no usual distance
_NOISE = 1e-4  # distances below are those of one image, rounded


class NearDuplicates(NamedTuple):
    """Pairs of images, the most alike first. rows: (k, 2), positions, the smaller first; scores: (k,), cosines."""

    rows: npt.NDArray[np.int64]
    scores: Floats


def find_near_duplicates(neighbours: Neighbours) -> NearDuplicates:
    """The pairs among the neighbours of n images, each once. All images of a group of copies make pairs."""
    count, k = neighbours.index.shape
    if k < _LEAST_NEIGHBOURS:
        return NearDuplicates(np.zeros((0, 2), np.int64), np.zeros(0, np.float32))
    distance = np.log(1 - np.minimum(neighbours.similarity, 1) + _NOISE)
    usual = np.median(distance[:, k // 2 :], 1)  # of the further half: a group of copies may fill the nearer one
    near = (neighbours.similarity > MIN_SIMILARITY) & (distance < usual[:, None] - _GAP)
    rows, places = np.nonzero(near)
    others = neighbours.index[rows, places]
    mutual = distance[rows, places] < usual[others] - _GAP
    pairs = np.sort(np.stack([rows[mutual], others[mutual]], 1), 1).astype(np.int64)
    keys, first = np.unique(pairs[:, 0] * count + pairs[:, 1], return_index=True)
    scores = neighbours.similarity[rows, places][mutual][first]
    order = np.argsort(-scores, kind="stable")
    return NearDuplicates(np.stack(np.divmod(keys, count), 1)[order], scores[order])
