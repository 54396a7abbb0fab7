"""One evaluation of a run in columns: the images of val/ or test/, with the prediction for each.

`load` reads it once and keeps it in the cache; everything else of this package computes on its columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab import predictions
from imgcls_lab.analysis.cache import identity, stored_images
from imgcls_lab.errors import DataError, InputError, NotFoundError
from imgcls_lab.image_files import printable
from imgcls_lab.memory_cache import CACHE
from imgcls_lab.predictions import StoredImages, StoredPredictions, StoredProbs

SURE = 0.5  # confidence from which on a mistake is a confident one, and below which a prediction is unsure

COUNTED = ("all", "mistakes", "confident_mistakes", "unsure")

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.intp]


class RunFiles(NamedTuple):
    """A run whose folder is read. best_epoch: of the checkpoint `best`, as far as is known."""

    run_id: str
    name: str
    folder: Path
    best_epoch: int | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A split of an epoch. epoch: None of test/, which is evaluated once, with the best model."""

    split: str
    epoch: int | None
    held: StoredPredictions

    @property
    def images(self) -> StoredImages:
        return self.held.images

    @property
    def classes(self) -> list[str]:
        return self.held.images.classes

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        return self.held.labels

    @property
    def predicted(self) -> npt.NDArray[np.int32]:
        return self.held.top[:, 0]

    def __len__(self) -> int:
        return len(self.held.labels)

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the predicted class; NaN where the model gave no number."""
        return self.held.probs[:, 0].astype(np.float32)

    @property
    def known_confidence(self) -> Floats:
        """The same with 0 in place of NaN."""
        return without_nan(self.confidence)

    @cached_property
    def correct(self) -> Bools:
        right: Bools = self.predicted == self.labels
        return right

    @cached_property
    def label_probs(self) -> Floats:
        """Probability of the true class. Of an older run NaN where it was not among the five likeliest."""
        if self.held.label_probs is not None:
            return self.held.label_probs.astype(np.float32)
        hit = self.held.top == self.labels[:, None]
        found = np.where(hit, self.held.probs.astype(np.float32), 0).sum(1)
        return np.where(hit.any(1), found, np.float32(np.nan))

    @cached_property
    def losses(self) -> Floats:
        """Cross entropy. Of an older run by its stored probability, NaN where there is none."""
        if self.held.losses is not None:
            return self.held.losses
        with np.errstate(divide="ignore"):
            return -np.log(self.label_probs)

    @cached_property
    def by_name(self) -> Numbers:
        """Places in the order of the names."""
        return np.argsort(self.images.paths, kind="stable").astype(np.int32)

    def shown(self, show: str) -> Bools:
        """Which images `EvaluatedQuery.show` means."""
        sure = self.confidence >= SURE
        masks: dict[str, Bools] = {"right": self.correct, "mistakes": ~self.correct, "unsure": ~sure}
        masks |= {"all": np.ones(len(self), bool), "confident_mistakes": ~self.correct & sure}
        return masks[show]

    @cached_property
    def counts(self) -> dict[str, int]:
        """Of `EvaluatedPage`."""
        return {show: int(np.count_nonzero(self.shown(show))) for show in COUNTED}

    def class_number(self, name: str) -> int:
        """Which output a class is. Raises InputError."""
        return class_number(self.classes, name)

    def name(self, place: int) -> str:
        return printable(self.images.name(place))

    @property
    def nbytes(self) -> int:
        """Of memory, with all columns that are made on demand; without the images, which others share."""
        return sum(array.nbytes for array in vars(self.held).values() if isinstance(array, np.ndarray)) + 17 * len(self)


def class_number(classes: list[str], name: str) -> int:
    """The place of a class by its name. Raises InputError."""
    try:
        return classes.index(name)
    except ValueError:
        raise InputError(f"The model has no class “{name[:100]}”.", reason="unknown_class", name=name[:100]) from None


def best_or_last(run: RunFiles, found: list[int]) -> int:
    """The best epoch if its predictions are there, else the last of those that are. Raises NotFoundError."""
    if not found:
        raise NotFoundError(
            f"The run “{run.name}” has kept no predictions for val/. They come with the first evaluation; a run of an "
            "older version, or one that failed before, has none.",
            reason="no_predictions",
            run=run.run_id,
        )
    return run.best_epoch if run.best_epoch in found else found[-1]


def load(run: RunFiles, split: str = "val", epoch: int | None = None) -> Evaluation:
    """The evaluation of an epoch on val/, by default the best; that of the best model on test/.

    Raises NotFoundError where there is none, DataError where its file is damaged, InputError for another epoch of
    test/.
    """
    if split not in ("val", "test"):
        raise InputError("There are evaluations of split=val and split=test.")
    if split == "test":
        return _load_test(run, epoch)
    found = predictions.epochs(run.folder)
    number = best_or_last(run, found) if epoch is None else epoch
    if number not in found:
        raise NotFoundError(
            f"The run “{run.name}” has kept no predictions of epoch {number}; there are "
            f"{f'epochs {found[0]} to {found[-1]}' if found else 'none yet'}.",
            reason="no_predictions",
            run=run.run_id,
        )
    return _cached(run.folder, "val", number)


def _load_test(run: RunFiles, epoch: int | None) -> Evaluation:
    if epoch is not None:
        raise InputError("test/ is evaluated once, with the best model: leave the epoch out.", reason="test_epoch")
    if not predictions.has_test(run.folder):
        raise NotFoundError(
            f"The run “{run.name}” has no evaluation on test/. It comes at the end of a run whose data has test/.",
            reason="no_predictions",
            run=run.run_id,
        )
    return _cached(run.folder, "test", None)


def _cached(folder: Path, split: str, epoch: int | None) -> Evaluation:
    name = split if epoch is None else predictions.epoch_name(epoch)
    key = identity(folder, [predictions.npz(name), predictions.npz(f"{split}-images")])

    def make() -> Evaluation:
        held = predictions.read(folder, split if epoch is None else epoch, stored_images(folder, split))
        if not len(held.labels):
            raise DataError(f"The predictions “{name}” hold no image.", reason="no_images")
        return Evaluation(split, epoch, held)

    return CACHE.get(("evaluation", key), make, lambda made: made.nbytes)


def all_probs(folder: Path, evaluation: Evaluation) -> StoredProbs | npt.NDArray[np.float16] | None:
    """The probabilities of all classes, on disk, or (n, classes) where the five likeliest are all; None: not kept."""
    if evaluation.held.top.shape[1] == len(evaluation.classes):
        every = np.empty_like(evaluation.held.probs)
        np.put_along_axis(every, evaluation.held.top, evaluation.held.probs, 1)
        return every
    names = [predictions.probs_name(evaluation.split)]
    key = "probs", evaluation.epoch, identity(folder, names)
    return CACHE.get(key, lambda: predictions.read_probs(folder, evaluation.held, evaluation.split), lambda _: 500)


def without_nan(probs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The probabilities with 0 where the model gave no number."""
    return np.where(np.isnan(probs), probs.dtype.type(0), probs)


def number_or_none(value: Any) -> float | None:
    """A number for JSON, which has no NaN; infinity becomes null when it is written."""
    found = float(value)
    return None if math.isnan(found) else found
