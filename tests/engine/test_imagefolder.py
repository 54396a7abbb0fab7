"""What is wrong with a folder of images is one sentence that names the place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcls_lab.imagefolder import inspect_folder, list_images


def empty_class(root: Path) -> None:
    (root / "train/empty").mkdir()


def only_in_val(root: Path) -> None:
    (root / "val/digit-3").rename(root / "val/stranger")


def no_train(root: Path) -> None:
    (root / "train").rename(root / "training")


def one_class(root: Path) -> None:
    for label in (1, 2, 3):
        shutil.rmtree(root / f"train/digit-{label}")


def no_images(root: Path) -> None:
    for path in root.rglob("*.png"):
        path.unlink()


def empty_val(root: Path) -> None:
    for path in (root / "val").rglob("*.png"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (empty_class, ["“empty”", "no image", "remove the empty folder"]),
        (only_in_val, ["“stranger”", "val/", "not in train/"]),
        (no_train, ["no folder train/", "rename it to train/"]),
        (one_class, ["only one class", "“digit-0”"]),
        (no_images, ["no image under", "train"]),
        (empty_val, ["no image under", "val"]),
        (shutil.rmtree, ["does not exist"]),
    ],
)
def test_problem_is_said(digits: Path, spoil: Callable[[Path], None], words: list[str]) -> None:
    spoil(digits)
    problem = inspect_folder(digits).problem
    assert problem is not None
    assert [word for word in words if word not in problem] == []


def _flat(root: Path) -> None:
    for split in ("train", "val"):
        shutil.move(root / split, root.parent / split)
    for number, path in enumerate(sorted((root.parent / "train").rglob("*.png"))):
        shutil.copy(path, root / f"{number}.png")


def _classes_only(root: Path) -> None:
    for folder in (root / "train").iterdir():
        folder.rename(root / folder.name)
    shutil.rmtree(root / "train")
    shutil.rmtree(root / "val")


def _flat_train(root: Path) -> None:
    for number, path in enumerate(sorted((root / "train").rglob("*.png"))):
        path.rename(root / "train" / f"{number}.png")
    for folder in [path for path in (root / "train").iterdir() if path.is_dir()]:
        folder.rmdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_flat, ["no folder train/", "120 images lie in it without a class", "Without val/ a share of train/"]),
        (_classes_only, ["no folder train/", "“digit-0”, “digit-1”, “digit-2” and 1 more", "make a folder train/"]),
        (_flat_train, ["train” has no class folders", "120 images lie in it", "train/cat and train/dog"]),
    ],
)
def test_a_folder_of_another_layout_is_told_how_to_lie(
    digits: Path, spoil: Callable[[Path], None], words: list[str]
) -> None:
    spoil(digits)
    problem = inspect_folder(digits).problem
    assert problem is not None
    assert [word for word in words if word not in problem] == []


def test_whoever_gives_the_folder_train_is_told_the_one_above(digits: Path) -> None:
    assert f"give the folder above it, “{digits}”" in str(inspect_folder(digits / "train").problem)


def test_good_folder_is_counted_in_order(digits: Path) -> None:
    summary = inspect_folder(digits)
    assert summary.problem is None
    assert summary.classes == [f"digit-{i}" for i in range(4)]
    assert (summary.images("train"), summary.images("val"), summary.images("test")) == (120, 40, 0)


def test_notes_say_what_will_happen(digits: Path) -> None:
    shutil.rmtree(digits / "val")
    (digits / "validation").mkdir()
    notes = " ".join(inspect_folder(digits).notes)
    assert "held out" in notes
    assert "rename it to val/" in notes


def test_missing_validation_class_shifts_no_index(digits: Path) -> None:
    shutil.rmtree(digits / "val/digit-1")
    summary = inspect_folder(digits)
    assert summary.problem is None
    paths, labels = list_images(digits, "val", summary.classes)
    assert {path.split("/")[1] for path, label in zip(paths, labels, strict=True) if label == 2} == {"digit-2"}


def test_hidden_folders_and_links_in_circles_are_harmless(digits: Path) -> None:
    checkpoints = digits / "train/.ipynb_checkpoints"
    checkpoints.mkdir()
    (digits / "train/digit-0/again").symlink_to(digits / "train/digit-0")
    summary = inspect_folder(digits)
    assert summary.problem is None
    assert summary.splits["train"]["digit-0"] == 30


def test_nested_images_count(digits: Path) -> None:
    (digits / "train/digit-0/deep").mkdir()
    (digits / "train/digit-0/000.png").rename(digits / "train/digit-0/deep/000.png")
    assert inspect_folder(digits).splits["train"]["digit-0"] == 30


def test_links_that_leave_the_data_set_are_left_out_and_counted(digits: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(digits / "train/digit-0/000.png", elsewhere / "far.png")
    shutil.copytree(digits / "val/digit-0", tmp_path / "class")
    (digits / "train/digit-0/far.png").symlink_to(elsewhere / "far.png")
    (digits / "train/digit-1/more").symlink_to(elsewhere)
    (digits / "train/digit-9").symlink_to(tmp_path / "class")
    (digits / "train/digit-2/near.png").symlink_to("../digit-2/000.png")
    (digits / "train/digit-3/up.png").symlink_to("../../../elsewhere/far.png")
    summary = inspect_folder(digits)
    assert summary.problem is None
    assert summary.splits["train"] == {"digit-0": 30, "digit-1": 30, "digit-2": 31, "digit-3": 30}
    assert summary.outside_links == 4
    assert "4 links lead out of the data set" in " ".join(summary.notes)
    paths, _ = list_images(digits, "train", summary.classes)
    assert [path for path in paths if "far" in path or "up" in path or "more" in path] == []
    assert list_images(digits, "train", ["digit-9"]) == ([], [])


def test_data_set_may_itself_be_reached_by_a_link(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(digits)
    (digits / "train/digit-2/near.png").symlink_to(digits / "train/digit-2/000.png")
    summary = inspect_folder(tmp_path / "alias")
    assert (summary.images("train"), summary.outside_links) == (121, 0)


def test_split_that_is_a_link_elsewhere_says_why_it_is_not_there(digits: Path, tmp_path: Path) -> None:
    (digits / "train").rename(tmp_path / "train")
    (digits / "train").symlink_to(tmp_path / "train")
    problem = inspect_folder(digits).problem
    assert problem is not None
    assert "no folder train/" in problem
    assert "1 link leads out of the data set" in problem
