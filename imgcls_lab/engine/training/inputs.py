"""What a step is fed: pixels through the whole model or, under a frozen backbone, its features through the head.

Made by `prepare`, asked by the loop. A backbone that does not learn says the same of the same pixels every time, so it
is asked once for each image and view; every epoch after that trains the head alone, a few hundred times as fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from transformers.modeling_outputs import ImageClassifierOutput

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import hardware
from imgcls_lab.engine.data.gpu_decode import Decode, decoded_on, nvjpeg
from imgcls_lab.engine.data.image_set import ImageSet, Indices
from imgcls_lab.engine.data.prefetch import sent_ahead
from imgcls_lab.engine.model.freezing import head_of
from imgcls_lab.engine.training.state import Training
from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.engine.transforms.augment_recipes import Recipe
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import OutOfMemoryError

SHARE = 8  # features may take an eighth of the memory that the machine has


class Feed(Protocol):
    """val: the validation images as `model` takes them."""

    @property
    def val(self) -> ImageSet: ...

    def begin(self, epoch: int, /) -> bool:
        """Make ready for an epoch, from 0. False if stopped."""

    def batches(self, batches: Sequence[Indices]) -> Iterator[torch.Tensor]:
        """What is kept of the images of each batch of indices in turn."""

    def values(self, kept: torch.Tensor, epoch: int, images: Indices, /) -> torch.Tensor:
        """The input of `net` made of what is kept of these images; on the device."""

    def net(self, values: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes), in training."""

    def model(self, exported: nn.Module) -> nn.Module:
        """What evaluates `val` with the weights of the exported model."""


