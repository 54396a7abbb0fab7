"""The memory layout of a run's images and weights: channels last where that is faster, else channel by channel.

Called by the run's preparation, on the first attempt alone, and by what measures a model before training. The choice
depends on the model's layers and not on measured time: two runs of one config have to round alike.
"""

from __future__ import annotations

import torch
from torch import nn

from imgcls_lab.config import TrainConfig

_VECTOR = 16  # floats of a register of AVX-512


def pick_memory_format(config: TrainConfig, model: nn.Module) -> torch.memory_format:
    """The layout to train in. auto: channels last if the model is a convolutional net."""
    if config.channels_last == "auto":
        return natural_format(model)
    return format_of(config.channels_last == "on")


def natural_format(model: nn.Module) -> torch.memory_format:
    """Channels last for a convolutional net, which is faster, unless a layer of it is unsafe then."""
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    return format_of(any(map(_overlaps, layers)) and not any(map(_is_unsafe, layers)))


def format_of(channels_last: bool) -> torch.memory_format:
    return torch.channels_last if channels_last else torch.contiguous_format


def _overlaps(convolution: nn.Conv2d) -> bool:
    """Whether its windows do. Where a transformer cuts patches they do not: that is a linear layer."""
    return any(size > step for size, step in zip(convolution.kernel_size, convolution.stride, strict=True))


def _is_unsafe(convolution: nn.Conv2d) -> bool:
    """Whether its backward pass may write beyond its memory with channels last, on a CPU with torch 2.14.

    So does a strided 1 x 1 convolution of fewer than 16 channels, as in the shortcuts of a very small ResNet: the heap
    is corrupted, and the training ends in a segmentation fault. 16 channels fill one vector register.
    """
    return convolution.in_channels < _VECTOR and set(convolution.kernel_size) == {1} and max(convolution.stride) > 1
