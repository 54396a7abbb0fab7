"""Grad-CAM (Selvaraju et al. 2017): where in an image the evidence for a class lies. Called by the inference process.

The map comes from the last feature map of a convolutional network, or from the tokens that the last block of a
transformer normalises before its attention: behind that block a class token has taken all gradients. Nothing of the
model is changed.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from imgcls_lab.errors import ModelError

_BEFORE_ATTENTION = ("layernorm_before", "norm1", "layer_norm1")  # of a block, in transformers and timm
_PATCHES = (4, 8, 14, 16, 32, 64)  # px that a token may stand for, after the model's own
_PREFIX = 8  # tokens in front of those of the patches, at most: class, distillation, registers

Heat = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _FeatureMap:
    """values: (1, channels, height, width), a view of an output that takes part in the gradient; output: that one."""

    output: torch.Tensor
    values: torch.Tensor


def grad_cam(model: nn.Module, pixels: torch.Tensor, label: int) -> tuple[Heat, torch.Tensor]:
    """The map, float32 (height, width) of the feature map, 0..1, and the logits (classes,).

    model: in evaluation mode; pixels: normalised, (1, 3, height, width); label: number of the class. Raises ModelError
    for a model without a feature map that can be laid over the image.
    """
    with torch.enable_grad(), ExitStack() as hooks:
        outputs: list[tuple[str, nn.Module, torch.Tensor]] = []

        def note(name: str) -> Any:
            def hook(module: nn.Module, _inputs: object, output: object) -> None:
                tensor = output[0] if isinstance(output, tuple) and output else output
                tensor = getattr(tensor, "last_hidden_state", tensor)
                if isinstance(tensor, torch.Tensor) and tensor.requires_grad and len(tensor) == 1:
                    outputs.append((name, module, tensor))

            return hook

        for name, module in model.named_modules():
            hooks.callback(module.register_forward_hook(note(name)).remove)
        # channel by channel: with channels last the backward pass of some layers corrupts memory (`memory_format.py`)
        own = pixels.clone(memory_format=torch.contiguous_format)
        logits = model(pixel_values=own.requires_grad_()).logits
        chosen = _feature_map(model, outputs, (pixels.shape[2], pixels.shape[3]))
        (gradient,) = torch.autograd.grad(logits[0, label], chosen.output)
    gradient = _like(gradient, chosen)
    weights = gradient.mean((2, 3), keepdim=True)
    heat = functional.relu((weights * chosen.values.detach()).sum(1))[0]
    heat = heat / heat.max().clamp_min(torch.finfo(heat.dtype).tiny)
    return heat.float().numpy(), logits.detach()[0]


def _feature_map(
    model: nn.Module, outputs: list[tuple[str, nn.Module, torch.Tensor]], shape: tuple[int, int]
) -> _FeatureMap:
    for name, module, output in reversed(outputs):
        if name.rpartition(".")[2] in _BEFORE_ATTENTION and (found := _normalised(model, module, output, shape)):
            return found
    maps = [output for _name, _module, output in outputs if output.dim() == 4 and min(output.shape[2:]) > 1]
    if maps and not any(output.dim() == 3 and output.shape[1] > 1 for _name, _module, output in outputs):
        return _FeatureMap(maps[-1], maps[-1])
    raise ModelError(
        f"A {type(model).__name__} has no feature map that Grad-CAM knows how to lay over the image. It can be used on "
        "convolutional networks, and on transformers such as ViT, DeiT, Swin and DINOv2.",
        reason="no_feature_map",
    )


def _normalised(
    model: nn.Module, module: nn.Module, output: torch.Tensor, shape: tuple[int, int]
) -> _FeatureMap | None:
    """The output of the norm in front of an attention as a map; None where it cannot be one."""
    weight = getattr(module, "weight", None)
    channels = len(weight) if isinstance(weight, torch.Tensor) else 0
    if output.dim() == 4 and output.shape[3] == channels:
        return _FeatureMap(output, output.permute(0, 3, 1, 2))
    if output.dim() == 4 and output.shape[1] == channels:
        return _FeatureMap(output, output)
    if output.dim() != 3 or (grid := _grid(model, output.shape[1], shape)) is None:
        return None
    return _FeatureMap(output, _as_map(output, grid))


def _grid(model: nn.Module, tokens: int, shape: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of the tokens of the patches, of which there are `tokens` with those in front of them."""
    own = getattr(model.config, "patch_size", None)
    sizes = [own] if isinstance(own, int) and own > 0 else []
    grids = [(shape[0] // size, shape[1] // size) for size in (*sizes, *_PATCHES)]
    fitting = [grid for grid in grids if 1 < grid[0] * grid[1] <= tokens <= grid[0] * grid[1] + _PREFIX]
    return max(fitting, key=lambda grid: grid[0] * grid[1], default=None)


def _as_map(tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    patches = tokens[:, tokens.shape[1] - grid[0] * grid[1] :]
    return patches.transpose(1, 2).reshape(1, -1, *grid)


def _like(gradient: torch.Tensor, chosen: _FeatureMap) -> torch.Tensor:
    """A gradient of the output in the form of the map."""
    height, width = chosen.values.shape[2:]
    if gradient.dim() == 3:
        return _as_map(gradient, (height, width))
    return gradient if gradient.shape == chosen.values.shape else gradient.permute(0, 3, 1, 2)