class PixelFeed:
    """Pixels, augmented anew in each epoch, through the whole model. decode: of files, on the device, not cached."""

    def __init__(self, run: Training, decode: Decode | None = None) -> None:
        self._run = run
        self._decode = decode

    @property
    def val(self) -> ImageSet:
        return self._run.val

    def begin(self, _epoch: int, /) -> bool:
        return True

    def batches(self, batches: Sequence[Indices]) -> Iterator[torch.Tensor]:
        run = self._run
        if self._decode is not None:
            return decoded_on(run.device, run.train, batches, self._decode)
        return sent_ahead(run.train.batches(batches, run.workers), run.device)

    def values(self, kept: torch.Tensor, epoch: int, images: Indices) -> torch.Tensor:
        return self._run.augment(kept, epoch, images, self._run.train.aspects[images])

    def net(self, values: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._run.net(pixel_values=values).logits
        return logits

    def model(self, exported: nn.Module) -> nn.Module:
        return exported


class FeatureFeed:
    """Features through the head. Epoch e sees view e modulo `views`; a view is computed when it is first seen.

    Images pass the backbone in their own order and in batches of one size, whatever the epoch, so that a resumed run
    computes the same features to the bit.
    """

    def __init__(self, run: Training, views: int) -> None:
        self._run = run
        self._head = HeadOnly(run.model)
        self._views: list[torch.Tensor | None] = [None] * views
        self._view = 0
        self._val: FeatureSet | None = None

    @property
    def val(self) -> ImageSet:
        assert self._val is not None  # noqa: S101 - `begin` comes first
        return self._val

    def begin(self, epoch: int) -> bool:
        run, self._view = self._run, epoch % len(self._views)
        if self._val is None:
            found = self._features(run.val, None, "validation images")
            if found is None:
                return False
            known = {field.name: getattr(run.val, field.name) for field in fields(ImageSet)}
            self._val = FeatureSet(**known | {"pixels": found, "rows": np.arange(len(found))})
        if self._views[self._view] is None:
            what = f"view {self._view + 1} of {len(self._views)}" if len(self._views) > 1 else "training images"
            self._views[self._view] = self._features(run.train, self._view, what)
        return self._views[self._view] is not None

    @torch.no_grad()
    def _features(self, images: ImageSet, view: int | None, what: str) -> torch.Tensor | None:
        """(n, ...) of all images of a set, as a view, or without one as the evaluation sees them; None if stopped."""
        run, kept = self._run, torch.empty(0)
        run.model.eval()
        size = run.config.eval_batch_size or 2 * run.config.batch_size
        batches = [np.arange(start, min(start + size, len(images))) for start in range(0, len(images), size)]
        there = sent_ahead(images.batches(batches, run.workers), run.device)
        for batch, pixels in zip(batches, there, strict=True):
            if run.stop.is_set():
                return None
            if view is None:
                found = self._head.input_in(run.model, normalise(pixels, images.reader.spec))
            else:
                with run.autocast():
                    values = run.augment(pixels, view, batch, images.aspects[batch])
                    found = self._head.input_in(run.model, values)
            if not len(kept):
                kept = found.new_empty((len(images), *found.shape[1:]))
            kept[batch[0] : batch[-1] + 1] = found
            run.recorder.phase(f"computing features of {what}", int(batch[-1]) + 1, len(images))
        return kept

    def batches(self, batches: Sequence[Indices]) -> Iterator[torch.Tensor]:
        features = self._views[self._view]
        assert features is not None  # noqa: S101 - as `begin` left it
        return (features.index_select(0, torch.from_numpy(batch).to(features.device)) for batch in batches)

    def values(self, kept: torch.Tensor, _epoch: int, _images: Indices, /) -> torch.Tensor:
        return kept

    def net(self, values: torch.Tensor) -> torch.Tensor:
        return self._head(values).logits  # type: ignore[no-any-return]

    def model(self, exported: nn.Module) -> nn.Module:
        return HeadOnly(exported)


class FeatureSet(ImageSet):
    """A set whose `pixels` are features; the evaluation gives them to the head as they are."""

    def values(self, kept: torch.Tensor, _spec: EvalSpec, /) -> torch.Tensor:
        return kept


class HeadOnly(nn.Module):
    """The end of a model, made of the model's own modules. Raises ValueError if its head is not one module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        heads = head_of(model)
        if len(heads) != 1:
            raise ValueError("The head of this model is not one module.")
        self.head = heads[0]
        self.dropouts = nn.ModuleList(child for child in model.children() if isinstance(child, nn.Dropout))

    def forward(self, pixel_values: torch.Tensor) -> ImageClassifierOutput:
        """pixel_values: features, under the name that the whole model has for its input."""
        for dropout in self.dropouts:
            pixel_values = dropout(pixel_values)
        return ImageClassifierOutput(logits=self.head(pixel_values))

    def input_in(self, model: nn.Module, values: torch.Tensor) -> torch.Tensor:
        """What the head is given inside of the model, which is in evaluation mode, for images (n, 3, height, width)."""
        given: list[torch.Tensor] = []
        handle = self.head.register_forward_pre_hook(lambda _head, inputs: given.extend(inputs))
        try:
            model(pixel_values=values)
        finally:
            handle.remove()
        if len(given) != 1:
            raise ValueError("The head of this model is given more than features.")
        return given[0].detach()


def feed_of(run: Training, views: int) -> Feed:
    """The feed of a prepared run. views: as `views_for` found."""
    if views:
        return FeatureFeed(run, views)
    return PixelFeed(run, nvjpeg(run.device) if run.config.decoder == "gpu" else None)


def views_for(config: TrainConfig, recipe: Recipe, model: nn.Module, sets: tuple[ImageSet, ImageSet], tell: Any) -> int:
    """How many views of each training image a run keeps the features of; 0: none, pixels are fed.

    sets: train and val. Features need a backbone that stays frozen, images that are not mixed, and one process. Views
    change what is learned, so that what other programs leave free decides nothing: raises OutOfMemoryError instead.
    """
    mixed = config.mixup or config.cutmix
    frozen = config.freeze_backbone and not config.unfreeze_epoch
    if not frozen or mixed or config.num_processes > 1 or not config.feature_views:
        return 0
    views = 1 if recipe == Recipe() else min(config.feature_views, config.epochs)
    size = _size_of_features(model, sets[1].reader.spec)
    if size is None:
        tell("The head of this model cannot be fed by itself, so each epoch passes the backbone anew.")
        return 0
    needed, most, free = size * (views * len(sets[0]) + len(sets[1])), hardware.memory() / SHARE, hardware.free_memory()
    if needed > most:
        tell(
            f"The features of {views} views need {needed / 1e9:.1f} GB, and they may take {most / 1e9:.1f} GB here, so "
            "each epoch passes the backbone anew. Lower feature_views to keep them."
        )
        return 0
    if needed > 0.9 * free:  # to go on without them would be another result than on a day with more room
        raise OutOfMemoryError(
            f"The features of {views} views need {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free. Close other "
            "programs, or lower feature_views; with 0 each epoch passes the backbone anew."
        )
    return views


@torch.no_grad()
def _size_of_features(model: nn.Module, spec: EvalSpec) -> int | None:
    """Bytes of an image's features in float32; None where the head alone does not give the model's logits."""
    device = next(model.parameters()).device
    values = torch.rand(2, 3, *spec.shape, generator=torch.Generator().manual_seed(0)).to(device)
    training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        head = HeadOnly(model)
        features = head.input_in(model, values)
        same = torch.allclose(head.eval()(features).logits, model(pixel_values=values).logits, atol=1e-5)
    except ValueError:
        return None
    finally:
        for module, was in training:
            module.training = was
    return 4 * features[0].numel() if same and len(features) == len(values) else None
