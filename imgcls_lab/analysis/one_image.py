"""One image in depth: the predictions of the model, of each epoch, and of other runs for the same file.

`detail` reads the runs' folders. Its caller (`store.evaluations`) names the runs, and adds what belongs to the data
set: size, state of the file, neighbours, corrections.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab import predictions
from imgcls_lab.analysis.cache import identity, stored_images
from imgcls_lab.analysis.evaluation import Evaluation, RunFiles, all_probs, best_or_last, load, number_or_none
from imgcls_lab.analysis.image_pages import evaluated_image, training_image
from imgcls_lab.analysis.training_images import load_training, training_labels
from imgcls_lab.errors import DataError, InputError, NotFoundError
from imgcls_lab.memory_cache import CACHE
from imgcls_lab.plurals import counted
from imgcls_lab.predictions import StoredImages, StoredProbs
from imgcls_lab.schemas import ClassProb, EpochOfImage, EvaluatedImage, ImageDetail, OtherRun

TOP = 5
MAX_TABLE = 2_000_000  # images x epochs of one biography: 12 MB
MAX_OTHERS = 20  # runs that are looked at
MAX_OTHER_IMAGES = 1_000_000  # whose predictions are read for that, all runs together
MAX_ANCESTORS = 5

Numbers = npt.NDArray[np.integer[Any]]


class Wanted(NamedTuple):
    """Which image is asked for. image: its id, or its name inside the data set; epoch: None for the best."""

    image: str
    split: str
    epoch: int | None = None


class RelatedRun(NamedTuple):
    """Another run of the same data set. relation: parent, child or empty."""

    files: RunFiles
    relation: str


@dataclass(frozen=True)
class Found:
    """An image of a split by its place. copies: places of the same content, this one among them."""

    images: StoredImages
    place: int
    copies: int
    shown: EvaluatedImage
    top: list[ClassProb]


def detail(run: RunFiles, wanted: Wanted, ancestors: Sequence[RunFiles], others: Iterable[RelatedRun]) -> ImageDetail:
    """What the runs' folders hold about an image.

    ancestors: runs that this one was continued from, the nearest first. Raises NotFoundError, DataError, InputError.
    """
    found, split = find(run, wanted), wanted.split
    notes: list[str] = []
    if found.copies > 1:
        notes.append(f"{split}/ holds {found.copies - 1:,} more of this file; the first is shown.")
    values: dict[str, Any] = {
        "image": found.shown,
        "width": 0,
        "height": 0,
        "size": 0,
        "problem": None,
        "top": found.top,
        "biography": biography(run, found, split, ancestors, notes),
        "others": _others(found, split, others, notes),
        "nearest": [],
        "nearest_by": "",
        "notes": notes,
    }
    return ImageDetail(**values)


def find(run: RunFiles, wanted: Wanted) -> Found:
    """An image of a split. Raises NotFoundError, DataError, InputError."""
    image, split = wanted.image, wanted.split
    if split == "train":
        training = load_training(run, wanted.epoch)
        places = _places(training.images, image)
        if places:
            return Found(training.images, places[0], len(places), training_image(training, places[0]), [])
    elif split in ("val", "test"):
        evaluation = load(run, split, wanted.epoch)
        places = _places(evaluation.images, image)
        if places:
            top = top_classes(run.folder, evaluation, places[0])
            return Found(evaluation.images, places[0], len(places), evaluated_image(evaluation, places[0]), top)
    else:
        raise InputError("There are images of split=train, split=val and split=test.")
    raise NotFoundError(f"The run “{run.name}” has no image “{image[:80]}” in {split}/.", reason="no_image")


def _places(images: StoredImages, image: str) -> list[int]:
    places: list[int] = images.find(image).tolist()
    return places or np.flatnonzero(images.paths == image.encode("utf-8", "surrogateescape")).tolist()


def top_classes(folder: Path, evaluation: Evaluation, place: int) -> list[ClassProb]:
    """The likeliest classes of an image, by all its probabilities where they are kept."""
    probs = all_probs(folder, evaluation)
    if isinstance(probs, StoredProbs):
        row = probs.row(place).astype(np.float64)
        order = np.argsort(-row, kind="stable")[:TOP]
        pairs = zip(order.tolist(), row[order].tolist(), strict=True)
    else:
        held = evaluation.held
        pairs = zip(held.top[place].tolist(), held.probs[place].astype(np.float64).tolist(), strict=True)
    return [ClassProb(name=evaluation.classes[number], prob=prob) for number, prob in pairs if not math.isnan(prob)]


# ── over the epochs ─────────────────────────────────────────────────────────────────────────────────────────────
class EpochTable(NamedTuple):
    """The predictions of a run's epochs for all images of a split.

    epochs: those that are shown; left_out: how many are not; damaged: how many cannot be read; labels: (n,);
    label_probs, losses: float16 (epochs, n); predicted: (epochs, n), of train without meaning.
    """

    epochs: list[int]
    left_out: int
    damaged: int
    labels: Numbers
    label_probs: npt.NDArray[np.float16]
    losses: npt.NDArray[np.float16]
    predicted: Numbers

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self if isinstance(array, np.ndarray))


class _Row(NamedTuple):
    """One epoch, (n,) each."""

    labels: npt.NDArray[Any]
    label_probs: npt.NDArray[Any]
    losses: npt.NDArray[Any]
    predicted: npt.NDArray[Any]


def epoch_table(folder: Path, split: str, images: StoredImages) -> EpochTable:
    """The table of val/ or train/, from the cache where no epoch has come since."""
    train = split == "train"
    epochs = predictions.train_epochs(folder) if train else predictions.epochs(folder)
    naming = predictions.train_name if train else predictions.epoch_name
    key = identity(folder, [predictions.npz(naming(epoch)) for epoch in epochs])
    read = _read_train if train else _read_val

    def make() -> EpochTable:
        shown = _evenly(epochs, max(2, MAX_TABLE // max(1, len(images))))
        table = _make_table(shown, images, lambda epoch: read(folder, epoch))
        return table._replace(left_out=len(epochs) - len(shown))

    return CACHE.get(("epochs", split, key), make, lambda made: made.nbytes)


def _evenly(epochs: list[int], most: int) -> list[int]:
    if len(epochs) <= most:
        return epochs
    return [epochs[place] for place in np.unique(np.linspace(0, len(epochs) - 1, most).round().astype(int))]


def _make_table(shown: list[int], images: StoredImages, read: Callable[[int], _Row]) -> EpochTable:
    count = len(images)
    small = np.dtype(np.uint16 if len(images.classes) <= 2**16 else np.int32)
    label_probs, losses = np.empty((len(shown), count), np.float16), np.empty((len(shown), count), np.float16)
    predicted: Numbers = np.empty((len(shown), count), small)
    labels: Numbers = np.zeros(count, small)
    kept: list[int] = []
    for epoch in shown:
        try:
            row = read(epoch)
        except (DataError, NotFoundError):  # the notes say how many; a run may be deleted meanwhile
            continue
        place = len(kept)
        with np.errstate(over="ignore"):
            label_probs[place], losses[place] = row.label_probs, row.losses
        predicted[place], labels[:] = row.predicted, row.labels
        kept.append(epoch)
    found = slice(len(kept))
    return EpochTable(kept, 0, len(shown) - len(kept), labels, label_probs[found], losses[found], predicted[found])


def _read_val(folder: Path, epoch: int) -> _Row:
    evaluation = Evaluation("val", epoch, predictions.read(folder, epoch, stored_images(folder, "val")))
    return _Row(evaluation.labels, evaluation.label_probs, evaluation.losses, evaluation.predicted)


def _read_train(folder: Path, epoch: int) -> _Row:
    held = predictions.read_train(folder, epoch, stored_images(folder, "train"))
    labels = training_labels(held.images)
    return _Row(labels, held.label_probs, held.losses, labels)


def biography(
    run: RunFiles, found: Found, split: str, ancestors: Sequence[RunFiles], notes: list[str]
) -> list[EpochOfImage]:
    """The prediction of each epoch, oldest first, those of the runs before this one included; none for test/."""
    if split == "test":
        notes.append("test/ is evaluated once, with the best model, so there is nothing over the epochs.")
        return []
    label = found.shown.label
    story = _story(_Seen(run, found.images, found.place), split, label, notes)
    for ancestor in ancestors[:MAX_ANCESTORS]:
        try:
            images = stored_images(ancestor.folder, split)
            place = _same(images, found)
        except (DataError, NotFoundError):  # it kept nothing that could be read
            break
        if place is None:
            break
        story = _story(_Seen(ancestor, images, place), split, label, notes) + story
    return story


def _same(images: StoredImages, found: Found) -> int | None:
    """The place of the found image in another run: by its content, else by its name."""
    if images.digests is not None and found.images.digests is not None:
        places = images.find(found.shown.image)
    else:
        places = np.flatnonzero(images.paths == found.images.paths[found.place])
    return int(places[0]) if len(places) else None


class _Seen(NamedTuple):
    """An image in a run."""

    run: RunFiles
    images: StoredImages
    place: int


def _story(seen: _Seen, split: str, label: str, notes: list[str]) -> list[EpochOfImage]:
    """The epochs of one run. label: by which it is judged; another label at that time has another probability."""
    run, images, place = seen
    table = epoch_table(run.folder, split, images)
    if table.left_out:
        notes.append(f"{len(table.epochs)} of {len(table.epochs) + table.left_out} epochs of “{run.name}” are shown.")
    if table.damaged:
        notes.append(f"{counted(table.damaged, 'epoch')} of “{run.name}” cannot be read and are left out.")
    if not table.epochs:
        return []
    before = images.classes[int(table.labels[place])]
    if before != label:
        notes.append(f"In “{run.name}” its label was “{before}”; the probability of “{label}” was not kept.")
    story = []
    for number, epoch in enumerate(table.epochs):
        predicted = None if split == "train" else images.classes[int(table.predicted[number, place])]
        values: dict[str, Any] = {
            "run_id": run.run_id,
            "epoch": epoch,
            "label_prob": number_or_none(table.label_probs[number, place]) if before == label else None,
            "loss": number_or_none(table.losses[number, place]) if before == label else None,
            "predicted": predicted,
            "correct": None if predicted is None else predicted == label,
        }
        story.append(EpochOfImage(**values))
    return story


# ── in other runs ───────────────────────────────────────────────────────────────────────────────────────────────
def _others(found: Found, split: str, others: Iterable[RelatedRun], notes: list[str]) -> list[OtherRun]:
    """The predictions of other runs for the same content, each at its best epoch; none for train/."""
    if split == "train" or not found.shown.image:
        return []
    listed, read, skipped = [], 0, 0
    for other in [*others][:MAX_OTHERS]:
        if read >= MAX_OTHER_IMAGES:
            skipped += 1
            continue
        try:
            evaluation = _uncached(other.files, split)
        except (DataError, NotFoundError):  # it kept none
            continue
        read += len(evaluation)
        places = evaluation.images.find(found.shown.image)
        if len(places):
            listed.append(_other(other, evaluation, int(places[0]), found.shown.label))
    if skipped:
        notes.append(f"{counted(skipped, 'older run is', 'older runs are')} not looked at: these hold many images.")
    return listed


def _uncached(run: RunFiles, split: str) -> Evaluation:
    """As `load`, past the cache, which holds what the page shows."""
    if split == "test":
        return Evaluation(split, None, predictions.read(run.folder, split))
    epoch = best_or_last(run, predictions.epochs(run.folder))
    return Evaluation(split, epoch, predictions.read(run.folder, epoch))


def _other(other: RelatedRun, evaluation: Evaluation, place: int, label: str) -> OtherRun:
    predicted = evaluation.classes[evaluation.predicted[place]]
    values: dict[str, Any] = {
        "run_id": other.files.run_id,
        "name": other.files.name,
        "relation": other.relation,
        "label": evaluation.classes[evaluation.labels[place]],
        "predicted": predicted,
        "confidence": number_or_none(evaluation.confidence[place]),
        "correct": predicted == label,
    }
    return OtherRun(**values)
