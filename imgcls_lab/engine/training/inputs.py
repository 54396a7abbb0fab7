"""What a training step gets as its input: augmented pixels or, under a frozen backbone, cached features.

Made by `build`, used by the loop. Pixels go through the whole model; features go through the head alone, which is a
few hundred times as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.feature_cache import FeatureLoading, FeatureSet, compute_features, fits_in_memory
from imgcls_lab.engine.data.gpu_decode import Decode, decode_batches
from imgcls_lab.engine.data.image_set import ImageSet, Indices
from imgcls_lab.engine.data.prefetch import prefetch
from imgcls_lab.engine.model.head_model import HeadModel, feature_bytes
from imgcls_lab.engine.transforms.augment import Augmentation, normalise
from imgcls_lab.engine.transforms.augment_recipes import Recipe

Notify = Callable[[str], None]
Report = Callable[[str, int, int], None]  # name of a phase, done, of how many


class Inputs(Protocol):
    """val: the validation images as `eval_model` takes them."""

    @property
    def val(self) -> ImageSet: ...

    def prepare_epoch(self, epoch: int, /) -> bool:
        """Compute what an epoch (from 0) and its validation need. False if stopped."""

    def batches(self, epoch: int, batches: Sequence[Indices], /) -> Iterator[torch.Tensor]:
        """What is stored of the images of each batch of indices in turn, on the device."""

    def model_input(self, stored: torch.Tensor, epoch: int, images: Indices, /) -> torch.Tensor:
        """The input of `forward`, made of what is stored of these images."""

    def forward(self, values: torch.Tensor, /) -> torch.Tensor:
        """Logits (n, classes), in training."""

    def eval_model(self, model: nn.Module, /) -> nn.Module:
        """What evaluates `val` with the weights of this model."""


@dataclass(frozen=True)
class PixelInputs:
    """Pixels, augmented anew in each epoch, through the whole model.

    decode: decodes files on the device, where nothing is cached; None: pixels come from the cache or from loader
    processes.
    """

    train: ImageSet
    val: ImageSet
    augment: Augmentation
    wrapped_model: nn.Module
    num_workers: int
    device: torch.device
    decode: Decode | None

    def prepare_epoch(self, _epoch: int, /) -> bool:
        return True

    def batches(self, _epoch: int, batches: Sequence[Indices], /) -> Iterator[torch.Tensor]:
        if self.decode is not None:
            return decode_batches(self.device, self.train, batches, self.decode)
        return prefetch(self.train.batches(batches, self.num_workers), self.device)

    def model_input(self, stored: torch.Tensor, epoch: int, images: Indices, /) -> torch.Tensor:
        return self.augment(stored, epoch, images, self.train.aspects[images])

    def forward(self, values: torch.Tensor, /) -> torch.Tensor:
        logits: torch.Tensor = self.wrapped_model(pixel_values=values).logits
        return logits

    def eval_model(self, model: nn.Module, /) -> nn.Module:
        return model


class FeatureInputs:
    """Features through the head. Epoch e trains on view e modulo `views`; a view is computed when it is first needed.

    train, val: the images; augment: makes a view of them; model: the whole model; autocast: around its forward passes.
    """

    def __init__(
        self,
        train: ImageSet,
        val: ImageSet,
        augment: Augmentation,
        model: nn.Module,
        *,
        views: int,
        autocast: Callable[[], AbstractContextManager[Any]],
        loading: FeatureLoading,
        report: Report,
    ) -> None:
        self._train, self._val, self._augment = train, val, augment
        self._model, self._head = model, HeadModel(model)
        self._view_count, self._autocast, self._loading, self._report = views, autocast, loading, report
        self._cache: dict[int | None, torch.Tensor] = {}  # by view of the training images; None: validation images

    @property
    def val(self) -> ImageSet:
        """The features of the validation images. `prepare_epoch` comes first."""
        return FeatureSet.of(self._val, self._cache[None])

    def prepare_epoch(self, epoch: int, /) -> bool:
        return self._is_cached(None) and self._is_cached(epoch % self._view_count)

    @torch.no_grad()
    def _is_cached(self, view: int | None) -> bool:
        """Compute a view, unless it is there. False if stopped."""
        if view in self._cache:
            return True
        self._model.eval()
        images, what = (self._val, "validation images") if view is None else (self._train, "training images")
        if view is not None and self._view_count > 1:
            what = f"view {view + 1} of {self._view_count}"
        features = compute_features(
            images,
            lambda pixels, batch: self._encode(pixels, batch, view),
            self._loading,
            lambda done, total: self._report(f"computing features of {what}", done, total),
        )
        if features is not None:
            self._cache[view] = features
        return features is not None

    def _encode(self, pixels: torch.Tensor, images: Indices, view: int | None) -> torch.Tensor:
        if view is None:  # as the evaluation prepares images
            return self._head.features(self._model, normalise(pixels, self._val.reader.spec))
        with self._autocast():
            values = self._augment(pixels, view, images, self._train.aspects[images])
            return self._head.features(self._model, values)

    def batches(self, epoch: int, batches: Sequence[Indices], /) -> Iterator[torch.Tensor]:
        features = self._cache[epoch % self._view_count]
        return (features.index_select(0, torch.from_numpy(batch).to(features.device)) for batch in batches)

    def model_input(self, stored: torch.Tensor, _epoch: int, _images: Indices, /) -> torch.Tensor:
        return stored

    def forward(self, values: torch.Tensor, /) -> torch.Tensor:
        return self._head(values).logits  # type: ignore[no-any-return]

    def eval_model(self, model: nn.Module, /) -> nn.Module:
        return HeadModel(model)


def pick_feature_views(
    config: TrainConfig, recipe: Recipe, model: nn.Module, *, train: ImageSet, val: ImageSet, notify: Notify
) -> int:
    """How many views of each training image a run caches the features of; 0: it trains on pixels.

    Features need a backbone that stays frozen and images that are not mixed. `notify` gets a sentence where the model
    or the memory prevents it. Raises OutOfMemoryError as `fits_in_memory` does.
    """
    mixed = config.mixup or config.cutmix
    frozen = config.freeze_backbone and not config.unfreeze_epoch
    if not frozen or mixed or not config.feature_views:
        return 0
    views = 1 if recipe == Recipe() else min(config.feature_views, config.epochs)
    size = feature_bytes(model, val.reader.spec)
    if size is None:
        notify("The head of this model cannot be fed by itself, so each epoch passes the backbone anew.")
        return 0
    return views if fits_in_memory(size * (views * len(train) + len(val)), views, notify) else 0
