"""Reads what a run kept of each image: its predictions, losses and probabilities. Torch-free; it writes nothing.

Called by the server, the store, the api and export; `engine/reporting/predictions.py` writes these files. Their format:
docs/evaluation.md. A run's folder may come from elsewhere, so nothing that a file claims is believed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgcls_lab import bounded_arrays, run_layout, run_paths
from imgcls_lab.bounded_arrays import Arrays
from imgcls_lab.errors import DataError, NotFoundError
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    import pandas as pd

MAX_IMAGES, MAX_CLASSES = 10_000_000, 1_000_000  # of a split; each becomes an object of Python for a moment
MAX_PROBS = 200_000_000  # bytes of the probabilities of all classes of a split; more are not kept
TEST = "test"  # the evaluation of the best model on test/
_PATHS = 65_536  # that are hashed at once
_BLOCK = 4 * 2**20  # bytes of probabilities that are read at once
_EPOCH = re.compile(r"(epoch|train)-(\d{4,9})\.npz")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")

Labels = npt.NDArray[np.int32]
Halves = npt.NDArray[np.float16]


@dataclass(frozen=True)
class StoredImages:
    """The images of a split, as a run listed them.

    root: the folder that the paths are relative to, as it was; paths: bytes (n,); classes: names in the order of the
    model's outputs; digests: uint8 (n, 32), SHA-256 of each file as the scan read it, None in older runs; labels: int32
    (n,), of train; None where the predictions of each epoch hold them (val and test).
    """

    root: str
    paths: npt.NDArray[np.bytes_]
    classes: list[str]
    digests: npt.NDArray[np.uint8] | None
    labels: Labels | None

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def fingerprint(self) -> str:
        """What ties predictions to these images."""
        return fingerprint(self.paths, self.classes)

    @property
    def nbytes(self) -> int:
        """Of memory."""
        held = (self.paths, self.digests, self.labels)
        return sum(array.nbytes for array in held if array is not None)

    def name(self, number: int) -> str:
        """The path of one image, relative to the root."""
        return os.fsdecode(bytes(self.paths[number]))

    def image_id(self, number: int) -> str:
        """SHA-256 of the file of one image, 64 hexadecimal digits; empty where the run did not keep it."""
        return "" if self.digests is None else self.digests[number].tobytes().hex()

    def find(self, image_id: str) -> npt.NDArray[np.int64]:
        """The numbers of the images that have this content: several, where a split holds copies."""
        if self.digests is None or not _IMAGE_ID.fullmatch(image_id):
            return np.zeros(0, np.int64)
        wanted = np.frombuffer(bytes.fromhex(image_id), np.uint64)
        return np.flatnonzero((self.digests.view(np.uint64) == wanted).all(1))


@dataclass(frozen=True)
class StoredPredictions:
    """The predictions of one evaluation, in the order of `images`.

    labels: int32 (n,), the true classes; top: int32 (n, k), the likeliest classes, the likeliest first; probs: float16
    (n, k), their probabilities; label_probs: float16 (n,), the probability of the true class; losses: float32 (n,), the
    cross entropy. The last two are None in older runs.
    """

    images: StoredImages
    labels: Labels
    top: Labels
    probs: Halves
    label_probs: Halves | None
    losses: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class TrainPredictions:
    """What the steps of one epoch computed of the training images, in the order of `images`.

    losses: float16 (n,), the cross entropy, without label smoothing and class weights; label_probs: float16 (n,), the
    probability of the true class. NaN: the epoch did not see the image, or only mixed with another.
    """

    images: StoredImages
    losses: Halves
    label_probs: Halves


@dataclass(frozen=True)
class StoredProbs:
    """The probabilities of all classes for each image of a split, float16 (images, classes), read in blocks.

    folder: the run's; name: of the file in it; start: its first byte of a probability.
    """

    folder: Path
    name: str
    images: int
    classes: int
    start: int

    def blocks(self) -> Iterator[Halves]:
        """All rows in their order, about 4 MB at once. Raises DataError."""
        rows = max(1, _BLOCK // (2 * self.classes))
        with _open(self.folder, self.name) as file:
            file.seek(self.start)
            for first in range(0, self.images, rows):
                yield self._read(file, min(rows, self.images - first))

    def row(self, number: int) -> Halves:
        """The probabilities of one image, (classes,). Raises DataError."""
        with _open(self.folder, self.name) as file:
            file.seek(self.start + 2 * self.classes * number)
            row: Halves = self._read(file, 1)[0]
        return row

    def column(self, number: int) -> Halves:
        """The probability of one class for each image, (images,). Raises DataError."""
        found = np.empty(self.images, np.float16)
        first = 0
        for block in self.blocks():
            found[first : first + len(block)] = block[:, number]  # a view of it would keep the whole block
            first += len(block)
        return found

    def _read(self, file: BufferedReader, rows: int) -> Halves:
        return np.frombuffer(file.read(2 * self.classes * rows), np.float16).reshape(rows, self.classes)


def fits(images: int, classes: int) -> bool:
    """Whether the probabilities of all classes of so many images are kept."""
    return 2 * images * classes <= MAX_PROBS


def epochs(folder: Path) -> list[int]:
    """The epochs of which predictions for the validation images are there, in order."""
    return _epochs(folder, "epoch")


def train_epochs(folder: Path) -> list[int]:
    """The epochs that `read_train` can be asked for, in order."""
    return _epochs(folder, "train")


def has_test(folder: Path) -> bool:
    """Whether there are predictions for the images of test/."""
    return f"{TEST}.npz" in run_paths.names_in(folder, run_layout.PREDICTIONS)


def read_images(folder: Path, split: str) -> StoredImages:
    """The images of train, val or test in a run's folder. Raises NotFoundError, and DataError if damaged."""
    with _open(folder, f"{run_layout.PREDICTIONS}/{split}-images.npz") as file:
        listed = bounded_arrays.load(file)
        paths, digests, labels = listed["paths"], listed.get("digests"), listed.get("labels")
        bounded_arrays.check(listed["root"], "S", ())
        bounded_arrays.check(paths, "S", (paths.size,))
        bounded_arrays.check(listed["classes"], "S", (listed["classes"].size,))
        if len(paths) > MAX_IMAGES or len(listed["classes"]) > MAX_CLASSES:
            raise ValueError(f"it claims {counted(len(paths), 'image')}, more than a run lists, or too many classes")
        classes = [bytes(name).decode() for name in listed["classes"]]
        if digests is not None:
            bounded_arrays.check(digests, "u", (len(paths), 32))
            if digests.dtype != np.uint8:
                raise ValueError(f"its digests are {digests.dtype}")
        if labels is not None:
            bounded_arrays.check(labels, "i", (len(paths),))
            _check_classes(labels, len(classes))
        return StoredImages(os.fsdecode(bytes(listed["root"][()])), paths, classes, digests, labels)


