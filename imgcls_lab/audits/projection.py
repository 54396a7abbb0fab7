"""Features of images in two dimensions, for a map on which like images lie close together.

Called by the audit. UMAP (McInnes, Healy and Melville 2018), where the package umap-learn is installed, else the two
principal components. The same features give the same map. Knows no torch.
"""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from imgcls_lab.audits.neighbours import Floats, Neighbours, nearest, principal_axes

Method = Literal["umap", "pca"]

NO_UMAP = "The map shows principal components. Install imgcls-lab[audit] for a map by UMAP, which separates more."
_NEIGHBOURS = 15  # of an image, itself among them: UMAP's default
_SKETCH_IMAGES = 10_000  # more are not laid out from the start: their neighbours say where they begin
_SKETCH_EPOCHS, _EPOCHS = 200, 30
_STEP, _SMALL_STEP = 1.0, 0.25  # learning rates, from the start and from where images begin
_SPREAD_ROUNDS = 10
_EDGE = 65_535
_UMAP: dict[str, Any] = {  # UMAP's defaults; one thread, for the same map each time
    "gamma": 1.0, "negative_sample_rate": 5, "metric": "euclidean", "metric_kwds": {}, "densmap": False,
    "densmap_kwds": {}, "output_dens": False, "parallel": False,
}  # fmt: skip


@dataclass(frozen=True)
class Projection:
    """x, y: (n,), 0..65535, both of one scale; notes: sentences for the page."""

    x: npt.NDArray[np.uint16]
    y: npt.NDArray[np.uint16]
    method: Method
    notes: tuple[str, ...] = ()


def project(rows: Floats, neighbours: Neighbours, *, seed: int = 0) -> Projection:
    """The map of n images. rows: (n, width), from `unit_rows`; neighbours: of them."""
    method: Method = "pca"
    notes: tuple[str, ...] = ()
    points = _principal_components(rows)
    if len(rows) > _NEIGHBOURS:
        if importlib.util.find_spec("umap") is None:
            notes = (NO_UMAP,)
        else:
            points, method = _umap(rows, points, neighbours, seed), "umap"
    x, y = _to_grid(points)
    return Projection(x, y, method, notes)


def _principal_components(rows: Floats) -> Floats:
    points = np.zeros((len(rows), 2), np.float32)
    if len(rows) and rows.shape[1]:
        found = rows @ principal_axes(rows, 2)
        points[:, : found.shape[1]] = found
    return points


def _to_grid(points: Floats) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    if not len(points):
        return np.zeros(0, np.uint16), np.zeros(0, np.uint16)
    low, high = points.min(0), points.max(0)
    scale = max(float((high - low).max()), 1e-12)
    grid = np.rint(((points - (low + high) / 2) / scale + 0.5) * _EDGE).clip(0, _EDGE).astype(np.uint16)
    return grid[:, 0], grid[:, 1]


def _umap(rows: Floats, components: Floats, neighbours: Neighbours, seed: int) -> Floats:
    """Some images are laid out first; the others begin among their neighbours, and all are moved together."""
    rng = np.random.default_rng(seed)
    if len(rows) <= _SKETCH_IMAGES:
        return _layout(neighbours, components, _SKETCH_EPOCHS, _STEP, seed)
    sketch = np.sort(rng.choice(len(rows), _SKETCH_IMAGES, replace=False))
    of_sketch = nearest(rows[sketch], _NEIGHBOURS - 1)
    points = np.zeros((len(rows), 2), np.float32)
    points[sketch] = _layout(of_sketch, components[sketch], _SKETCH_EPOCHS, _STEP, seed)
    _spread(points, sketch, neighbours)
    return _layout(neighbours, points + rng.normal(0, 0.05, points.shape), _EPOCHS, _SMALL_STEP, seed)


def _spread(points: Floats, known: npt.NDArray[np.int64], neighbours: Neighbours) -> None:
    """Put each other image at the mean of its neighbours that have a place, round by round."""
    count, k = neighbours.index.shape
    edges = csr_array(
        (np.ones(count * k, np.float32), neighbours.index.ravel(), np.arange(0, count * k + 1, k)), (count, count)
    )
    placed = np.zeros(count, np.float32)
    placed[known] = 1
    for _ in range(_SPREAD_ROUNDS):
        weight = edges @ placed
        new = (placed == 0) & (weight > 0)
        if not new.any():
            break
        points[new] = (edges @ points)[new] / weight[new, None]
        placed[new] = 1
    points[placed == 0] = points[known].mean(0)


def _layout(neighbours: Neighbours, start: npt.NDArray[Any], epochs: int, step: float, seed: int) -> Floats:
    """UMAP's layout of a graph of neighbours that is known already; start: (n, 2)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow is not installed, one seed needs one thread: both are meant
        from umap.umap_ import find_ab_params, fuzzy_simplicial_set, simplicial_set_embedding

        count = len(start)
        others = neighbours.index[:, : _NEIGHBOURS - 1]
        cosines = neighbours.similarity[:, : _NEIGHBOURS - 1]
        index = np.concatenate([np.arange(count, dtype=np.int32)[:, None], others], 1)
        distances = np.concatenate([np.zeros((count, 1), np.float32), np.maximum(1 - cosines, 0)], 1)
        k, random = index.shape[1], np.random.RandomState(seed)
        graph, _, _ = fuzzy_simplicial_set(start, k, random, "cosine", knn_indices=index, knn_dists=distances)
        a, b = find_ab_params(1.0, 0.1)
        spread = np.maximum(np.abs(start).max(0), 1e-12)
        begin = (start / spread * 10).astype(np.float32)
        schedule = {"initial_alpha": step, "n_epochs": epochs, "init": begin, "random_state": random}
        points, _ = simplicial_set_embedding(start, graph, 2, a=a, b=b, **schedule, **_UMAP)
    return np.asarray(points, np.float32)
