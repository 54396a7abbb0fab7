"""The images of a run: which files, which class, and their pixels as uint8 batches.

Called by the run's preparation and by evaluation. Files are scanned once before training: what cannot be read is
left out and named, everything else is known to decode. Nothing random happens here; pixels do not depend on the
cache or on loader processes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.engine import hardware
from imgcls_lab.engine.draws import Stream, generator
from imgcls_lab.engine.spec import EvalSpec
from imgcls_lab.errors import DataError
from imgcls_lab.imagefolder import FolderSummary, inspect_folder, list_images
from imgcls_lab.images import decode

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reader:
    """File -> uint8 tensor (edge, edge, 3).

    `crop_edge` None: the evaluation's pixels. Else a squashed square of that edge, from which training crops are cut.
    `exact`: decode at full size, as prediction does; training may let the JPEG decoder shrink.
    """

    spec: EvalSpec
    crop_edge: int | None = None
    exact: bool = True

    @property
    def edge(self) -> int:
        return self.crop_edge or self.spec.size

    def read(self, source: str | bytes, name: str | None = None) -> tuple[torch.Tensor, float]:
        """Pixels and the image's width over height. Raises DataError."""
        hint = None if self.exact else (self.crop_edge or self.spec.resize_to)
        image = decode(source, size_hint=hint, name=name)
        pixels = self.spec.pixels(image) if self.crop_edge is None else self.spec.square(image, self.crop_edge)
        return pixels, image.shape[1] / image.shape[0]


@dataclass
class ImageSet:
    """One split. Paths are bytes in one array: a Python list would grow in every loader process.

    paths: relative to root, shape (n,); labels: int64 (n,); aspects: width over height, float32 (n,);
    pixels: uint8 (n, edge, edge, 3) where the images are cached, else None.
    """

    root: Path
    split: str
    reader: Reader
    paths: npt.NDArray[np.bytes_]
    labels: Indices
    aspects: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    pixels: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, index: int) -> str:
        """Path of one image, relative to the root."""
        return os.fsdecode(bytes(self.paths[index]))

    @property
    def bytes_if_cached(self) -> int:
        return len(self) * self.reader.edge**2 * 3

    def batches(self, batches: Sequence[Indices], workers: int) -> Iterator[torch.Tensor]:
        """The pixels of each batch of indices in turn, uint8 (n, edge, edge, 3).

        Raises DataError if a file can no longer be read.
        """
        if self.pixels is not None:
            for batch in batches:
                yield self.pixels.index_select(0, torch.from_numpy(batch).to(self.pixels.device))
        elif workers == 0:
            files = _Files(self)
            for batch in batches:
                yield torch.from_numpy(_stack([files[int(i)] for i in batch]))
        else:
            yield from _worker_batches(self, batches, workers)


class _Files(torch.utils.data.Dataset[npt.NDArray[np.uint8] | str]):
    """One decoded file an item; a file that cannot be read comes as the sentence that says so."""

    def __init__(self, images: ImageSet) -> None:
        self._root = os.fspath(images.root)
        self._paths = images.paths
        self._reader = images.reader

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8] | str:
        path = os.path.join(self._root, os.fsdecode(bytes(self._paths[index])))
        try:
            pixels: npt.NDArray[np.uint8] = self._reader.read(path)[0].numpy()
        except DataError as error:
            return str(error)
        return pixels


def _stack(items: list[npt.NDArray[np.uint8] | str]) -> npt.NDArray[np.uint8]:
    arrays = []
    for item in items:
        if isinstance(item, str):
            raise DataError(f"{item} It could be read when the run began.")
        arrays.append(item)
    return np.stack(arrays)


def _collate(items: list[npt.NDArray[np.uint8] | str]) -> npt.NDArray[np.uint8] | str:
    """A batch, or the first sentence. Plain arrays travel by pipe: /dev/shm is tiny in many containers."""
    failed = next((item for item in items if isinstance(item, str)), None)
    return failed if failed is not None else _stack(items)


def _start_worker(_number: int) -> None:
    """A stop signal goes to the whole group; loader processes leave it to the trainer and end with it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _worker_batches(images: ImageSet, batches: Sequence[Indices], workers: int) -> Iterator[torch.Tensor]:
    loader = torch.utils.data.DataLoader(
        _Files(images),
        batch_sampler=[batch.tolist() for batch in batches],
        num_workers=min(workers, len(batches)),
        collate_fn=_collate,
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # else a new iterator draws from the global generator, and resume is not exact
        prefetch_factor=4,
    )
    for batch in loader:
        if isinstance(batch, str):
            raise DataError(f"{batch} It could be read when the run began.")
        yield torch.from_numpy(batch)


def list_splits(
    root: Path, val_fraction: float, seed: int, train_reader: Reader, eval_reader: Reader
) -> tuple[FolderSummary, ImageSet, ImageSet]:
    """The training and the validation files by name. Raises DataError with what is wrong and what to do."""
    summary = inspect_folder(root)
    if summary.problem:
        raise DataError(summary.problem)
    paths, labels = list_images(summary.root, "train", summary.classes)
    train_labels = np.asarray(labels, np.int64)
    train_paths = np.asarray([os.fsencode(path) for path in paths])
    if "val" in summary.splits:
        paths, labels = list_images(summary.root, "val", summary.classes)
        val_paths, val_labels = np.asarray([os.fsencode(path) for path in paths]), np.asarray(labels, np.int64)
    else:
        held_out = hold_out(train_labels, val_fraction, seed)
        val_paths, val_labels = train_paths[held_out], train_labels[held_out]
        train_paths, train_labels = train_paths[~held_out], train_labels[~held_out]
        if not len(val_paths):
            raise DataError(
                f"“{summary.root}” has no val/ and too few images to hold some out. Add val/CLASS, or more images."
            )
    return (
        summary,
        ImageSet(summary.root, "train", train_reader, train_paths, train_labels),
        ImageSet(summary.root, "val", eval_reader, val_paths, val_labels),
    )


def hold_out(labels: Indices, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which images are kept for validation: the share of each class, at least one where a class has two."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(1, round(len(members) * fraction)), len(members) - 1)
        chosen[generator(seed, Stream.SPLIT, int(label)).permutation(members)[:count]] = True
    return chosen


def class_counts(labels: Indices, classes: int) -> Indices:
    """Images of each class."""
    return np.bincount(labels, minlength=classes).astype(np.int64)


def pick_workers(wanted: int | None, cached: bool, device: torch.device) -> int:
    """Loader processes: none where all is cached; else the config's, or as many as this machine can spare."""
    if cached:
        return 0
    if wanted is not None:
        return wanted
    return max(1, min(8, hardware.cores() - 1)) if device.type == "cuda" else min(1, hardware.cores() - 1)


Progress = Callable[[str, int, int], None]
