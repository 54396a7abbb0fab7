"""The features of images under a frozen backbone, computed once and kept in memory.

Used by the inputs of a run. A backbone that does not learn gives the same features for the same pixels every time, so
it computes them once for each image and view; every epoch after that trains the head alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch

from imgcls_lab.engine import hardware
from imgcls_lab.engine.data.image_set import ImageSet, Indices
from imgcls_lab.engine.data.prefetch import prefetch
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import OutOfMemoryError

MEMORY_PART = 8  # features may take an eighth of the memory that the machine has

# pixels, uint8 (n, height, width, 3) on the device, and the indices of their images -> features (n, ...)
Encode = Callable[[torch.Tensor, Indices], torch.Tensor]


@dataclass(frozen=True)
class FeatureSet(ImageSet):
    """A set whose `pixels` are features; the evaluation gives them to the head as they are."""

    @classmethod
    def of(cls, images: ImageSet, features: torch.Tensor) -> Self:
        """features: (n, ...), of these images in their order."""
        values = {field.name: getattr(images, field.name) for field in fields(ImageSet)}
        return cls(**values | {"pixels": features, "rows": np.arange(len(features))})

    def model_input(self, stored: torch.Tensor, _spec: EvalSpec, /) -> torch.Tensor:
        return stored


@dataclass(frozen=True)
class FeatureLoading:
    """How images pass the backbone: in batches of one size, on a device, until `stop` says so."""

    batch_size: int
    num_workers: int
    device: torch.device
    stop: Callable[[], bool]


def compute_features(
    images: ImageSet, encode: Encode, loading: FeatureLoading, progress: Callable[[int, int], None]
) -> torch.Tensor | None:
    """(n, ...) of all images of a set, on the device; None if stopped.

    The images come in their own order and in batches of one size, whatever the epoch: a resumed run computes the same
    features to the bit.
    """
    size, features = loading.batch_size, torch.empty(0)
    batches = [np.arange(start, min(start + size, len(images))) for start in range(0, len(images), size)]
    pixels_of_batches = prefetch(images.batches(batches, loading.num_workers), loading.device)
    for batch, pixels in zip(batches, pixels_of_batches, strict=True):
        if loading.stop():
            return None
        found = encode(pixels, batch)
        if not len(features):
            features = found.new_empty((len(images), *found.shape[1:]))
        features[batch[0] : batch[-1] + 1] = found
        progress(int(batch[-1]) + 1, len(images))
    return features


def fits_in_memory(needed: int, views: int, notify: Callable[[str], None]) -> bool:
    """Whether so many bytes of features may be kept; `notify` gets a sentence if not.

    Views change what is learned, so the memory that other programs leave free decides nothing: where there is too
    little of it, OutOfMemoryError is raised.
    """
    most, free = hardware.memory() / MEMORY_PART, hardware.free_memory()
    if needed > most:
        notify(
            f"The features of {views} views need {needed / 1e9:.1f} GB, and they may take {most / 1e9:.1f} GB here, so "
            "each epoch passes the backbone anew. Lower feature_views to keep them."
        )
        return False
    if needed > 0.9 * free:  # without them the result would differ from that of a day with more free memory
        raise OutOfMemoryError(
            f"The features of {views} views need {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free. Close other "
            "programs, or lower feature_views; with 0 each epoch passes the backbone anew."
        )
    return True
