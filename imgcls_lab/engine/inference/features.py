"""The features of images by a model: what its head gets, in the model's own preprocessing, one vector an image.

Called by the audit of a data set. Features are kept in the cache folder as soon as a block of images has passed, so an
audit that was stopped goes on from there, and a data set that changed costs its new images alone. Changes nothing in
the model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from imgcls_lab.audits.feature_file import Digests, FeatureKey, Halves
from imgcls_lab.cache_eviction import evict_for
from imgcls_lab.engine.data.chunked_reader import Chunk, read_chunks
from imgcls_lab.engine.data.image_set import ImageSet, Reader
from imgcls_lab.engine.data.prefetch import prefetch
from imgcls_lab.engine.inference.predict import BATCH, Classifier
from imgcls_lab.engine.model.memory_format import natural_format
from imgcls_lab.engine.model.structure import head_of
from imgcls_lab.errors import DiskFullError, ModelError, UnsafeFolderError
from imgcls_lab.row_file import RowFile

_NAMES = ("id2label", "label2id", "num_labels", "label_names", "_name_or_path", "transformers_version", "dtype")


@dataclass(frozen=True)
class ImageFiles:
    """Images of a data set. paths: bytes (n,), relative to the root; digests: uint8 (n, 32), of their contents."""

    root: Path
    paths: npt.NDArray[np.bytes_]
    digests: Digests


@dataclass(frozen=True)
class FeatureCache:
    """Where features are kept. folder, limit: of the cache of the home, in bytes; title: of the model, for lists."""

    folder: Path
    limit: int
    title: str


@dataclass(frozen=True)
class Watch:
    """How the caller follows. progress: gets (done, of all); stop: whether to give up; notify: gets sentences."""

    progress: Callable[[int, int], None]
    stop: Callable[[], bool]
    notify: Callable[[str], None]


@dataclass(frozen=True)
class ImageFeatures:
    """values: float16 (n, width), in the order of the files, zeros for those in `errors`; name: of the file in the
    cache, empty where they could not be kept; errors: position of a file -> why it has no features."""

    values: Halves
    name: str
    errors: dict[int, str] = field(default_factory=dict)


class Penultimate:
    """A model without its head: images (n, 3, height, width) -> features float32 (n, width).

    The features are what the modules of the head are given while the whole model runs, averaged over positions where
    the head takes a map or tokens. So it needs no name of any architecture.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._heads = head_of(model)

    @torch.inference_mode()
    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Raises ModelError if the model gives its head no features."""
        received: list[tuple[nn.Module, torch.Tensor]] = []

        def receive(head: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            tensor = next((item for item in (*inputs, *named.values()) if isinstance(item, torch.Tensor)), None)
            if tensor is not None:
                received.append((head, tensor))

        handles = [head.register_forward_pre_hook(receive, with_kwargs=True) for head in self._heads]
        try:
            self._model(pixel_values=values)
        finally:
            for handle in handles:
                handle.remove()
        pooled: dict[int, torch.Tensor] = {}  # heads that share an input give it once
        for head, tensor in received:
            if tensor.is_floating_point() and len(tensor) == len(values) and tensor.ndim > 1:
                pooled[tensor.data_ptr()] = _pooled(tensor, _width(head)).float()
        if not pooled:
            raise ModelError(f"The model {type(self._model).__name__} gives its head no features. Take another model.")
        return torch.cat(list(pooled.values()), 1)


def _width(head: nn.Module) -> int | None:
    """How many features the first layer of a head takes."""
    for module in head.modules():
        for name in ("in_features", "in_channels", "num_features"):
            if isinstance(width := getattr(module, name, None), int):
                return width
        if isinstance(module, nn.LayerNorm):
            return int(module.normalized_shape[-1])
    return None


def _pooled(tensor: torch.Tensor, width: int | None) -> torch.Tensor:
    """(n, width), the mean over all positions. The axis of features is the one of that width, else the usual one."""
    if tensor.ndim == 2:
        return tensor
    usual = 1 if tensor.ndim == 4 else tensor.ndim - 1  # maps are (n, width, ...), tokens (n, ..., width)
    axes = [axis for axis in range(1, tensor.ndim) if tensor.shape[axis] == width]
    axis = usual if usual in axes or not axes else axes[0]
    return tensor.mean([other for other in range(1, tensor.ndim) if other != axis])


def model_digest(model: nn.Module) -> str:
    """SHA-256 (hex) of what decides the features: architecture and weights without the head."""
    heads = {id(tensor) for head in head_of(model) for tensor in (*head.parameters(), *head.buffers())}
    config: Any = getattr(model, "config", None)
    facts = {name: value for name, value in (config.to_dict() if config else {}).items() if name not in _NAMES}
    digest = hashlib.sha256(json.dumps([type(model).__name__, facts], sort_keys=True, default=str).encode())
    for name, tensor in sorted([*model.named_parameters(), *model.named_buffers()], key=lambda item: item[0]):
        if id(tensor) not in heads:
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def compute_features(loaded: Classifier, files: ImageFiles, cache: FeatureCache, watch: Watch) -> ImageFeatures | None:
    """Features of all files; None if stopped. What is kept already is not computed, nor are copies.

    Raises ModelError, OutOfMemoryError if a process that decodes is killed.
    """
    model = loaded.model.to(memory_format=natural_format(loaded.model))
    encode, reader = Penultimate(model), Reader(loaded.spec)
    width = encode(torch.zeros(1, 3, *loaded.spec.shape, device=loaded.device)).shape[1]
    key = FeatureKey(model_digest(model), reader.cache_key, width)
    words = np.ascontiguousarray(files.digests).view(np.uint64).reshape(-1, 4)
    words, first, copy_of = np.unique(words, axis=0, return_index=True, return_inverse=True)
    kept = _open(key, cache, len(words), watch)
    values, errors = np.zeros((len(words), width), np.float16), dict[int, str]()
    places = np.array([kept.row(digest) for digest in words] if kept else [-1] * len(words), np.int64)
    if kept and (places >= 0).any():
        values[places >= 0] = kept.rows().view(np.float16)[places[places >= 0]]
    new = np.flatnonzero(places < 0)
    new = new[np.argsort(first[new])]  # in the order of the files, which is how disks read quickest
    images = ImageSet(files.root, "", reader, files.paths[first[new]], np.zeros(len(new), np.int64))
    done = len(words) - len(new)
    watch.progress(done, len(words))
    for chunk in read_chunks(images):
        errors |= {int(new[number]): reason for number, reason in chunk.errors.items()}
        done += len(chunk.errors)
        for rows, features in _encoded(encode, chunk, loaded):
            if watch.stop():
                return None
            numbers = new[chunk.numbers[rows]]
            same = (chunk.digests[rows] == words[numbers]).all(1)
            errors |= dict.fromkeys(numbers[~same].tolist(), "The file was replaced while the audit went on.")
            values[numbers[same]] = features[same]
            if kept:
                kept = _keep(kept, chunk.digests[rows], features, watch)
            done += len(rows)
            watch.progress(done, len(words))
    copies = copy_of.reshape(-1)
    failed = {place: errors[number] for place, number in enumerate(copies.tolist()) if number in errors}
    return ImageFeatures(values[copies], key.name if kept else "", failed)


def _encoded(encode: Penultimate, chunk: Chunk, loaded: Classifier) -> Iterator[tuple[npt.NDArray[np.int64], Halves]]:
    """Places of images in a chunk, and their features."""
    batches = [np.arange(start, min(start + BATCH, len(chunk.images))) for start in range(0, len(chunk.images), BATCH)]
    for batch, pixels in zip(batches, prefetch(chunk.images.batches(batches, 0), loaded.device), strict=True):
        features = encode(chunk.images.model_input(pixels, loaded.spec))
        limit = torch.finfo(torch.float16).max
        yield batch, features.clamp(-limit, limit).half().cpu().numpy()


def _open(key: FeatureKey, cache: FeatureCache, images: int, watch: Watch) -> RowFile | None:
    """The file of these features, with space for so many images; None and a notice where there can be none."""
    try:
        evict_for(cache.folder, [(key, images)], cache.limit)
        description = {"model": cache.title, "width": key.width, "preprocessing": key.preprocessing}
        return RowFile(cache.folder, key.name, key.row_bytes, description)
    except (OSError, DiskFullError, UnsafeFolderError) as error:
        watch.notify(f"The features are not kept, and another audit computes them again. {error}")
        return None


def _keep(kept: RowFile, digests: npt.NDArray[np.uint64], features: Halves, watch: Watch) -> RowFile | None:
    try:
        kept.add(list(digests), [row.tobytes() for row in features])
    except OSError as error:
        watch.notify(f"The features are no longer kept, and another audit computes them again. {error}")
        return None
    return kept