def read(folder: Path, evaluation: int | str, images: StoredImages | None = None) -> StoredPredictions:
    """The predictions of an epoch, or of "test", in a run's folder. Raises NotFoundError, and DataError if damaged.

    images: of the split, where the caller has read them.
    """
    name, split = (evaluation, evaluation) if isinstance(evaluation, str) else (epoch_name(evaluation), "val")
    images, held = _read_pair(folder, split, name, images)
    with _naming(folder, npz(name)):
        labels, top, probs = held["labels"], held["classes"], held["probs" if "probs" in held else "shares"]
        kept = (len(images), top.size // max(1, len(images)))
        bounded_arrays.check(labels, "i", (len(images),))
        bounded_arrays.check(top, "i", kept)
        bounded_arrays.check(probs, "f", kept)
        _check_classes(labels, len(images.classes))
        _check_classes(top, len(images.classes))
        label_probs, losses = held.get("label_probs"), held.get("losses")
        for array in (label_probs, losses):
            if array is not None:
                bounded_arrays.check(array, "f", (len(images),))
    return StoredPredictions(images, labels, top, probs, label_probs, losses)


def read_train(folder: Path, epoch: int, images: StoredImages | None = None) -> TrainPredictions:
    """What an epoch's steps computed of the training images. Raises NotFoundError, and DataError if damaged.

    images: of train/, where the caller has read them.
    """
    name = train_name(epoch)
    images, held = _read_pair(folder, "train", name, images)
    with _naming(folder, npz(name)):
        for key in ("losses", "label_probs"):
            bounded_arrays.check(held[key], "f", (len(images),))
    return TrainPredictions(images, held["losses"], held["label_probs"])


def read_probs(folder: Path, held: StoredPredictions, split: str) -> StoredProbs | None:
    """The probabilities of all classes that belong to these predictions; None where they are not kept.

    They are kept of the best evaluation of a split. Those of another epoch are told apart by their values. Raises
    DataError if damaged.
    """
    name, shape = probs_name(split), (len(held.images), len(held.images.classes))
    try:
        with _open(folder, name) as file:
            probs = StoredProbs(folder, name, *shape, bounded_arrays.begin(file, "float16", shape))
    except NotFoundError:
        return None
    first = 0
    for block in probs.blocks():
        part = slice(first, first + len(block))
        if not np.array_equal(np.take_along_axis(block, held.top[part], 1), held.probs[part], equal_nan=True):
            return None
        first = part.stop
    return probs


def load_predictions(folder: Path, evaluation: int | str) -> pd.DataFrame:
    """A row for each image: path, label, correct, class_1, prob_1 and so on, the likeliest first. Raises as `read`.

    Where the run kept them, also: label_prob, the probability of the true class; loss, the cross entropy; image, the
    SHA-256 of the file.
    """
    import pandas as pd

    held = read(folder, evaluation)
    names = np.asarray(held.images.classes, dtype=object)
    columns: dict[str, Any] = {
        "path": [held.images.name(number) for number in range(len(held.images))],
        "label": names[held.labels],
        "correct": held.top[:, 0] == held.labels,
    }
    for rank in range(held.top.shape[1]):
        columns[f"class_{rank + 1}"] = names[held.top[:, rank]]
        columns[f"prob_{rank + 1}"] = held.probs[:, rank].astype(np.float32)
    if held.label_probs is not None and held.losses is not None:
        columns |= {"label_prob": held.label_probs.astype(np.float32), "loss": held.losses}
    if held.images.digests is not None:
        columns["image"] = [held.images.image_id(number) for number in range(len(held.images))]
    return pd.DataFrame(columns)


def fingerprint(paths: npt.NDArray[np.bytes_], classes: list[str]) -> str:
    """SHA-256 of the images' paths and the classes' names in their order; it ties predictions to their images."""
    found = hashlib.sha256()
    for first in range(0, len(paths), _PATHS):
        found.update(b"\0".join([*paths[first : first + _PATHS].tolist(), b""]))
    found.update(b"\0".join([b"", *(name.encode() for name in classes)]))
    return found.hexdigest()


def epoch_name(epoch: int) -> str:
    return f"epoch-{epoch:04d}"


def train_name(epoch: int) -> str:
    return f"train-{epoch:04d}"


def npz(name: str) -> str:
    """The file of an evaluation or of a listing, inside the run's folder."""
    return f"{run_layout.PREDICTIONS}/{name}.npz"


def probs_name(split: str) -> str:
    """The file with the probabilities of all classes of a split, inside the run's folder."""
    return f"{run_layout.PREDICTIONS}/{split}-probs.npy"


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _epochs(folder: Path, kind: str) -> list[int]:
    found = (_EPOCH.fullmatch(name) for name in run_paths.names_in(folder, run_layout.PREDICTIONS))
    return sorted(int(match[2]) for match in found if match and match[1] == kind)


def _read_pair(folder: Path, split: str, name: str, images: StoredImages | None) -> tuple[StoredImages, Arrays]:
    """The images of a split, and what is kept of them under a name."""
    with _open(folder, npz(name)) as file:
        held = bounded_arrays.load(file)
    images = read_images(folder, split) if images is None else images
    if str(held.get("images")) != images.fingerprint:
        raise DataError(
            f"The predictions “{folder / npz(name)}” do not belong to the images of {split}-images.npz.",
            reason="other_images",
        )
    return images, held


def _check_classes(numbers: Labels, classes: int) -> None:
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < classes):
        raise ValueError(f"it names a class that is none of its {classes} classes")


@contextmanager
def _open(folder: Path, name: str) -> Iterator[BufferedReader]:
    """A file in a run's folder. Raises NotFoundError; what is found wrong with it is a DataError."""
    with _naming(folder, name), run_paths.open_plain(folder, name) as file:
        yield file


@contextmanager
def _naming(folder: Path, name: str) -> Iterator[None]:
    """What is found wrong with a file becomes an error that names it."""
    try:
        yield
    except FileNotFoundError:
        raise NotFoundError(f"There are no predictions “{folder / name}”.", reason="no_predictions") from None
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"The predictions “{folder / name}” cannot be read: {error}", reason="unreadable_predictions"
        ) from error
