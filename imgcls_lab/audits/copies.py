"""Groups of images that are the same or look the same, from their digests and perceptual hashes.

Called by the audit's file stage, with the pairs that the search of hashes found. Opens no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SAME_BITS, SAME_LEVELS = 2, 2.0  # of the hash, and of the tiny picture: a re-encoded or scaled copy stays below
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Images that belong together. rows: (n,), ascending; reasons: what makes them a group."""

    rows: Indices
    reasons: tuple[str, ...]
    score: float  # 0..1, 1 the surest


def same_content(digests: npt.NDArray[np.uint8]) -> Iterator[Group]:
    """The groups of two and more files with the same bytes. digests: uint8 (n, 32)."""
    whole = np.ascontiguousarray(digests).view("V32").ravel()
    order = np.argsort(whole, kind="stable")
    ends = np.flatnonzero(np.append(whole[order][1:] != whole[order][:-1], True)) + 1
    starts = np.append(0, ends[:-1])
    for place in np.flatnonzero(ends - starts > 1):
        yield Group(np.sort(order[starts[place] : ends[place]]), ("same bytes",), 1.0)


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows that look the same. reasons: one a pair; scores: float32 (k,), 1 the surest."""

    rows: Indices  # (k, 2)
    reasons: list[str]
    scores: npt.NDArray[np.float32]


def groups(pairs: Iterable[Pairs], count: int) -> Iterator[Group]:
    """The connected groups of pairs among `count` images. A group has the reasons of its pairs, the surest first."""
    found = list(pairs)
    rows = np.concatenate([np.empty((0, 2), np.int64), *(part.rows for part in found)])
    if not len(rows):
        return
    reasons = [reason for part in found for reason in part.reasons]
    scores = np.concatenate([part.scores for part in found])
    matrix = coo_array((np.ones(len(rows), np.bool_), (rows[:, 0], rows[:, 1])), shape=(count, count))
    component = connected_components(matrix, directed=False)[1]
    of_pair = component[rows[:, 0]]
    order = np.argsort(of_pair, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(of_pair[order])) + 1):
        surest = part[np.argsort(-scores[part], kind="stable")]
        yield Group(
            np.unique(rows[part]), tuple(dict.fromkeys(reasons[pair] for pair in surest)), float(scores[surest[0]])
        )
