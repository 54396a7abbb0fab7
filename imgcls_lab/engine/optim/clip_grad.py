"""The gradient between backward pass and optimizer step: its norm, and the limits that a config sets.

Called by the loop and by the finders' trial. Written for a small model on a CPU, where each pass over the gradient is
a hundredth of the step: a fused optimizer scales while it reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm.utils
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model.structure import head_of

_utils: Any = timm.utils


def gradient_norm(optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """2-norm of the whole gradient, on its device."""
    gradients = [parameter.grad for parameter in _learning(optimizer) if parameter.grad is not None]
    # what nn.utils.get_total_norm does, less its sorting by device and type: a run's are all of one
    norm: torch.Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


@contextmanager
def clipped(
    model: nn.Module, optimizer: torch.optim.Optimizer, norm: torch.Tensor, config: TrainConfig
) -> Iterator[None]:
    """Let the optimizer see the gradient within the config's limit. The gradient itself may be left as it is.

    norm: of the whole gradient. agc leaves the head alone (Brock et al. 2021).
    """
    limit = config.clip_grad_norm
    if limit and config.clip_mode == "norm":
        if norm.device.type != "cpu" or not norm <= limit:  # a GPU would be waited for
            if getattr(optimizer, "_step_supports_amp_scaling", False):  # torch's own sign of a fused step
                optimizer.grad_scale = (norm / limit).clamp(min=1)  # type: ignore[attr-defined]
            else:
                nn.utils.clip_grads_with_norm_(_learning(optimizer), limit, norm)
    elif limit:
        heads = {id(parameter) for head in head_of(model) for parameter in head.parameters()}
        spare = heads if config.clip_mode == "agc" else set()
        chosen = [parameter for parameter in _learning(optimizer) if id(parameter) not in spare]
        _utils.dispatch_clip_grad(chosen, limit, mode=config.clip_mode)
    try:
        yield
    finally:
        vars(optimizer).pop("grad_scale", None)  # a loss scaler that is in use has taken it away already


def _learning(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """The parameters that have a gradient. Asked of the optimizer: a walk through a model's modules takes longer."""
    return [
        parameter for group in optimizer.param_groups for parameter in group["params"] if parameter.grad is not None
    ]
