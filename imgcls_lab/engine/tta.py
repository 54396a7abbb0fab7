"""Test-time augmentation: several views of an image through the model, and the average of its answers.

Called by evaluation and prediction. Which views there are says TrainConfig.tta; validation during a run takes none.
Source of the views: Krizhevsky et al., 2012 (five crops and mirror images, probabilities averaged).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from imgcls_lab.config.evaluation import TTA
from imgcls_lab.engine.spec import EvalSpec

MARGIN = 8 / 7  # edge from which five crops are cut, by that of the model's input: 256 to 224


def reading_spec(spec: EvalSpec, tta: TTA) -> EvalSpec:
    """How images are read for these views: as `spec` says, or with a margin to cut crops from."""
    if tta != "five_crop":
        return spec
    return replace(spec, size=round(spec.size * MARGIN), resize_to=round(spec.resize_to * MARGIN))


def log_shares(model: nn.Module, values: torch.Tensor, size: int, tta: TTA) -> torch.Tensor:
    """Log-probabilities (n, classes), float64: of the mean of the views' probabilities.

    values: normalised (n, 3, edge, edge), as `reading_spec` says; size: edge of the model's input in pixels.
    """
    answers = [model(pixel_values=view).logits.double().log_softmax(1) for view in _views(values, size, tta)]
    return answers[0] if len(answers) == 1 else torch.stack(answers).logsumexp(0).log_softmax(1)


def _views(values: torch.Tensor, size: int, tta: TTA) -> Iterator[torch.Tensor]:
    if tta != "five_crop":
        yield values
        if tta == "hflip":
            yield values.flip(3)
        return
    last = values.shape[-1] - size
    for top, left in ((last // 2, last // 2), (0, 0), (0, last), (last, 0), (last, last)):
        crop = values[:, :, top : top + size, left : left + size]
        yield crop.contiguous(memory_format=torch.channels_last)
