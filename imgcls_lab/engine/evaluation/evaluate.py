"""One pass over a split in evaluation mode, in float32: what the exported model gives elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.config.evaluation import TTA
from imgcls_lab.engine.data.image_set import ImageSet, Indices, class_counts
from imgcls_lab.engine.data.prefetch import sent_ahead
from imgcls_lab.engine.evaluation.metrics import LARGEST_AUROC, STORED, Counts, has_auroc
from imgcls_lab.engine.evaluation.tta import log_shares
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ConfigError, Problem


def check_monitor(config: TrainConfig, labels: Indices, classes: int) -> None:
    """Raises ConfigError if these validation images cannot give the figure that decides which checkpoint is best."""
    if config.monitor_metric == "auroc" and not has_auroc(class_counts(labels, classes)):
        text = (
            f"AUROC needs validation images of two classes, and at most {LARGEST_AUROC:,} classes. Set monitor_metric "
            "to another figure, such as macro_f1."
        )
        raise ConfigError(text, [Problem("monitor_metric", text)])
    if config.monitor_metric == "top_k" and config.top_k >= classes:
        text = f"Of {classes} classes the true one is always among the {config.top_k} likeliest. Lower top_k."
        raise ConfigError(text, [Problem("top_k", text)])


@torch.no_grad()
def evaluate_set(
    model: nn.Module,
    images: ImageSet,
    classes: int,
    *,
    batch_size: int,
    workers: int,
    device: torch.device,
    spec: EvalSpec | None = None,
    top_k: int = STORED,
    tta: TTA = "none",
    part: Indices | None = None,
    into: Counts | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Counts | None:
    """Counts over the images of a set, each once; None if stopped. The model is left in evaluation mode.

    spec: the model's, where views are taken for which the set reads larger images (see `tta.reading_spec`); part: the
    images that this process looks at, by default all, for several processes that merge their counts; into: counts
    of other images, to which these are added.
    """
    model.eval()
    spec = spec or images.reader.spec
    order = np.arange(len(images)) if part is None else part
    counts = into or Counts(classes, len(order), top_k)
    first = counts.images
    batches = [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    labels = torch.from_numpy(images.labels).to(device)
    for batch, pixels in zip(batches, sent_ahead(images.batches(batches, workers), device), strict=True):
        if stop and stop():
            return None
        values = images.values(pixels, spec)
        truth = labels[torch.from_numpy(batch).to(device)]
        counts.add(log_shares(model, values, spec.shape, tta), truth, first + batch)
        if progress:
            progress(counts.images - first, len(order))
    return counts
