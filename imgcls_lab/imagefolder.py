"""What a folder of images holds: ROOT/train/CLASS, ROOT/val/CLASS, ROOT/test/CLASS, or the classes alone, ROOT/CLASS.

Called by the engine for its data and by everything that shows or checks a data set. Torch-free, decodes no image, never
follows a link out of the data set, and never raises for what a user can get wrong: `FolderSummary.problem` says it in
a sentence.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from imgcls_lab import class_names, split_names
from imgcls_lab.image_files import Walk, holds_deeper, is_like_class, loose_images, named, printable
from imgcls_lab.plurals import counted

SPLITS = ("train", "val", "test")
SAMPLED, OF_A_CLASS = 32, 4  # images of a sample
HELD_OUT = "a share of each class is held out for validation (val_fraction)"


@dataclass(frozen=True)
class FolderSummary:
    """A look at a data set.

    splits: split -> class -> number of images, only splits that exist; classes: those of train, in the fixed order
    that a model's outputs have; problem: a sentence if it cannot be trained on; notes: sentences worth knowing;
    flat: the classes lie in the root itself, which is what train/ would be; skipped_files: files that are no images, by
    suffix, skipped: paths of the first of them, and not_taken_said: a sentence about them, which is among the notes;
    outside, lost: paths of links that lead out of the data set, or nowhere, which were left out; sample: paths of some
    training images.
    """

    root: Path
    splits: dict[str, dict[str, int]] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    problem: str | None = None
    notes: list[str] = field(default_factory=list)
    flat: bool = False
    skipped_files: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    not_taken_said: str | None = None
    outside: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    sample: list[str] = field(default_factory=list)

    def images(self, split: str) -> int:
        """Number of images of a split; 0 if there is no such split."""
        return sum(self.splits.get(split, {}).values())

    def folder(self, split: str) -> Path:
        """The folder that holds the classes of a split."""
        return self.root if self.flat and split == "train" else self.root / split


def inspect_folder(root: str | os.PathLike[str]) -> FolderSummary:
    """Count the images of each class and split and say what is wrong."""
    root = Path(os.path.expanduser(root))
    walk = Walk(root)
    try:
        if not root.is_dir():
            what = f"“{root}” is a file, not a folder" if root.exists() else f"The folder “{root}” does not exist"
            return FolderSummary(root, problem=f"{what}. Give the folder that holds train/CLASS/*.jpg.")
        counted, problem, there = _count(root, walk)
        problem = problem or _problem(counted, there)
        notes = [] if problem else _notes(counted, there)
    except OSError as error:
        name = printable(error.filename or root)
        return FolderSummary(root, problem=f"The folder “{name}” cannot be read: {error.strerror or error}.")
    if problem:
        problem = " ".join(filter(None, [problem, walk.not_taken_said(), *walk.links_said()]))
    return replace(
        counted,
        problem=problem,
        notes=[] if problem else [*notes, *walk.said()],
        skipped_files=dict(walk.skipped_files),
        skipped=sorted(walk.skipped),
        not_taken_said=walk.not_taken_said(),
        outside=sorted(walk.outside),
        lost=sorted(walk.lost),
    )


def list_images(summary: FolderSummary, split: str, classes: list[str] | None = None) -> tuple[list[str], list[int]]:
    """Paths relative to the root, sorted within each class, and the index of each into `classes`, by default its own.

    Raises OSError if a folder cannot be read.
    """
    root, base = summary.root, summary.folder(split)
    walk = Walk(root)
    start = len(os.path.join(root, ""))  # of each path, which begins with the root; relpath would take a while of many
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(summary.classes if classes is None else classes):
        if not ((base == root or walk.is_folder(base)) and walk.is_folder(base / name)):
            continue
        found = sorted(path[start:] for path in walk.images(base / name))
        paths += found
        labels += [label] * len(found)
    return paths, labels


def _count(root: Path, walk: Walk) -> tuple[FolderSummary, str | None, list[str]]:
    """Splits and classes, why they cannot be told if so, and the names of the folders in the root."""
    outer = Walk(root)  # of its own: a link beside the splits concerns nobody
    there = outer.folders(root)
    walk.junk += outer.junk
    names = {split: walk.folders(root / split) for split in SPLITS if walk.is_folder(root / split)}
    flat, problem = "train" not in names, None
    if flat:
        walk.outside |= outer.outside
        walk.lost |= outer.lost
        classes, problem = _flat_classes(root, there)
        if classes:
            names = {"train": [name for name in classes if walk.is_folder(root / name)], **names}
    empty = FolderSummary(root, flat=flat and problem is None)
    splits: dict[str, dict[str, int]] = {}
    sample: list[str] = []
    for split, of_split in names.items():
        splits[split] = {}
        for name in of_split:
            images = walk.images(empty.folder(split) / name)
            splits[split][printable(name)] = len(images)
            if split == "train":
                sample += images[:: max(1, len(images) // OF_A_CLASS)][:OF_A_CLASS]
            if printable(name) != name:
                problem = (
                    f"The name of the class folder “{printable(name)}” is not UTF-8, so no file could hold it. "
                    "Rename the folder."
                )
    filled = sorted(name for name, count in splits.get("train", {}).items() if count)
    sample = sample[:: max(1, len(sample) // SAMPLED)][:SAMPLED]
    return replace(empty, splits=splits, classes=filled, sample=sample), problem, there


def _flat_classes(root: Path, there: list[str]) -> tuple[list[str], str | None]:
    """The classes that lie in a root without train/, or a sentence that says how to lay out what lies in it."""
    start = f"“{root}” has no folder train/"
    renamed = split_names.renames(there)
    if "train" in renamed.values():
        return [], f"{start}. {split_names.said(renamed)}"
    classes = [name for name in there if is_like_class(root, root / name)]
    splits = [name for name in there if split_names.split_of(name)]
    if splits:
        return [], f"{start}. {_beside_splits([name for name in classes if name not in splits], splits)}"
    deeper = [name for name in there if name not in classes and holds_deeper(root, root / name)]
    if deeper:
        return [], f"{start}. {_deeper(root, deeper[0], alone=not classes and len(deeper) == 1)}"
    if classes and _is_split_of_parent(root):
        return [], f"{start}. Its folders look like classes, so give the folder above it, “{root.parent}”."
    return (classes, None) if classes else ([], f"{start}. {_layout_hint(root, root)}")


def _is_split_of_parent(root: Path) -> bool:
    """Whether it is train/, or one of several splits, of the folder above it."""
    if split_names.split_of(root.name) is None:
        return False
    try:
        beside = [entry.name for entry in os.scandir(root.absolute().parent) if entry.is_dir(follow_symlinks=False)]
    except OSError:  # of what may not be read nothing is known
        return False
    return root.name == "train" or sum(split_names.split_of(name) is not None for name in beside) > 1


def _beside_splits(classes: list[str], splits: list[str]) -> str:
    if not classes:
        return f"There is {named(splits, '/')}: put the training images beside it, under train/CLASS."
    return (
        f"There is {named(splits, '/')}, beside what looks like classes: {named(classes)}. Make a folder train/ and "
        f"move the classes there, and {named(splits, '/')} too if it is a class."
    )


def _deeper(root: Path, folder: str, *, alone: bool) -> str:
    """What to do about a folder that holds images in folders of its own only: which of both are the classes?

    alone: no other folder of the root holds images.
    """
    below = root / folder
    if (below / "train").is_dir():
        return f"Its folder “{folder}” has one: give “{below}”."
    inner = [name for name in Walk(root).folders(below) if is_like_class(root, below / name)]
    if len(inner) > 1 and alone:
        return f"Its folder “{folder}” holds what looks like classes, {named(inner)}: give “{below}”."
    return (
        f"Its folder “{folder}” holds images in folders of its own only, so it is not plain which folders are the "
        f"classes. If “{folder}” is one, make a folder train/ and move all classes there (train/{folder}); if the "
        f"folders in it are, give “{below}”."
    )


def _problem(summary: FolderSummary, there: list[str]) -> str | None:
    """The first reason why this cannot be trained on."""
    train, place = summary.splits["train"], summary.folder("train")
    if not train:
        hint = _train_among_classes(summary, there) or _layout_hint(summary.root, place)
        return f"“{place}” has no class folders. {hint}"
    filled = {split: [n for n, count in counts.items() if count] for split, counts in summary.splits.items()}
    if alike := class_names.twins({_shown(summary, split): names for split, names in filled.items()}):
        return alike
    empty = [name for name, count in train.items() if not count]
    if len(empty) == len(train):
        where = "in it, one folder a class" if summary.flat else "under train/CLASS, one folder a class"
        return f"There is no image under “{place}”. Put the images {where}."
    if empty:
        return f"The class {named(empty)} has no image under “{place}”. Add images or remove the empty folder."
    if len(train) == 1:
        return (
            f"There is only one class, {named(list(train))}, under “{place}”. A classifier needs two: put images of "
            "another class beside it."
        )
    for split in ("val", "test"):
        unknown = [name for name in filled.get(split, []) if name not in train]
        if unknown:
            return (
                f"The class {named(unknown)} is in {split}/ but not in train/ of “{summary.root}”. Add training images "
                f"of it or remove it from {split}/."
            )
    if "val" in summary.splits and not filled["val"]:
        place = summary.folder("val")
        return f"There is no image under “{place}”. Add validation images, or remove val/ to hold out a share."
    return None


def _train_among_classes(summary: FolderSummary, there: list[str]) -> str | None:
    """What to do where train/ is a class, of trains, among others."""
    root = summary.root
    others = [name for name in there if not split_names.split_of(name) and is_like_class(root, root / name)]
    if not others or not is_like_class(root, root / "train"):
        return None
    return (
        f"If “train” is a class beside {named(others)}, rename the folder, such as to “trains”; if it is the training "
        "split, put one folder a class into it."
    )


def _shown(summary: FolderSummary, split: str) -> str:
    return f"“{summary.root}”" if summary.folder(split) == summary.root else f"{split}/"


def _notes(summary: FolderSummary, there: list[str]) -> list[str]:
    train, root = summary.splits["train"], summary.root
    notes = []
    if summary.flat:
        notes.append(f"“{root.name}” has no train/, so its {len(train)} folders are the classes, and {HELD_OUT}.")
        if others := [name for name in there if printable(name) not in train]:
            notes.append(f"Without images, and so no class: {named(others)}.")
    elif "val" not in summary.splits:
        notes.append(f"There is no val/: {HELD_OUT}.")
    if "val" not in summary.splits:
        if single := [name for name, count in train.items() if count == 1]:
            notes.append(f"Of a class with one image none can be held out for validation: {named(single)}.")
    elif absent := [name for name in train if not summary.splits["val"].get(name)]:
        notes.append(f"The class {named(absent)} has no image in val/, so its figures will be empty.")
    least, most = min(train.values()), max(train.values())
    if most >= 5 * least:
        notes.append(f"The classes are uneven: {least:,} to {counted(most, 'image')}. See the setting “Class balance”.")
    if loose := loose_images(root, summary.folder("train")):
        place = f"“{root.name}”" if summary.flat else "train/"
        notes.append(
            f"{counted(loose, 'image lies', 'images lie')} "
            f"in {place} itself, outside any class, and {'is' if loose == 1 else 'are'} not used."
        )
    if odd := class_names.blanks(train):
        notes.append(f"A name of a class begins or ends with a blank: {named([class_names.spelled(n) for n in odd])}.")
    return notes + split_names.unused(root, there)


def _layout_hint(root: Path, folder: Path) -> str:
    """How to lay out what lies in a folder that should hold train/, or is train/ and should hold classes."""
    layout = "train/CLASS, one folder a class"
    flat = loose_images(root, folder)
    if not flat:
        return f"Put the images under {layout}."
    return (
        f"{counted(flat, 'image lies', 'images lie')} "
        f"in it without a class: the folder of an image is its class. Sort them into {layout}, such as "
        f"train/cat and train/dog. Without val/ {HELD_OUT}."
    )
