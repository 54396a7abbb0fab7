"""Out-of-sample probabilities see no image's own label; label errors are those that cleanlab finds."""

from __future__ import annotations

import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from imgcls_lab.audits import label_errors, linear_heads
from imgcls_lab.audits.label_errors import find_label_errors
from imgcls_lab.audits.linear_heads import OutOfSample
from imgcls_lab.audits.neighbours import nearest, unit_rows


def blobs(count: int, classes: int, seed: int = 0, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Features around a centre a class, and the classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    return rng.normal(size=(classes, 24))[labels] + rng.normal(size=(count, 24)) * spread, labels


def out_of_sample(
    features: np.ndarray, labels: np.ndarray, classes: int, groups: np.ndarray | None = None
) -> np.ndarray:
    rows = unit_rows(features)
    copies = np.arange(len(rows)) if groups is None else groups
    found = OutOfSample(rows, labels, classes, nearest(rows, 20), groups=copies)
    probs = np.full((len(rows), classes), np.nan, np.float32)
    for images, block in found.blocks():
        probs[images] = block
    return probs


@pytest.mark.parametrize("seed", range(6))
def test_label_errors_equal_cleanlabs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 12))
    labels = np.concatenate([np.repeat(np.arange(classes), 6), rng.integers(0, classes, 900)])
    probs = rng.dirichlet(np.ones(classes), len(labels)).astype(np.float32)
    probs[np.arange(len(labels)), labels] += rng.random(len(labels)).astype(np.float32) * 2
    probs /= probs.sum(1, keepdims=True)
    found = find_label_errors(lambda: [(np.arange(len(labels)), probs)], labels, classes)
    expected = np.flatnonzero(find_label_issues(labels, probs, filter_by="low_self_confidence", n_jobs=1))
    given = probs[np.arange(len(labels)), labels]
    others = probs - np.eye(classes)[labels] * 2
    sure = ((given < label_errors.RULED_OUT) & (others.max(1) > label_errors.SURE)).sum()
    listed = np.argsort(given)[: max(len(expected), sure)]
    assert len(expected)
    assert set(expected) == set(np.argsort(given)[: len(expected)])
    assert set(found.rows) == set(listed[others.max(1)[listed] > given[listed]])
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(found.confidence, probs[found.rows, found.suggested])


def test_a_fold_equals_scikit_learns_discriminant_analysis() -> None:
    features, labels = blobs(400, 5)
    rows = unit_rows(features)
    other = np.arange(400) % 2 == 0
    moments = [linear_heads._moments(rows[part], labels[part], 5) for part in (other, ~other)]
    head = linear_heads._heads(moments, 0.1)[1]
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(rows[other], labels[other])
    logits = rows @ head.weight + head.bias
    expected = rows @ reference.coef_.T + reference.intercept_
    np.testing.assert_allclose(
        logits - logits.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-2
    )


def test_a_label_does_not_vouch_for_itself_nor_for_its_copies() -> None:
    features, labels = blobs(600, 6)
    features[:10] = features[0]  # ten copies, all of one wrong label
    labels[:10] = wrong = (labels[0] + 1) % 6
    groups = np.arange(600)
    groups[:10] = 0
    assert (
        out_of_sample(features, labels, 6, groups)[:10, wrong].max()
        < 0.1
        < out_of_sample(features, labels, 6)[0, wrong]
    )


def test_planted_errors_are_found_and_the_right_class_is_suggested() -> None:
    features, truth = blobs(1500, 10, spread=0.6)
    labels, planted = truth.copy(), np.arange(0, 1500, 20)
    labels[planted] = (truth[planted] + 3) % 10
    probs = out_of_sample(features, labels, 10)
    found = find_label_errors(lambda: [(np.arange(1500), probs)], labels, 10)
    assert np.isin(planted, found.rows).mean() > 0.95
    assert np.isin(found.rows, planted).mean() > 0.8
    assert (found.suggested == truth[found.rows])[np.isin(found.rows, planted)].mean() > 0.95


def test_a_class_of_few_images_is_not_judged_and_one_class_has_no_errors() -> None:
    features, labels = blobs(300, 3)
    labels[:2] = 3
    probs = out_of_sample(features, labels, 4)
    assert np.isfinite(probs).all()
    assert not np.isin([0, 1], find_label_errors(lambda: [(np.arange(300), probs)], labels, 4).rows).any()
    alone = out_of_sample(features, np.zeros(300, np.int64), 1)
    assert not len(find_label_errors(lambda: [(np.arange(300), alone)], np.zeros(300, np.int64), 1).rows)
