"""The images of a run: which files, which class, and their pixels as uint8 batches.

Made by the listing of the splits, completed by the scan, read by the loop and by evaluation. The scan leaves out and
names what cannot be read; everything else decodes. Nothing random happens here; pixels do not depend on the cache or
on loader processes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
import torchvision

from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.engine.transforms.geometry import Shape
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import DataError
from imgcls_lab.images import DECODER, Pixels, decode_sized
from imgcls_lab.planning import automatic

_PARENT_DEATH = 1  # PR_SET_PDEATHSIG of prctl(2)
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Reader:
    """File -> uint8 tensor (*shape, 3).

    `crop` None: the evaluation's pixels. Else the whole image squashed to that shape, from which training crops are
    cut. `exact`: decode at full size and resample as prediction does; training may let the JPEG decoder shrink.
    """

    spec: EvalSpec
    crop: Shape | None = None
    exact: bool = True

    @property
    def shape(self) -> Shape:
        """Height and width of the pixels."""
        return self.crop or self.spec.shape

    @property
    def image_bytes(self) -> int:
        """Of the pixels of one image."""
        return 3 * self.shape[0] * self.shape[1]

    @property
    def size_hint(self) -> int | None:
        """The edge down to which the decoder may shrink; None: not at all."""
        return None if self.exact else max(self.crop) if self.crop else self.spec.min_edge

    @property
    def cache_key(self) -> str:
        """Everything besides the file on which the pixels depend."""
        return f"{self.spec.cache_key} {self.crop} {self.exact} {DECODER} torchvision {torchvision.__version__}"

    def read(self, source: str | bytes, name: str | None = None) -> tuple[torch.Tensor, float]:
        """Pixels and the image's width over height. Raises DataError."""
        image, (width, height) = decode_sized(source, size_hint=self.size_hint, name=name)
        return self.resize(image), width / height

    def resize(self, image: Pixels | torch.Tensor) -> torch.Tensor:
        """The pixels of one decoded image, or of several of one size, uint8 (..., height, width, 3), where they are."""
        return self.spec.squash(image, self.crop) if self.crop else self.spec.pixels(image, exact=self.exact)


@dataclass(frozen=True)
class ImageSet:
    """One split. Paths are bytes in one array: a Python list would grow in every loader process.

    paths: relative to root, shape (n,); labels: int64 (n,); aspects: width over height, float32 (n,); digests: SHA-256
    of the files as the scan read them, uint8 (n, 32);
    pixels: uint8 (rows, height, width, 3) where they are cached, else None; rows: the row of each image, int64 (n,).
    """

    root: Path
    split: str
    reader: Reader
    paths: npt.NDArray[np.bytes_]
    labels: Indices
    aspects: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    digests: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 32), np.uint8))
    pixels: torch.Tensor | None = None
    rows: Indices = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.paths)

    def path(self, index: int) -> str:
        """Path of one image, relative to the root."""
        return os.fsdecode(bytes(self.paths[index]))

    @property
    def bytes_if_cached(self) -> int:
        return len(self) * self.reader.image_bytes

    def to_device(self, device: torch.device) -> Self:
        """With the cached pixels of these images on a device."""
        assert self.pixels is not None  # noqa: S101
        if len(self.pixels) == len(self):
            return replace(self, pixels=self.pixels.to(device))
        rows = self.pixels.index_select(0, torch.from_numpy(self.rows))
        return replace(self, pixels=rows.to(device), rows=np.arange(len(self)))

    def select(self, chosen: npt.NDArray[np.bool_] | Indices) -> Self:
        """The chosen images alone, those that a mask marks or in the order of their numbers."""
        return replace(
            self,
            paths=self.paths[chosen],
            labels=self.labels[chosen],
            aspects=self.aspects[chosen] if len(self.aspects) else self.aspects,
            digests=self.digests[chosen] if len(self.digests) else self.digests,
            rows=self.rows[chosen] if len(self.rows) else self.rows,
        )

    def model_input(self, stored: torch.Tensor, spec: EvalSpec, /) -> torch.Tensor:
        """The model's input, made of what `batches` gives: float32 (n, 3, height, width)."""
        return normalise(stored, spec)

    def batches(self, batches: Sequence[Indices], num_workers: int) -> Iterator[torch.Tensor]:
        """The pixels of each batch of indices in turn, uint8 (n, height, width, 3).

        Raises DataError if a file can no longer be read.
        """
        if self.pixels is not None:
            for batch in batches:
                yield self.pixels.index_select(0, torch.from_numpy(self.rows[batch]).to(self.pixels.device))
        elif num_workers == 0 or not batches:
            files = _Files(self)
            for batch in batches:
                yield torch.from_numpy(_stack([files[int(i)] for i in batch]))
        else:
            yield from _worker_batches(self, batches, num_workers)


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
            raise DataError(f"{item} It could be read when the run began.", reason="unreadable_now")
        arrays.append(item)
    return np.stack(arrays)


def _collate(items: list[npt.NDArray[np.uint8] | str]) -> npt.NDArray[np.uint8] | str:
    """A batch, or the first sentence. Plain arrays travel by pipe: /dev/shm is tiny in many containers."""
    failed = next((item for item in items if isinstance(item, str)), None)
    return failed if failed is not None else _stack(items)


def init_worker(_number: int) -> None:
    """A stop signal goes to the whole group; loader processes ignore it and end with the trainer.

    They end with a killed one, too: torch's own watch would leave one of two behind that wait for each other's lock.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)


def _worker_batches(images: ImageSet, batches: Sequence[Indices], num_workers: int) -> Iterator[torch.Tensor]:
    loader = torch.utils.data.DataLoader(
        _Files(images),
        batch_sampler=[batch.tolist() for batch in batches],
        num_workers=min(num_workers, len(batches)),
        collate_fn=_collate,
        worker_init_fn=init_worker,
        generator=torch.Generator(),  # else a new iterator draws from the global generator, and resume is not exact
        prefetch_factor=4,
    )
    for batch in loader:
        if isinstance(batch, str):
            raise DataError(f"{batch} It could be read when the run began.", reason="unreadable_now")
        yield torch.from_numpy(batch)


def class_counts(labels: Indices, classes: int) -> Indices:
    """Images of each class."""
    return np.bincount(labels, minlength=classes).astype(np.int64)


def pick_num_workers(configured: int | None, cached: bool, device: torch.device, processes: int = 1) -> int:
    """Loader processes: none where all is cached; else the config's, or as many as this machine can spare.

    processes: how many train together on this machine.
    """
    if cached:
        return 0
    if configured is not None:
        return configured
    return automatic.num_workers(on_gpu=device.type == "cuda", processes=processes)


class TimedBatches(Iterator[torch.Tensor]):
    """Batches, and the time spent waiting for them."""

    def __init__(self, batches: Iterator[torch.Tensor]) -> None:
        self._batches = batches
        self._seconds = 0.0

    def __next__(self) -> torch.Tensor:
        started = time.monotonic()
        batch = next(self._batches)
        self._seconds += time.monotonic() - started
        return batch

    def pop_seconds(self) -> float:
        """Seconds waited since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds
