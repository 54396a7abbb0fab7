"""The losses by name, and the targets they are measured against.

A plugin adds one by `LOSSES.register`: a function of logits, `Target` and `Terms` that gives the mean over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import timm.loss
import torch
from torch.nn import functional

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.registry import Registry
from imgcls_lab.errors import ConfigError, Problem

_timm: Any = timm.loss


@dataclass(frozen=True)
class MixPartners:
    """What each image was mixed with. labels: int64 (n,); weights: float32 (n,), of the image itself (lambda)."""

    labels: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True)
class Target:
    """Class indices, int64 (n,), and where images were mixed their partners'."""

    labels: torch.Tensor
    partners: MixPartners | None = None

    def soft(self, classes: int, smoothing: float = 0.0) -> torch.Tensor:
        """float32 (n, classes), rows sum to 1: the probability of each class, smoothed."""
        soft = functional.one_hot(self.labels, classes).float()
        if self.partners is not None:
            theirs = functional.one_hot(self.partners.labels, classes).float()
            soft = torch.lerp(theirs, soft, self.partners.weights[:, None])
        return soft * (1 - smoothing) + smoothing / classes

    @property
    def hard(self) -> torch.Tensor:
        """The class indices. Raises ConfigError where images are mixed: a loss that needs them cannot take that."""
        if self.partners is not None:
            raise _cannot("mixed images", "mixup", "Set mixup and cutmix to 0")
        return self.labels


@dataclass(frozen=True)
class Terms:
    """What a loss may need besides logits and target."""

    config: TrainConfig
    class_weights: torch.Tensor | None = None  # float32 (classes,)

    @property
    def smoothing(self) -> float:
        return self.config.label_smoothing

    def refuse_class_weights(self) -> None:
        """For losses that cannot use them. Raises ConfigError if there are any."""
        if self.class_weights is not None:
            raise _cannot("class weights", "balance", "Set balance to sampler or none")


Loss = Callable[[torch.Tensor, Target, Terms], torch.Tensor]
BatchLoss = Callable[[torch.Tensor, Target], torch.Tensor]  # logits (n, classes), target -> their mean in float32
LOSSES: Registry[Loss] = Registry("loss")


@LOSSES.register("cross_entropy")
def cross_entropy(logits: torch.Tensor, target: Target, terms: Terms) -> torch.Tensor:
    """For mixed images the mean over both labels, weighted by the mix and by the classes."""
    weights = terms.class_weights

    def of(labels: torch.Tensor, reduction: str) -> torch.Tensor:
        return functional.cross_entropy(logits, labels, weights, label_smoothing=terms.smoothing, reduction=reduction)

    if target.partners is None:
        return of(target.labels, "mean")
    own, theirs, mix = target.labels, target.partners.labels, target.partners.weights
    values = torch.lerp(of(theirs, "none"), of(own, "none"), mix)
    return values.mean() if weights is None else values.sum() / torch.lerp(weights[theirs], weights[own], mix).sum()


@LOSSES.register("focal")
def focal(logits: torch.Tensor, target: Target, terms: Terms) -> torch.Tensor:
    """Focal loss (Lin et al. 2017) over a softmax: each class's term times (1 - p) ** gamma."""
    logs = logits.log_softmax(1)
    soft = target.soft(logits.shape[1], terms.smoothing)
    if terms.class_weights is not None:
        soft = soft * terms.class_weights
    return -(soft * (1 - logs.exp()) ** terms.config.focal_gamma * logs).sum(1).mean()


@LOSSES.register("bce")
def bce(logits: torch.Tensor, target: Target, terms: Terms) -> torch.Tensor:
    """Binary cross entropy of each class by itself (Wightman et al. 2021), mean over images and classes."""
    soft = target.soft(logits.shape[1], terms.smoothing)
    value: torch.Tensor = _timm.BinaryCrossEntropy(smoothing=0.0, weight=terms.class_weights)(logits, soft)
    return value


@LOSSES.register("asl")
def asl(logits: torch.Tensor, target: Target, terms: Terms) -> torch.Tensor:
    """Asymmetric loss (Ridnik et al. 2021), its form for one label an image."""
    terms.refuse_class_weights()
    value: torch.Tensor = _timm.AsymmetricLossSingleLabel(eps=terms.smoothing)(logits, target.hard)
    return value


def make_loss(config: TrainConfig, classes: int, class_weights: torch.Tensor | None = None) -> BatchLoss:
    """The config's loss: logits (n, classes) of any float type and a target -> their mean in float32.

    It is tried on two made-up images first. Raises ConfigError for an unknown name, for what it cannot be used with,
    and for a plugin's that gives no number to learn from.
    """
    loss, terms = LOSSES.get(config.loss), Terms(config, class_weights)
    device = None if class_weights is None else class_weights.device
    logits = torch.linspace(-1, 1, 2 * classes, device=device).reshape(2, classes).requires_grad_()
    labels = torch.tensor([0, classes - 1], device=device)
    partners = MixPartners(labels.flip(0), torch.full((2,), 0.5, device=device))
    tried = Target(labels, partners) if config.mixup or config.cutmix else Target(labels)
    try:
        value = loss(logits, tried, terms)
    except ConfigError as error:
        text = f"The loss “{config.loss}” {error}"
        raise ConfigError(text, [Problem(problem.field, text) for problem in error.problems]) from None
    except Exception as error:
        text = f"The loss “{config.loss}” fails on a batch of two images ({type(error).__name__}: {error})."
        raise ConfigError(text, [Problem("loss", text)]) from error
    if not isinstance(value, torch.Tensor) or value.ndim != 0 or not value.requires_grad:
        text = f"The loss “{config.loss}” must give one number that depends on the logits; it gives {_shape(value)}."
        raise ConfigError(text, [Problem("loss", text)])
    return lambda logits, target: loss(logits.float(), target, terms)


def _cannot(what: str, field: str, remedy: str) -> ConfigError:
    return ConfigError(f"does not take {what}. {remedy}, or take another loss.", [Problem(field, remedy)])


def _shape(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return f"a {type(value).__name__}"
    return f"a tensor of shape {tuple(value.shape)}" if value.ndim else "a number without a gradient"


def class_weights(counts: npt.NDArray[np.int64]) -> torch.Tensor:
    """Weights that give every class the same influence: images / (classes * images of the class), float32."""
    return torch.from_numpy(counts.sum() / (len(counts) * np.maximum(counts, 1))).float()
