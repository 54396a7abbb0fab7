"""Writes what a run keeps of each image into its folder. Called by the recorder once an epoch, and for test/.

`imgcls_lab.predictions` reads it. A file is written whole or not at all, and the same again by a resumed epoch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from imgcls_lab import bounded_arrays, predictions, run_layout, staged_data
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.evaluation.metrics import MetricAccumulator


@dataclass(frozen=True)
class TrainLosses:
    """The cross entropies of the training images in an epoch (from 1), float32 (n,); NaN where there is none."""

    images: ImageSet
    epoch: int
    losses: npt.NDArray[np.float32]


class PredictionWriter:
    """Writes into the folder of one run. classes: names in the order of the model's outputs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fingerprints: dict[str, str] = {}  # by split

    def write(self, name: str, images: ImageSet, classes: list[str], metrics: MetricAccumulator) -> None:
        """The predictions for the images of val/ or test/."""
        held = metrics.predictions()
        self._save(
            name,
            images=np.asarray(self._list(images, classes)),
            labels=held.labels,
            classes=held.top,
            probs=held.probs,
            label_probs=held.label_probs,
            losses=held.losses,
        )

    def write_probs(self, split: str, probs: npt.NDArray[np.float16]) -> None:
        """The probabilities of all classes, (n, classes), in the place of those of an earlier evaluation."""
        path = self._folder / predictions.probs_name(split)
        _replace(path, lambda file: np.save(file, np.ascontiguousarray(probs), allow_pickle=False))

    def write_train(self, kept: TrainLosses, classes: list[str]) -> None:
        """The losses of an epoch, and the probabilities of the true class. Not of so many images that nobody reads."""
        images = kept.images
        if images.paths.nbytes + images.digests.nbytes + 8 * len(images) > bounded_arrays.MAX_BYTES:
            return
        name = predictions.train_name(kept.epoch)
        losses = np.minimum(kept.losses, np.finfo(np.float16).max).astype(np.float16)
        label_probs = np.exp(-kept.losses).astype(np.float16)
        tie = np.asarray(self._list(images, classes, labels=images.labels.astype(np.int32)))
        self._save(name, images=tie, losses=losses, label_probs=label_probs)

    def _list(self, images: ImageSet, classes: list[str], **more: npt.NDArray[Any]) -> str:
        """Write the list of the images of a split, unless it is there. Returns its fingerprint."""
        listing = f"{images.split}-images"
        if not (self._folder / predictions.npz(listing)).exists():
            root = np.asarray(os.fsencode(staged_data.named(images.root)))
            names = np.asarray([name.encode() for name in classes])
            self._save(listing, root=root, paths=images.paths, classes=names, digests=images.digests, **more)
        if images.split not in self._fingerprints:
            self._fingerprints[images.split] = predictions.fingerprint(images.paths, classes)
        return self._fingerprints[images.split]

    def _save(self, name: str, **arrays: npt.NDArray[Any]) -> None:
        (self._folder / run_layout.PREDICTIONS).mkdir(mode=0o700, exist_ok=True)
        path = self._folder / predictions.npz(name)
        _replace(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))


def _replace(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    temporary = path.with_name(f".{path.name}")
    with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        write(file)
    os.replace(temporary, path)
