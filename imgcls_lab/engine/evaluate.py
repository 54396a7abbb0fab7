"""One pass over a split in evaluation mode, in float32: what the exported model gives elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from imgcls_lab.engine.augment import normalise
from imgcls_lab.engine.data import ImageSet
from imgcls_lab.engine.metrics import Counts


@torch.no_grad()
def evaluate_set(
    model: nn.Module,
    images: ImageSet,
    classes: int,
    *,
    batch_size: int,
    workers: int,
    device: torch.device,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Counts | None:
    """Counts over all images of a set, each once; None if stopped. The model is left in evaluation mode."""
    model.eval()
    counts = Counts(classes)
    order = np.arange(len(images))
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    labels = torch.from_numpy(images.labels).to(device)
    for batch, pixels in zip(batches, images.batches(batches, workers), strict=True):
        if stop and stop():
            return None
        values = normalise(pixels.to(device), images.reader.spec)
        counts.add(model(pixel_values=values).logits, labels[batch[0] : batch[-1] + 1])
        if progress:
            progress(counts.images, len(images))
    return counts
