"""Which images are held out, and that a count without them says the same."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, DataError
from imgcls_lab.imagefolder import FolderSummary, inspect_folder, list_images
from imgcls_lab.planning.holdout import (
    count_held_out,
    held_out,
    held_out_of_class,
    hold_out,
    hold_out_groups,
)

PATIENT = "(patient[0-9]+)_"


def folder_of(root: Path, images: dict[str, int], patients: int = 1) -> FolderSummary:
    for name, count in images.items():
        (root / "train" / name).mkdir(parents=True)
        for number in range(count):
            (root / "train" / name / f"patient{number % patients}_{number}.png").touch()
    return inspect_folder(root)


def mask_of(summary: FolderSummary, config: TrainConfig) -> np.ndarray:
    paths, labels = list_images(summary, "train", summary.classes)
    return held_out(summary.root, list(map(os.fsencode, paths)), np.asarray(labels), config)


@settings(deadline=None)
@given(images=st.integers(0, 10_000), fraction=st.floats(0.001, 0.999))
def test_a_class_keeps_an_image_and_gives_one_where_it_has_two(images: int, fraction: float) -> None:
    count = held_out_of_class(images, fraction)
    assert count == 0 if images < 2 else 1 <= count < images
    if 2 <= images * fraction <= images - 2:
        assert abs(count - images * fraction) <= 0.5


@settings(deadline=None)
@given(labels=st.lists(st.integers(0, 4), max_size=80), fraction=st.floats(0.05, 0.95), seed=st.integers(0, 99))
def test_the_fraction_is_taken_of_each_class(labels: list[int], fraction: float, seed: int) -> None:
    given_labels = np.asarray(labels, np.int64)
    chosen = hold_out(given_labels, fraction, seed)
    for label in set(labels):
        assert chosen[given_labels == label].sum() == held_out_of_class(labels.count(label), fraction)
    assert np.array_equal(chosen, hold_out(given_labels, fraction, seed))


def test_the_choice_is_the_one_of_earlier_versions() -> None:
    """A stopped run trains on the same images after an update."""
    chosen = hold_out(np.repeat(np.arange(3), 10), 0.2, 7)
    assert np.flatnonzero(chosen).tolist() == [4, 7, 10, 15, 26, 27]
    groups = np.repeat(np.arange(10), 3).astype(str)
    grouped = hold_out_groups(np.tile(np.arange(3), 10), groups, 0.3, 7)
    assert sorted(set(groups[grouped])) == ["3", "4", "7"]


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
@pytest.mark.parametrize("pattern", [None, PATIENT])
def test_a_count_is_the_number_of_the_images_that_are_chosen(
    tmp_path: Path, fraction: float, pattern: str | None
) -> None:
    summary = folder_of(tmp_path, {"cat": 17, "dog": 5, "owl": 2, "yak": 1}, patients=4)
    config = TrainConfig(root=str(tmp_path), val_fraction=fraction, group_pattern=pattern)
    assert count_held_out(summary, config) == mask_of(summary, config).sum() > 0


def test_nothing_is_held_out_where_there_is_a_val(tmp_path: Path) -> None:
    (tmp_path / "val" / "cat").mkdir(parents=True)
    (tmp_path / "val" / "cat" / "0.png").touch()
    summary = folder_of(tmp_path, {"cat": 4, "dog": 4})
    assert count_held_out(summary, TrainConfig(root=str(tmp_path))) == 0


@pytest.mark.parametrize(
    ("images", "pattern", "error", "field"),
    [
        ({"cat": 1, "dog": 1}, None, DataError, "root"),
        ({"cat": 4, "dog": 4}, "(train)/", DataError, "group_pattern"),
        ({"cat": 4, "dog": 4}, "(person[0-9]+)", ConfigError, "group_pattern"),
    ],
)
def test_the_count_refuses_what_the_run_would_refuse(
    tmp_path: Path, images: dict[str, int], pattern: str | None, error: type[ConfigError | DataError], field: str
) -> None:
    summary = folder_of(tmp_path, images)
    config = TrainConfig(root=str(tmp_path), group_pattern=pattern)
    for ask in (count_held_out, mask_of):
        with pytest.raises(error) as refused:
            ask(summary, config)
        assert [problem.field for problem in refused.value.problems] == [field]
