"""What a folder of images holds, by file names alone: ROOT/train/CLASS, ROOT/val/CLASS, ROOT/test/CLASS.

Called by the engine for its data and by everything that shows or checks a data set. Torch-free, opens no image, never
follows a link out of the data set, and never raises for what a user can get wrong: `FolderSummary.problem` says it in
a sentence.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from imgcls_lab.images import is_image_name

SPLITS = ("train", "val", "test")
_OTHER_NAMES = {"valid": "val", "validation": "val", "dev": "val", "training": "train", "testing": "test"}


@dataclass(frozen=True)
class FolderSummary:
    """A look at a data set.

    splits: split -> class -> number of images, only splits that exist; classes: those of train, in the fixed order
    that a model's outputs have; problem: a sentence if it cannot be trained on; notes: sentences worth knowing;
    outside_links: how many links lead out of the data set and were left out.
    """

    root: Path
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    problem: str | None = None
    notes: list[str] = field(default_factory=list)
    outside_links: int = 0

    def images(self, split: str) -> int:
        """Number of images of a split; 0 if there is no such split."""
        return sum(self.splits.get(split, {}).values())


def printable(name: str | os.PathLike[str]) -> str:
    """A name of a file as text that can be stored and shown: bytes that are no UTF-8 are written out, as \\xff."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def inspect_folder(root: str | os.PathLike[str]) -> FolderSummary:
    """Count the images of each class and split and say what is wrong."""
    root = Path(os.path.expanduser(root))
    inside = _Inside(root)
    try:
        splits = {s: _count_classes(root / s, inside) for s in SPLITS if inside.folder(root / s)}
        odd = next((name for found in splits.values() for name in found if printable(name) != name), None)
        splits = {split: {printable(name): count for name, count in found.items()} for split, found in splits.items()}
        problem = _problem(root, splits) if odd is None else _unwritable(printable(odd))
        if problem and inside.left_out:
            problem += f" {_links_note(inside.left_out)}"
        notes = _notes(root, splits) if problem is None else []
    except OSError as error:
        name = error.filename or root
        return FolderSummary(root, problem=f"The folder “{name}” cannot be read: {error.strerror or error}.")
    if inside.left_out:
        notes.append(_links_note(inside.left_out))
    classes = sorted(name for name, count in splits.get("train", {}).items() if count)
    return FolderSummary(root, splits, classes, problem, notes, inside.left_out)


def list_images(root: Path, split: str, classes: list[str]) -> tuple[list[str], list[int]]:
    """Paths relative to `root`, sorted within each class, and the index into `classes` of each.

    Raises OSError if a folder cannot be read.
    """
    inside = _Inside(root)
    start = len(os.path.join(root, ""))  # of each path, which begins with the root; relpath would take a while of many
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        folder = root / split / name
        if not (inside.folder(root / split) and inside.folder(folder)):
            continue
        found = sorted(path[start:] for path in find_images(folder, inside))
        paths += found
        labels += [label] * len(found)
    return paths, labels


