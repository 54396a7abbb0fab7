"""One pass over a split in evaluation mode, in float32: what the exported model gives elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.config.evaluation import TTA
from imgcls_lab.engine.data.image_set import ImageSet, Indices, class_counts
from imgcls_lab.engine.data.prefetch import prefetch
from imgcls_lab.engine.evaluation.metrics import LARGEST_AUROC, MetricAccumulator, has_auroc
from imgcls_lab.engine.evaluation.tta import log_probs
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ConfigError, Problem


def check_monitor(config: TrainConfig, labels: Indices, classes: int) -> None:
    """Raises ConfigError if these validation images cannot give the metric that decides which checkpoint is best."""
    if config.monitor_metric == "auroc" and not has_auroc(class_counts(labels, classes)):
        text = (
            f"AUROC needs validation images of two classes, and at most {LARGEST_AUROC:,} classes. Set monitor_metric "
            "to another metric, such as macro_f1."
        )
        raise ConfigError(text, [Problem("monitor_metric", text)])
    if config.monitor_metric == "top_k" and config.top_k >= classes:
        text = f"The true class is always among the {config.top_k} likeliest of {classes} classes. Lower top_k."
        raise ConfigError(text, [Problem("top_k", text)])


@dataclass(frozen=True)
class EvalOptions:
    """How a model is evaluated. device: the model's; num_workers: loader processes; tta: views of each image."""

    batch_size: int
    device: torch.device
    num_workers: int = 0
    tta: TTA = "none"


@torch.no_grad()
def evaluate_set(
    model: nn.Module,
    images: ImageSet,
    metrics: MetricAccumulator,
    options: EvalOptions,
    *,
    spec: EvalSpec | None = None,
    indices: Indices | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Add each image of a set to `metrics`, once. False if stopped. The model is left in evaluation mode.

    spec: the model's, where views are taken for which the set reads larger images (see `tta.tta_input_spec`); indices:
    the images that this process evaluates, by default all, for several processes that merge their metrics.
    """
    model.eval()
    spec = spec or images.reader.spec
    order = np.arange(len(images)) if indices is None else indices
    first = metrics.images
    batches = [order[i : i + options.batch_size] for i in range(0, len(order), options.batch_size)]
    labels = torch.from_numpy(images.labels).to(options.device)
    stored = prefetch(images.batches(batches, options.num_workers), options.device)
    for batch, pixels in zip(batches, stored, strict=True):
        if stop and stop():
            return False
        values = images.model_input(pixels, spec)
        own_labels = labels[torch.from_numpy(batch).to(options.device)]
        metrics.add(log_probs(model, values, spec.shape, options.tta), own_labels, first + batch)
        if progress:
            progress(metrics.images - first, len(order))
    return True
