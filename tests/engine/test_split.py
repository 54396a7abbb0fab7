"""Which files are trained and validated on: by class, by group, in a fixed order of classes, evenly drawn if wanted."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.data.image_set import Reader
from imgcls_lab.engine.data.split import Splits, list_splits
from imgcls_lab.engine.rng import epoch_order
from imgcls_lab.engine.transforms.geometry import Place, ShortEdge
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ConfigError, DataError
from imgcls_lab.planning.holdout import groups_of, hold_out_groups
from imgcls_lab.schemas import EpochReport

from .conftest import of_type
from .test_resume import stop_after

Make = Callable[..., TrainConfig]
Run = Callable[..., Outcome]
PATIENT = "(patient[0-9]+)_"


@pytest.fixture
def patients(digits: Path) -> Path:
    """No val/; the 30 images of each digit are of ten patients, three of each, a patient in all classes."""
    shutil.rmtree(digits / "val")
    for folder in (digits / "train").iterdir():
        for number, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"patient{number % 10}_{path.name}")
    return digits


def split(config: TrainConfig) -> Splits:
    reader = Reader(EvalSpec.default(16))
    return list_splits(config, reader, reader)


def patients_of(splits: Splits) -> tuple[set[str], set[str]]:
    return tuple(set(groups_of(images.paths, PATIENT).tolist()) for images in (splits.train, splits.val))  # type: ignore[return-value]


def test_images_of_one_group_are_never_on_both_sides(make_config: Make, patients: Path) -> None:
    config = make_config(root=str(patients), group_pattern=PATIENT, val_fraction=0.3)
    trained, validated = patients_of(split(config))
    assert (len(trained), len(validated), trained & validated) == (7, 3, set())
    assert patients_of(split(config)) == (trained, validated)
    assert any(patients_of(split(config.with_changes(seed=seed)))[1] != validated for seed in (1, 2, 3))
    plain = split(config.with_changes(group_pattern=None))
    assert set.intersection(*patients_of(plain))


def test_grouped_split_is_used_and_stays_even_over_the_classes(run: Run, patients: Path) -> None:
    folder = run(root=str(patients), group_pattern=PATIENT, val_fraction=0.2, epochs=1).folder
    report = EpochReport.model_validate_json((folder / "reports/epoch-0001.json").read_text())
    assert [figures.images for figures in report.classes] == [6, 6, 6, 6]
    assert of_type(folder, "started")[0].train_images == 96


def test_uneven_groups_come_close_to_the_share_of_each_class() -> None:
    random = np.random.default_rng(0)
    owners = np.arange(400)
    sizes = random.integers(1, 30, 400)
    groups = np.repeat(owners, sizes).astype(str)
    labels = np.where(
        random.random(len(groups)) < 0.9, np.repeat(owners % 5, sizes), random.integers(0, 5, len(groups))
    )
    held = hold_out_groups(labels, groups, 0.2, 0)
    assert not set(groups[held]) & set(groups[~held])
    shares = np.bincount(labels[held], minlength=5) / np.bincount(labels)
    assert np.abs(shares - 0.2).max() < 0.03


def test_every_class_keeps_training_images_and_gets_validation_images_where_groups_allow() -> None:
    labels = np.array([0] * 10 + [1] * 10 + [2] * 3)
    groups = np.array(["a"] * 5 + ["b"] * 5 + ["c"] * 5 + ["d"] * 5 + ["e"] * 3)
    held = hold_out_groups(labels, groups, 0.1, 0)
    assert np.bincount(labels[held], minlength=3).tolist() == [5, 5, 0]


def test_pattern_that_does_not_match_is_a_sentence(make_config: Make, patients: Path) -> None:
    (patients / "train/digit-0/patient0_000.png").rename(patients / "train/digit-0/stray.png")
    with pytest.raises(ConfigError, match=r"119 of 120 .*“train/digit-0/stray\.png”") as caught:
        split(make_config(root=str(patients), group_pattern=PATIENT))
    assert caught.value.problems[0].field == "group_pattern"


def test_one_group_cannot_be_split(make_config: Make, patients: Path) -> None:
    with pytest.raises(DataError, match="no group"):
        split(make_config(root=str(patients), group_pattern="(train)/"))


def test_groups_on_both_sides_of_given_splits_are_told(run: Run, digits: Path) -> None:
    for name in ("train/digit-0/000.png", "val/digit-1/030.png"):
        (digits / name).rename((digits / name).with_name("shared.png"))
    folder = run(root=str(digits), group_pattern=r"([^/]+)\.png", epochs=1).folder
    assert any("“shared”" in n.text for n in of_type(folder, "notice") if n.level == "warning")


def test_resume_with_other_classes_is_refused_even_without_the_manifest(
    make_config: Make, digits: Path, tmp_path: Path
) -> None:
    stop, on_event = stop_after(3)
    config = make_config(root=str(digits))
    train(config, tmp_path / "run", stop=stop, on_event=on_event)
    (tmp_path / "run/manifest.json").unlink()
    for part in ("train", "val"):
        (digits / part / "digit-0").rename(digits / part / "zero")  # now the last and not the first class
    with pytest.raises(DataError, match=r"“digit-0”.*“digit-1”"):
        train(config, tmp_path / "run")


def test_sampler_draws_every_class_as_often() -> None:
    labels = np.array([0] * 900 + [1] * 100)
    drawn = labels[epoch_order(0, 0, 1000, 1.0 / np.bincount(labels)[labels])]
    assert 450 < int((drawn == 1).sum()) < 550


def test_balance_changes_what_uneven_classes_weigh(run: Run, digits: Path) -> None:
    for path in sorted((digits / "train/digit-0").iterdir())[:27]:
        path.unlink()
    recalls = {}
    for balance in ("none", "sampler", "class_weights"):
        folder = run(balance, root=str(digits), balance=balance, epochs=4).folder
        report = EpochReport.model_validate_json((folder / "reports/epoch-0004.json").read_text())
        recalls[balance] = report.classes[0].recall
    assert recalls["sampler"] > recalls["none"]
    assert recalls["class_weights"] > recalls["none"]


@pytest.mark.parametrize("edge", [16, 4096])
def test_smallest_and_largest_image_size(edge: int) -> None:
    spec = EvalSpec.default(edge)
    image = np.zeros((20, 30, 3), np.uint8)
    assert spec.pixels(image).shape == (edge, edge, 3)
    assert TrainConfig(root="d", image_size=edge).image_size == edge


@pytest.mark.parametrize("shape", [(1, 50_000, 3), (50_000, 2, 3)])
def test_a_strip_of_an_image_takes_no_more_memory_than_others(shape: tuple[int, int, int]) -> None:
    spec = EvalSpec((ShortEdge(256), Place(224, 224)), "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert spec.pixels(np.zeros(shape, np.uint8)).shape == (224, 224, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
