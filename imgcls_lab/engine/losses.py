"""The loss, and the mixing of images that it has to know of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from imgcls_lab.config import TrainConfig


@dataclass(frozen=True)
class Target:
    """Class indices (n,), and where images were mixed the partners' and the share of the first."""

    labels: torch.Tensor
    partners: torch.Tensor | None = None
    share: float = 1.0


def mix(images: torch.Tensor, labels: torch.Tensor, config: TrainConfig, random: np.random.Generator) -> Target:
    """MixUp (Zhang et al. 2018) or CutMix (Yun et al. 2019) in place; with both on, one of them by a coin's toss.

    images: float (n, 3, height, width); labels: int64 (n,).
    """
    if config.cutmix and (not config.mixup or random.random() < 0.5):
        return _cut(images, labels, random, float(random.beta(config.cutmix, config.cutmix)))
    share = float(random.beta(config.mixup, config.mixup))
    order = _order(len(labels), random, labels.device)
    images.copy_(torch.lerp(images[order], images, share))
    return Target(labels, labels[order], share)


def _cut(images: torch.Tensor, labels: torch.Tensor, random: np.random.Generator, share: float) -> Target:
    height, width = images.shape[-2:]
    edge = (1 - share) ** 0.5
    y, x = random.integers(height), random.integers(width)
    top, bottom = max(0, int(y - edge * height / 2)), min(height, int(y + edge * height / 2))
    left, right = max(0, int(x - edge * width / 2)), min(width, int(x + edge * width / 2))
    order = _order(len(labels), random, labels.device)
    images[:, :, top:bottom, left:right] = images[order, :, top:bottom, left:right]
    return Target(labels, labels[order], 1 - (bottom - top) * (right - left) / (height * width))


def _order(count: int, random: np.random.Generator, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(random.permutation(count)).to(device)


def class_weights(counts: npt.NDArray[np.int64]) -> torch.Tensor:
    """Weights that give every class the same say: images / (classes * images of the class), float32."""
    return torch.from_numpy(counts.sum() / (len(counts) * np.maximum(counts, 1))).float()


def loss_of(logits: torch.Tensor, target: Target, weights: torch.Tensor | None, smoothing: float) -> torch.Tensor:
    """Cross entropy in float32, mean over the batch. logits: (n, classes)."""
    logits = logits.float()
    first = cross_entropy(logits, target.labels, weights, label_smoothing=smoothing)
    if target.partners is None:
        return first
    second = cross_entropy(logits, target.partners, weights, label_smoothing=smoothing)
    return target.share * first + (1 - target.share) * second
