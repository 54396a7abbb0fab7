"""The training images as the steps saw them: loss and probability of the label, and both over the epochs.

"Dataset cartography" (Swayamdipta et al., 2020, https://aclanthology.org/2020.emnlp-main.746): the mean of the label's
probability over the epochs and its standard deviation tell what a model learns at once, what it wavers about, and what
it never believes. The last are often wrong labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from imgcls_lab import predictions
from imgcls_lab.analysis.cache import identity, stored_images
from imgcls_lab.analysis.evaluation import Floats, Numbers, RunFiles, class_number
from imgcls_lab.errors import DataError, NotFoundError
from imgcls_lab.image_files import printable
from imgcls_lab.memory_cache import CACHE
from imgcls_lab.predictions import StoredImages
from imgcls_lab.schemas import LearningGroup

GROUPS: tuple[LearningGroup, ...] = get_args(LearningGroup)
LEAST_EPOCHS = 2  # that saw an image, before it belongs to a group
WIDE_SPREAD = 0.2  # standard deviation from which on an image is ambiguous; the largest possible one is 0.5
BELIEVED = 0.5  # mean probability of the label from which on an image is easy


class Moments(NamedTuple):
    """Of the label's probability over the epochs that saw an image unmixed: mean, standard deviation, their number."""

    mean: Floats
    spread: Floats
    seen: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """The training images at an epoch, with their moments over all epochs so far."""

    epoch: int
    images: StoredImages
    losses: Floats
    label_probs: Floats
    moments: Moments

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        return training_labels(self.images)

    @property
    def mean(self) -> Floats:
        return self.moments.mean

    @property
    def spread(self) -> Floats:
        return self.moments.spread

    @cached_property
    def groups(self) -> npt.NDArray[np.int8]:
        """Place in GROUPS; -1 where fewer than two epochs saw the image."""
        wide, believed = self.spread >= WIDE_SPREAD, self.mean >= BELIEVED
        group = np.where(wide, GROUPS.index("ambiguous"), GROUPS.index("suspicious"))
        group = np.where(~wide & believed, GROUPS.index("easy"), group)
        return np.where(self.moments.seen >= LEAST_EPOCHS, group, -1).astype(np.int8)

    @cached_property
    def counts(self) -> dict[str, int]:
        return {"all": len(self.losses)} | {
            name: int(np.count_nonzero(self.groups == place)) for place, name in enumerate(GROUPS)
        }

    @cached_property
    def by_name(self) -> Numbers:
        return np.argsort(self.images.paths, kind="stable").astype(np.int32)

    def class_number(self, name: str) -> int:
        """Which output a class is. Raises InputError."""
        return class_number(self.images.classes, name)

    def name(self, place: int) -> str:
        return printable(self.images.name(place))

    @property
    def nbytes(self) -> int:
        """Of memory, without the images."""
        return 29 * len(self.losses)


def training_labels(images: StoredImages) -> npt.NDArray[np.int32]:
    """The labels of the training images. Raises DataError."""
    if images.labels is None:
        raise DataError("The list of the training images in this run's folder has no labels; it is damaged.")
    return images.labels


def load_training(run: RunFiles, epoch: int | None = None) -> TrainingImages:
    """The training images at an epoch, by default the last. Raises NotFoundError, DataError."""
    found = predictions.train_epochs(run.folder)
    number = found[-1] if found and epoch is None else epoch
    if number not in found:
        raise NotFoundError(
            f"The run “{run.name}” has kept nothing of its training images"
            f"{'' if epoch is None or not found else f' at epoch {epoch}'}. Runs of this version keep the loss and the "
            "label's probability of each, from the first epoch on.",
            reason="no_predictions",
            run=run.run_id,
        )
    names = [predictions.npz(predictions.train_name(each)) for each in found]
    key = identity(run.folder, [*names, predictions.npz("train-images")])

    def make() -> TrainingImages:
        return _read(run, number, found)

    return CACHE.get(("train", number, key), make, lambda made: made.nbytes)


def _read(run: RunFiles, epoch: int, epochs: list[int]) -> TrainingImages:
    images = stored_images(run.folder, "train")
    held = predictions.read_train(run.folder, epoch, images)
    sums = np.zeros((2, len(images)))
    seen = np.zeros(len(images), np.int32)
    for each in epochs:
        probs = predictions.read_train(run.folder, each, images).label_probs.astype(np.float64)
        known = np.isfinite(probs)
        probs[~known] = 0
        seen += known
        sums += probs, probs**2
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums[0] / seen
        spread = np.sqrt(np.maximum(sums[1] / seen - mean**2, 0))
    moments = Moments(mean.astype(np.float32), spread.astype(np.float32), seen)
    losses, label_probs = held.losses.astype(np.float32), held.label_probs.astype(np.float32)
    return TrainingImages(epoch, images, losses, label_probs, moments)
