"""Outliers, near-duplicates and the map, on features with planted faults."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from imgcls_lab.audits import neighbours, projection, results
from imgcls_lab.audits.linear_heads import ClassDistances, OutOfSample
from imgcls_lab.audits.near_duplicates import find_near_duplicates
from imgcls_lab.audits.neighbours import nearest, unit_rows
from imgcls_lab.audits.outliers import find_outliers
from imgcls_lab.audits.projection import project
from imgcls_lab.errors import InputError
from imgcls_lab.schemas.audits import ProblemKind
from imgcls_lab.schemas.images import ImageView

CLASSES, IMAGES, WIDTH = 6, 1200, 48


def made(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features around a centre a class, and the classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, IMAGES)
    return rng.normal(size=(CLASSES, WIDTH))[labels] + rng.normal(size=(IMAGES, WIDTH)) * 0.4, labels


def outliers(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    rows = unit_rows(features)
    found = nearest(rows, 20)
    heads = OutOfSample(rows, labels, CLASSES, found, groups=np.arange(len(rows)))
    return find_outliers(heads.distances(), found).rows


def test_planted_outliers_are_found_and_clean_data_has_few() -> None:
    features, labels = made()
    assert len(outliers(features, labels)) <= 0.02 * IMAGES
    features[:8] = np.random.default_rng(9).normal(size=(8, WIDTH)) * 2
    assert set(range(8)) <= set(outliers(features, labels)[:10])


def test_the_distance_is_mahalanobis_to_the_nearest_class() -> None:
    features, labels = made()
    rows = unit_rows(features)
    heads = OutOfSample(rows, labels, CLASSES, nearest(rows, 20), groups=np.arange(IMAGES))
    found = heads.distances()
    fold = heads._folds[0]
    seen = np.setdiff1d(np.arange(IMAGES), fold)
    means = np.stack([rows[seen][labels[seen] == label].mean(0) for label in range(CLASSES)])
    within = np.cov((rows[seen] - means[labels[seen]]).T, bias=True)
    within = 0.5 * within + 0.5 * np.trace(within) / WIDTH * np.eye(WIDTH)
    away = rows[fold][:, None] - means[None]
    expected = np.einsum("ncw,wv,ncv->nc", away, np.linalg.inv(within), away)
    np.testing.assert_allclose(found.squared[fold], expected.min(1), rtol=1e-3)
    assert np.array_equal(found.nearest[fold], expected.argmin(1))


def test_a_rare_kind_of_a_class_is_no_outlier() -> None:
    features, labels = made()
    features[:60] = (
        np.random.default_rng(3).normal(size=WIDTH) * 2 + np.random.default_rng(4).normal(size=(60, WIDTH)) * 0.1
    )
    assert not np.isin(np.arange(60), outliers(features, labels)).any()


def test_planted_near_duplicates_are_found_each_pair_once() -> None:
    features, labels = made()
    features[:40] = features[40:80] + np.random.default_rng(1).normal(size=(40, WIDTH)) * 0.03
    features[80] = features[40] + 0.02  # a group of three
    found = find_near_duplicates(nearest(unit_rows(features), 20), labels)
    pairs = {tuple(pair) for pair in found.rows.tolist()}
    assert pairs == {(number, number + 40) for number in range(40)} | {(0, 80), (40, 80)}
    assert len(pairs) == len(found.rows)
    assert (np.diff(found.scores) <= 0).all()


def test_a_small_class_of_images_that_are_all_alike_has_no_pairs() -> None:
    features, labels = made()
    rng = np.random.default_rng(2)
    features[:10], labels[:10] = rng.normal(size=WIDTH) * 2 + rng.normal(size=(10, WIDTH)) * 0.2, CLASSES
    near = nearest(unit_rows(features), 20)
    assert len(find_near_duplicates(near, np.zeros(IMAGES, np.int64)).rows) == 45  # as if they were of a large class
    assert len(find_near_duplicates(near, labels).rows) == 0


@pytest.mark.parametrize("count", [0, 1, 2, 12])
def test_very_few_images_have_no_outliers_no_pairs_and_a_map(count: int) -> None:
    rows = unit_rows(made()[0][:count])
    found = nearest(rows, 20)
    assert len(find_near_duplicates(found, np.zeros(count, np.int64)).rows) == 0
    distances = ClassDistances(np.zeros(count, np.float32), np.zeros(count, np.int64))
    assert len(find_outliers(distances, found).rows) == 0
    drawn = project(rows, found)
    assert (len(drawn.x), drawn.method) == (count, "pca")


def separation(points: projection.Projection, labels: np.ndarray) -> float:
    """Which part of the images has its nearest image on the map in its own class."""
    at = np.stack([points.x, points.y], 1).astype(np.float64)
    distance = ((at[:, None] - at[None]) ** 2).sum(2)
    np.fill_diagonal(distance, np.inf)
    return float((labels[distance.argmin(1)] == labels).mean())


def test_the_map_keeps_classes_together_and_is_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("umap")
    monkeypatch.setattr(projection, "_SKETCH_IMAGES", 300)
    monkeypatch.setattr(projection, "_SKETCH_EPOCHS", 40)
    features, labels = made()
    rows = unit_rows(features)
    found = nearest(rows, 20)
    first, again = project(rows, found), project(rows, found)
    assert first.method == "umap"
    assert np.array_equal(first.x, again.x)
    assert np.array_equal(first.y, again.y)
    assert separation(first, labels) > 0.97
    assert max(int(first.x.max()), int(first.y.max())) == 65_535


def test_without_umap_the_map_shows_principal_components_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "umap" else find_spec(name, *rest)
    )
    features, labels = made()
    rows = unit_rows(features)
    drawn = project(rows, neighbours.nearest(rows, 20))
    assert (drawn.method, drawn.notes) == ("pca", (projection.NO_UMAP,))
    components = np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:2]
    at = np.stack([drawn.x, drawn.y]).astype(np.float64)
    for axis, found in zip((rows @ components.T).T, at, strict=True):
        assert abs(np.corrcoef(axis, found)[0, 1]) > 0.999
    assert separation(drawn, labels) > 0.3


def test_images_that_are_only_alike_to_a_model_are_no_leak() -> None:
    def pair(kind: ProblemKind) -> results.Problem:
        images = [
            ImageView(image=split[0] * 64, name=f"{split}/cat/{kind}.jpg", split=split, label="cat", folder_label="cat")
            for split in ("train", "val")
        ]
        return results.Problem(kind, images)

    assert results.leaking([pair("near_duplicate")]) == 0
    assert results.leaking([pair("copy"), pair("look_alike"), pair("near_duplicate")]) == 2


def test_a_kind_of_problem_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        results.read_problems(tmp_path, "label_errors")
    assert (refused.value.reason, "label_error," in str(refused.value)) == ("kind", True)
