"""Nearest neighbours agree with scikit-learn's, and the inverted file finds nearly all of them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from imgcls_lab.audits import neighbours
from imgcls_lab.audits.neighbours import nearest, nearest_to, unit_rows

RNG = np.random.default_rng(0)


def clustered(count: int, width: int = 32) -> np.ndarray:
    """Features as a network gives them: groups of similar images, all values positive."""
    centres = RNG.normal(size=(50, width))
    return np.maximum(centres[RNG.integers(0, 50, count)] + RNG.normal(size=(count, width)) * 0.4, 0).astype(np.float16)


def test_neighbours_equal_those_of_scikit_learn() -> None:
    rows = unit_rows(clustered(700))
    found = nearest(rows, 5)
    reference = NearestNeighbors(n_neighbors=6, metric="cosine").fit(rows)
    distances, _ = reference.kneighbors(rows)
    assert found.recall == 1
    np.testing.assert_allclose(1 - found.similarity, distances[:, 1:], atol=1e-5)
    assert not (found.index == np.arange(700)[:, None]).any()


def test_the_smallest_columns_of_many_are_exact() -> None:
    values = RNG.normal(size=(40, 3001)).astype(np.float32)  # the last columns belong to no group
    values[:, -1] -= 10
    columns = neighbours._smallest(values, 7)
    np.testing.assert_array_equal(columns, np.argsort(values, axis=1)[:, :7])


def test_an_inverted_file_finds_nearly_all_and_measures_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = unit_rows(clustered(6000))
    exact = nearest(rows, 10)
    monkeypatch.setattr(neighbours, "EXACT_IMAGES", 1000)
    found = nearest(rows, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.index, exact.index, strict=True)])
    assert recall > 0.95
    assert found.recall == pytest.approx(recall, abs=0.02)
    assert not (found.index == np.arange(6000)[:, None]).any()
    assert (np.diff(found.similarity, axis=1) <= 0).all()
    again = nearest(rows, 10)
    assert np.array_equal(again.index, found.index)


def test_neighbours_of_one_image_equal_those_among_all() -> None:
    features = clustered(300)
    found = nearest(unit_rows(features), 4)
    index, similarity = nearest_to(lambda: np.split(features, [100, 101]), features[17], 5)
    assert index[0] == 17
    np.testing.assert_array_equal(index[1:], found.index[17])
    np.testing.assert_allclose(similarity[1:], found.similarity[17], atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_images_have_few_neighbours(count: int) -> None:
    assert nearest(unit_rows(clustered(count)), 5).index.shape == (count, max(0, count - 1))
