"""Test-time augmentation: several views of an image through the model, and the average of its probabilities.

Called by evaluation and prediction. `TrainConfig.tta` chooses the views; validation during a run takes none.
Source of the views: Krizhevsky et al., 2012 (five crops and mirror images, probabilities averaged).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import nn

from imgcls_lab.config.evaluation import TTA
from imgcls_lab.engine.transforms.geometry import Shape
from imgcls_lab.engine.transforms.preprocessing import EvalSpec

MARGIN = Fraction(8, 7)  # edge from which five crops are cut, by that of the model's input: 256 to 224


def tta_input_spec(spec: EvalSpec, tta: TTA) -> EvalSpec:
    """How images are prepared for these views: as `spec` says, or with a margin to cut crops from."""
    if tta != "five_crop":
        return spec
    return spec.scaled(MARGIN)


def log_probs(model: nn.Module, values: torch.Tensor, shape: Shape, tta: TTA) -> torch.Tensor:
    """Log-probabilities (n, classes), float64: of the mean of the views' probabilities.

    values: normalised (n, 3, height, width), as `tta_input_spec` says; shape: of the model's input.
    """
    views = [model(pixel_values=view).logits.double().log_softmax(1) for view in _views(values, shape, tta)]
    return views[0] if len(views) == 1 else torch.stack(views).logsumexp(0).log_softmax(1)


def _views(values: torch.Tensor, shape: Shape, tta: TTA) -> Iterator[torch.Tensor]:
    if tta != "five_crop":
        yield values
        if tta == "hflip":
            yield values.flip(3)
        return
    low, right = values.shape[-2] - shape[0], values.shape[-1] - shape[1]
    for top, left in ((low // 2, right // 2), (0, 0), (0, right), (low, 0), (low, right)):
        crop = values[:, :, top : top + shape[0], left : left + shape[1]]
        yield crop.contiguous(memory_format=torch.channels_last)
