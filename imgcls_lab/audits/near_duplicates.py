"""Images that show the same although their hashes differ: mirrored, cropped, lightened or taken again.

Called by the audit with the nearest neighbours by features. Two images are a pair if they are alike, and much more so
than either is like its other neighbours, as many as its class has images. So a data set of similar images gives few
pairs. Knows no torch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.audits.linear_heads import Labels
from imgcls_lab.audits.neighbours import Floats, Neighbours

MIN_SIMILARITY = 0.85  # cosine
_GAP = 1.0  # of the logarithms of the distances to the other image and to the usual one; less finds no more variants
_LEAST_NEIGHBOURS = 12  # fewer show no usual distance
_LEAST_CLASS = 3  # neighbours of a very small class that are looked at
_NOISE = 1e-4  # distances below are those of one image, rounded


class NearDuplicates(NamedTuple):
    """Pairs of images, the most alike first. rows: (k, 2), positions, the smaller first; scores: (k,), cosines."""

    rows: npt.NDArray[np.int64]
    scores: Floats


def find_near_duplicates(neighbours: Neighbours, labels: Labels) -> NearDuplicates:
    """The pairs among the neighbours of n images, each once. All images of a group of copies make pairs.

    labels: (n,). Where the neighbours reach beyond the class of an image, the distance to other classes is not the
    usual one: all images of a small class of alike images would be pairs.
    """
    count, k = neighbours.index.shape
    if k < _LEAST_NEIGHBOURS:
        return NearDuplicates(np.zeros((0, 2), np.int64), np.zeros(0, np.float32))
    distance = np.log(1 - np.minimum(neighbours.similarity, 1) + _NOISE)
    reach = np.clip(np.bincount(labels)[labels] - 1, _LEAST_CLASS, k)  # neighbours that are of the class
    usual = distance[np.arange(count), 3 * reach // 4]  # of the further half: a group of copies may fill the nearer one
    near = (neighbours.similarity > MIN_SIMILARITY) & (distance < usual[:, None] - _GAP)
    rows, places = np.nonzero(near)
    others = neighbours.index[rows, places]
    mutual = distance[rows, places] < usual[others] - _GAP
    pairs = np.sort(np.stack([rows[mutual], others[mutual]], 1), 1).astype(np.int64)
    keys, first = np.unique(pairs[:, 0] * count + pairs[:, 1], return_index=True)
    scores = neighbours.similarity[rows, places][mutual][first]
    order = np.argsort(-scores, kind="stable")
    return NearDuplicates(np.stack(np.divmod(keys, count), 1)[order], scores[order])