class _Inside:
    """Tells links that stay in the data set, which are followed, from those that leave it, which are counted.

    A request over REST may name a data set but nothing outside it, so a link must not lead there either.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self.left_out = 0

    def holds(self, path: str | os.PathLike[str]) -> bool:
        """Whether the path is no link, or one that ends below the root."""
        if not os.path.islink(path):
            return True
        if os.path.commonpath([self._root, os.path.realpath(path)]) == self._root:
            return True
        self.left_out += 1
        return False

    def folder(self, path: Path) -> bool:
        return path.is_dir() and self.holds(path)


def find_images(folder: Path, inside: _Inside | None = None) -> list[str]:
    """Image files below a folder, sub-folders included; hidden names are left out. Raises OSError.

    inside: leaves out links that it does not hold; without, all are followed.
    """
    found: list[str] = []
    pending = [os.fspath(folder)]
    seen: set[tuple[int, int]] = set()
    while pending:
        current = pending.pop()
        status = os.stat(current)
        if (status.st_dev, status.st_ino) in seen:  # a link that leads back
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(current) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                kind = pending if entry.is_dir() else found if is_image_name(entry.name) else None
                if kind is not None and (inside is None or not entry.is_symlink() or inside.holds(entry.path)):
                    kind.append(entry.path)
    return found


def _count_classes(folder: Path, inside: _Inside) -> dict[str, int]:
    names = sorted(e.name for e in os.scandir(folder) if e.is_dir() and not e.name.startswith("."))
    return {name: len(find_images(folder / name, inside)) for name in names if inside.holds(folder / name)}


def _links_note(count: int) -> str:
    subject = "1 link leads" if count == 1 else f"{count} links lead"
    return f"{subject} out of the data set and {'is' if count == 1 else 'are'} not followed; copy the images instead."


def _problem(root: Path, splits: dict[str, dict[str, int]]) -> str | None:
    """The first reason why this cannot be trained on."""
    if not root.exists():
        return f"The folder “{root}” does not exist. Give the folder that holds train/CLASS/*.jpg."
    if not root.is_dir():
        return f"“{root}” is a file, not a folder. Give the folder that holds train/CLASS/*.jpg."
    if "train" not in splits:
        return f"“{root}” has no folder train/. {_hint(root)}"
    train = splits["train"]
    if not train:
        return f"“{root / 'train'}” has no class folders. {_hint(root / 'train')}"
    empty = [name for name, count in train.items() if not count]
    if len(empty) == len(train):
        return f"There is no image under “{root / 'train'}”. Put the images under train/CLASS, one folder a class."
    if empty:
        return (
            f"The class {_names(empty)} has no image under “{root / 'train'}”. Add images or remove the empty folder."
        )
    if len(train) == 1:
        return (
            f"There is only one class, {_names(list(train))}, under “{root / 'train'}”. A classifier needs two: put "
            "images of another class beside it."
        )
    for split in ("val", "test"):
        unknown = [name for name, count in splits.get(split, {}).items() if count and name not in train]
        if unknown:
            return (
                f"The class {_names(unknown)} is in {split}/ but not in train/ of “{root}”. Add training images of it "
                f"or remove it from {split}/."
            )
    if "val" in splits and not any(splits["val"].values()):
        return f"There is no image under “{root / 'val'}”. Add validation images, or remove val/ to hold out a share."
    return None


def _unwritable(name: str) -> str:
    return f"The name of the class folder “{name}” is not UTF-8, so no file could hold it. Rename the folder."


def _notes(root: Path, splits: dict[str, dict[str, int]]) -> list[str]:
    notes = []
    train = splits["train"]
    if "val" not in splits:
        notes.append("There is no val/: a share of train/ will be held out for validation (val_fraction, 20 %).")
        single = [name for name, count in train.items() if count == 1]
        if single:
            notes.append(f"The class {_names(single)} has one image, so none of it can be held out for validation.")
    else:
        absent = [name for name in train if not splits["val"].get(name)]
        if absent:
            notes.append(f"The class {_names(absent)} has no image in val/, so its figures will be empty.")
    least, most = min(train.values()), max(train.values())
    if most >= 5 * least:
        notes.append(f"The classes are uneven: {least} to {most} images. See the setting “Class balance”.")
    loose = sum(1 for e in os.scandir(root / "train") if e.is_file() and is_image_name(e.name))
    if loose:
        notes.append(f"{loose} images lie in train/ itself, outside any class, and are not used.")
    for other, wanted in _OTHER_NAMES.items():
        if wanted not in splits and (root / other).is_dir():
            notes.append(f"The folder {other}/ is not used; rename it to {wanted}/ if it should be.")
    return notes


def _hint(folder: Path) -> str:
    """How to lay out what lies in a folder that should hold train/, or is train/ and should hold classes."""
    layout = "train/CLASS, one folder a class"
    for other, wanted in _OTHER_NAMES.items():
        if wanted == "train" and (folder / other).is_dir():
            return f"There is {other}/: rename it to train/."
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    classes = [e.name for e in entries if _is_class(e)]
    if classes and (folder.name in SPLITS or folder.name in _OTHER_NAMES):
        return f"Its folders look like classes, so give the folder above it, “{folder.parent}”."
    if classes:
        holds = f"Its folder {_names(classes)} holds" if len(classes) == 1 else f"Its folders {_names(classes)} hold"
        return (
            f"{holds} images: make a folder train/ and move {'it' if len(classes) == 1 else 'them'} there. Without "
            "val/ a share of train/ is held out for validation (val_fraction, 20 %)."
        )
    flat = sum(1 for entry in entries if entry.is_file() and is_image_name(entry.name))
    if flat:
        lie = "1 image lies" if flat == 1 else f"{flat:,} images lie"
        return (
            f"{lie} in it without a class: the folder of an image is its class. Sort them into {layout}, such as "
            f"train/cat and train/dog. Without val/ a share of train/ is held out for validation (val_fraction, 20 %)."
        )
    return f"Put the images under {layout}."


def _is_class(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder of images, no link, no hidden one."""
    if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
        return False
    with os.scandir(entry.path) as inside:
        return any(is_image_name(item.name) for item in inside)


def _names(names: list[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
