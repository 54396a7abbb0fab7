"""What is wrong with a folder of images is one sentence that names the place."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcls_lab.imagefolder import FolderSummary, inspect_folder, list_images


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
        (no_train, ["no folder train/", "training/: rename it to train/"]),
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


def _loose(root: Path) -> None:
    for split in ("train", "val"):
        shutil.move(root / split, root.parent / split)
    for number, path in enumerate(sorted((root.parent / "train").rglob("*.png"))):
        shutil.copy(path, root / f"{number}.png")


def _flat_train(root: Path) -> None:
    for number, path in enumerate(sorted((root / "train").rglob("*.png"))):
        path.rename(root / "train" / f"{number}.png")
    for folder in [path for path in (root / "train").iterdir() if path.is_dir()]:
        folder.rmdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_loose, ["no folder train/", "120 images lie in it without a class", "Without val/ a share of each class"]),
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
    paths, labels = list_images(summary, "val")
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
    assert len(summary.outside) == 4
    assert "4 links" in " ".join(summary.notes)
    paths, _ = list_images(summary, "train")
    assert [path for path in paths if "far" in path or "up" in path or "more" in path] == []
    assert list_images(summary, "train", ["digit-9"]) == ([], [])


def test_data_set_may_itself_be_reached_by_a_link(digits: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(digits)
    (digits / "train/digit-2/near.png").symlink_to(digits / "train/digit-2/000.png")
    summary = inspect_folder(tmp_path / "alias")
    assert (summary.images("train"), len(summary.outside)) == (121, 0)


def test_split_that_is_a_link_elsewhere_says_why_it_is_not_there(digits: Path, tmp_path: Path) -> None:
    (digits / "train").rename(tmp_path / "train")
    (digits / "train").symlink_to(tmp_path / "train")
    problem = inspect_folder(digits).problem
    assert problem is not None
    assert "no folder train/" in problem
    assert "1 link" in problem


# ── what counts as an image ─────────────────────────────────────────────────────────────────────────────────────
VIDEO = b"\0\0\0\x20ftypisom" + bytes(99)


def test_an_image_is_told_by_its_content_where_its_suffix_says_nothing(digits: Path) -> None:
    names = ["noext", "x.jpg?w=200", "y.JPG_large", "z.png.1", "blank.png ", "really.txt"]
    for name in names:
        shutil.copy(digits / "train/digit-0/000.png", digits / "train/digit-0" / name)
    summary = inspect_folder(digits)
    assert (summary.splits["train"]["digit-0"], summary.skipped_files) == (36, {})
    listed, _ = list_images(summary, "train")
    assert {f"train/digit-0/{name}" for name in names} < set(listed)


@pytest.mark.usefixtures("without_heif")
def test_what_is_no_image_is_counted_by_its_suffix_with_the_remedy(digits: Path) -> None:
    folder = digits / "train/digit-0"
    for name in ("a.HEIC", "b.heic", "c.heif", "clip.mp4", "notes.txt", "README", "odd.a b"):
        (folder / name).write_bytes(VIDEO)
    shutil.copy(folder / "000.png", folder / "photo.CR2")
    os.mkfifo(folder / "pipe")
    summary = inspect_folder(digits)
    assert summary.splits["train"]["digit-0"] == 30
    assert summary.skipped_files == {
        ".heic": 2, ".heif": 1, ".mp4": 1, ".txt": 1, "no suffix": 2, "an odd suffix": 1, ".cr2": 1,
    }  # fmt: skip
    assert summary.not_taken_said is not None
    assert summary.not_taken_said in summary.notes
    assert "2 .heic, 1 .heif (`pip install pillow-heif`" in summary.not_taken_said


@pytest.mark.usefixtures("without_heif")
def test_a_class_of_heic_alone_is_told_the_remedy(digits: Path) -> None:
    for path in (digits / "train/digit-2").iterdir():
        path.rename(path.with_suffix(".heic")).write_bytes(VIDEO)
    problem = str(inspect_folder(digits).problem)
    assert "“digit-2” has no image" in problem
    assert "30 .heic (`pip install pillow-heif`" in problem


def test_what_systems_put_beside_images_is_left_out_and_told(digits: Path) -> None:
    image = digits / "train/digit-0/000.png"
    for folder in (digits, digits / "train", digits / "train/digit-0"):
        for name in ("__MACOSX", "@eaDir", ".AppleDouble"):
            (folder / name).mkdir()
            shutil.copy(image, folder / name / "000.png")
    for name in ("Thumbs.db", "desktop.ini", "._000.png"):
        shutil.copy(image, digits / "train/digit-1" / name)
    summary = inspect_folder(digits)
    assert (summary.classes, summary.images("train"), summary.problem) == ([f"digit-{i}" for i in range(4)], 120, None)
    (note,) = [note for note in summary.notes if "systems" in note]
    told = ["__MACOSX (3 times)", "@eaDir (3 times)", ".AppleDouble (3 times)", "Thumbs.db", "desktop.ini", "._*"]
    assert [word for word in told if word not in note] == []


# ── links ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_links_that_lead_nowhere_or_in_circles_are_named_and_do_no_harm(digits: Path) -> None:
    (digits / "train/self").symlink_to("self")
    (digits / "train/everything").symlink_to("..")
    (digits / "train/digit-0/loop.png").symlink_to("loop.png")
    (digits / "train/digit-0/gone.png").symlink_to("nowhere.png")
    (digits / "train/digit-1/up").symlink_to("..")
    summary = inspect_folder(digits)
    assert summary.problem is None
    assert set(summary.splits["train"].values()) == {30}
    assert summary.lost == [
        "train/digit-0/gone.png", "train/digit-0/loop.png", "train/digit-1/up", "train/everything", "train/self",
    ]  # fmt: skip
    assert "“train/digit-0/gone.png”, “train/digit-0/loop.png”, “train/digit-1/up” and 2 more" in " ".join(
        summary.notes
    )
    assert len(list_images(summary, "train")[0]) == 120


# ── classes without train/ ──────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def flat(digits: Path) -> Path:
    """The classes themselves, 30 images each, and nothing held out."""
    for folder in (digits / "train").iterdir():
        folder.rename(digits / folder.name)
    (digits / "train").rmdir()
    shutil.rmtree(digits / "val")
    return digits


def test_a_folder_of_classes_is_trained_on_as_if_it_were_train(flat: Path) -> None:
    summary = inspect_folder(flat)
    assert (summary.problem, summary.flat) == (None, True)
    assert summary.splits == {"train": {f"digit-{i}": 30 for i in range(4)}}
    assert "4 folders" in summary.notes[0]
    assert "val_fraction" in summary.notes[0]
    paths, labels = list_images(summary, "train")
    assert (paths[0], labels[0], paths[-1], labels[-1]) == ("digit-0/000.png", 0, "digit-3/029.png", 3)


def test_what_lies_beside_the_classes_is_told(flat: Path) -> None:
    shutil.copy(flat / "digit-0/000.png", flat / "loose.png")
    (flat / "labels").mkdir()
    (flat / "labels/000.txt").write_text("1")
    summary = inspect_folder(flat)
    assert summary.classes == [f"digit-{i}" for i in range(4)]
    notes = " ".join(summary.notes)
    assert "no class: “labels”" in notes
    assert "1 image lies in “digits”" in notes


def _nest(root: Path) -> None:
    (root / "images").mkdir()
    for folder in root.glob("digit-*"):
        folder.rename(root / "images" / folder.name)


def _nest_beside_figures(root: Path) -> None:
    shutil.copytree(root / "digit-0", root / "docs")
    _nest(root)


def _class_of_folders(root: Path) -> None:
    (root / "digit-3").rename(root / "2024")
    (root / "digit-3").mkdir()
    (root / "2024").rename(root / "digit-3/2024")


def _classes_of_folders(root: Path) -> None:
    for number, folder in enumerate(sorted(root.glob("digit-*"))):
        inner = folder.rename(root / "inner")
        (root / f"patient-{number}").mkdir()
        inner.rename(root / f"patient-{number}" / "2024")
        shutil.copytree(root / f"patient-{number}" / "2024", root / f"patient-{number}" / "2025")


def _with_test(root: Path) -> None:
    shutil.copytree(root / "digit-0", root / "test/digit-0")


def _class_called_test(root: Path) -> None:
    (root / "digit-3").rename(root / "Test")


def _class_called_train(root: Path) -> None:
    (root / "digit-3").rename(root / "train")


def _data_set_below(root: Path) -> None:
    (root / "data/train").mkdir(parents=True)
    for folder in root.glob("digit-*"):
        folder.rename(root / "data/train" / folder.name)


def _one_left(root: Path) -> None:
    for number in (1, 2, 3):
        shutil.rmtree(root / f"digit-{number}")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_nest, ["“images” holds what looks like classes", "give “"]),
        (_nest_beside_figures, ["“images” holds images in folders of its own only", "train/images", "give “"]),
        (_class_of_folders, ["“digit-3” holds images in folders of its own only", "train/digit-3"]),
        (_classes_of_folders, ["“patient-0” holds images in folders of its own only", "train/patient-0"]),
        (_with_test, ["There is “test/”, beside what looks like classes: “digit-0”", "Make a folder train/"]),
        (_class_called_test, ["There is “Test/”, beside", "“Test/” too if it is a class"]),
        (_class_called_train, ["“train” is a class beside “digit-0”", "rename the folder"]),
        (_data_set_below, ["“data” has one: give “"]),
        (_one_left, ["only one class, “digit-0”"]),
    ],
)
def test_where_the_classes_are_not_plain_a_sentence_asks(
    flat: Path, spoil: Callable[[Path], None], words: list[str]
) -> None:
    spoil(flat)
    problem = inspect_folder(flat).problem
    assert problem is not None
    assert [word for word in words if word not in problem] == []


def test_a_flat_folder_that_happens_to_be_called_like_a_split_is_taken(flat: Path) -> None:
    assert inspect_folder(flat.rename(flat.with_name("test"))).flat


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_splits_under_other_names_are_told_their_right_ones(digits: Path) -> None:
    (digits / "train").rename(digits / "Training_Set")
    (digits / "val").rename(digits / "Valid")
    shutil.copytree(digits / "Valid", digits / "testing")
    told = str(inspect_folder(digits).problem)
    for found, wanted in (("Training_Set/", "train/"), ("Valid/", "val/"), ("testing/", "test/")):
        assert re.search(rf"{found}.{{0,12}} to {wanted}", told), told


@pytest.mark.parametrize("name", ["Validation", "valid", "VAL", "dev", "val ", "validation set"])
def test_a_validation_split_that_is_not_used_is_told(digits: Path, name: str) -> None:
    (digits / "val").rename(digits / name)
    (note,) = (note for note in inspect_folder(digits).notes if f" {name}/ " in note)
    assert "rename it to val/" in note


def test_a_split_under_two_names_of_one_folder_is_used_and_not_told(digits: Path) -> None:
    """So it is where the system knows no case."""
    (digits / "val").rename(digits / "Val")
    (digits / "val").symlink_to("Val")
    summary = inspect_folder(digits)
    assert (summary.images("val"), summary.notes) == (40, [])
    (digits / "valid").mkdir()
    (note,) = inspect_folder(digits).notes
    assert "valid/" in note


def _two(root: Path, train: str, other: str, split: str) -> FolderSummary:
    (root / "train/digit-0").rename(root / "train" / train)
    (root / "val/digit-0").rename(root / "val" / train)
    if split == "val":
        (root / "val" / train).rename(root / "val" / other)
    else:
        shutil.copytree(root / "train" / train, root / "train" / other)
    return inspect_folder(root)


NFC, NFD = "caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        (NFD, NFC, ["Unicode form", "cafe<U+0301>", "caf<U+00E9>"]),
        ("Cat", "cat", ["“Cat”", "“cat”", "case alone"]),
        ("cat", "cat ", ["blanks at an end", "cat<U+0020>"]),
        ("cat", "cat\u200b", ["look alike", "cat<U+200B>"]),
        (NFD.upper(), NFC, ["case alone"]),
    ],
)
def test_two_names_that_are_one_to_a_reader_are_refused(
    digits: Path, one: str, other: str, words: list[str], split: str
) -> None:
    problem = str(_two(digits, one, other, split).problem)
    assert [word for word in [*words, "one class would become two"] if word not in problem] == []


def test_letters_of_either_case_are_classes_of_their_own(digits: Path) -> None:
    assert _two(digits, "a", "A", "train").problem is None


def test_a_blank_at_the_end_of_a_name_is_shown(digits: Path) -> None:
    for split in ("train", "val"):
        (digits / split / "digit-0").rename(digits / split / "digit-0 ")
    assert "blank: “digit-0<U+0020>”" in " ".join(inspect_folder(digits).notes)
