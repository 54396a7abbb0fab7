"""Which images two runs do not share, by content; and what paired test and bootstrap say, held against scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import bootstrap as scipy_bootstrap

from imgcls_lab.analysis.flips import LIKELY, bootstrap, interval, mcnemar
from imgcls_lab.analysis.image_changes import compare
from imgcls_lab.errors import ConflictError, NotFoundError

from .made import MadeRun, image_id

CLASSES = ["cat", "dog"]


def listed(folder: Path, images: dict[str, tuple[str, str]], classes: list[str] = CLASSES) -> MadeRun:
    """A run of images: name -> (split, label); the name stands for the content."""
    run = MadeRun(folder, classes)
    of = {split: [name for name in images if images[name][0] == split] for split in ("train", "val")}
    labels = {split: [classes.index(images[name][1]) for name in names] for split, names in of.items()}
    run._listing("train", of["train"], labels=np.asarray(labels["train"], np.int32))
    run.write(labels["val"], np.full((len(of["val"]), len(classes)), 0.5), names=of["val"])
    return run


def test_images_are_added_removed_relabelled_and_moved_by_their_content(tmp_path: Path) -> None:
    before = {"a": ("train", "cat"), "b": ("train", "cat"), "c": ("val", "dog"), "d": ("val", "cat")}
    after = {"a": ("train", "dog"), "c": ("train", "dog"), "d": ("val", "cat"), "e": ("val", "dog")}
    one, two = listed(tmp_path / "one", before), listed(tmp_path / "two", after, ["dog", "cat"])
    found = compare(two.files, one.files)
    assert [(each.name, each.split, each.label) for each in found.added] == [("e", "val", "dog")]
    assert [(each.name, each.image) for each in found.removed] == [("b", image_id("b"))]
    assert [(each.name, each.before_label, each.label) for each in found.relabelled] == [("a", "cat", "dog")]
    assert [(each.name, each.before_split, each.split) for each in found.moved] == [("c", "val", "train")]
    assert (found.shared, found.added_total, found.removed_total, found.relabelled_total, found.moved_total) == (
        3, 1, 1, 1, 1
    )  # fmt: skip
    assert found.sentence == (
        "1 image added, 1 image removed, 1 image relabelled, 1 image moved; 3 images are in both."
    )
    same = compare(one.files, one.files)
    assert (same.shared, same.added, same.removed, same.relabelled, same.moved) == (4, [], [], [], [])


def test_runs_that_kept_no_list_or_no_hashes_are_refused(tmp_path: Path) -> None:
    one = listed(tmp_path / "one", {"a": ("train", "cat"), "c": ("val", "dog")})
    (tmp_path / "none/predictions").mkdir(parents=True)
    with pytest.raises(NotFoundError):
        compare(MadeRun(tmp_path / "none", CLASSES).files, one.files)
    old = MadeRun(tmp_path / "old", CLASSES, old=True).write([0], np.full((1, 2), 0.5))
    with pytest.raises(ConflictError) as refused:
        compare(one.files, old.files)
    assert refused.value.reason == "no_digests"


def pairs(rng: np.random.Generator, images: int, before: float, gained: float) -> tuple[int, int, np.ndarray]:
    """Synthetic answers of two models to the same images: fixed, broken, and the difference of each image."""
    first = rng.random(images) < before
    second = np.where(rng.random(images) < 0.2, rng.random(images) < before + gained, first)
    return int((~first & second).sum()), int((first & ~second).sum()), second.astype(int) - first.astype(int)


def test_p_value_and_bootstrap_agree_with_scipy_on_synthetic_pairs() -> None:
    rng = np.random.default_rng(1)
    for _case in range(20):
        images = int(rng.integers(100, 800))
        fixed, broke, each = pairs(rng, images, rng.uniform(0.6, 0.95), rng.uniform(0, 0.05))
        if fixed + broke:
            assert mcnemar(fixed, broke) == pytest.approx(binomtest(fixed, fixed + broke).pvalue, rel=1e-9)
        mine = bootstrap(fixed, broke, images)
        theirs = scipy_bootstrap(
            (each,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2)
        ).confidence_interval
        width = max(theirs.high - theirs.low, 1 / images)
        assert mine == pytest.approx((theirs.low, theirs.high), abs=0.08 * width + 1 / images)
        low, high = interval(fixed, broke, images)
        assert low <= each.mean() <= high


def test_of_1_000_comparisons_of_equals_one_in_twenty_is_called_significant() -> None:
    """An exact test calls no more than it says, and with many flips not much less."""
    rng = np.random.default_rng(3)
    drawn = rng.multinomial(20_000, [0.1, 0.1, 0.8], size=1000)
    called = sum((mcnemar(int(fixed), int(broke)) or 1) < LIKELY for fixed, broke, _ in drawn)
    error = 1.96 * (1000 * LIKELY * (1 - LIKELY)) ** 0.5
    print(f"\ncalled significant: {called} of 1,000 (target: 50 ± {error:.0f})")
    assert abs(called - 1000 * LIKELY) <= error
    missed = sum(
        not (low <= 0 <= high) for low, high in (bootstrap(int(f), int(b), 20_000, 2000) for f, b, _ in drawn[:300])
    )
    assert abs(missed - 15) <= 1.96 * (300 * 0.05 * 0.95) ** 0.5 + 2
