"""Channels last is not slower in the nets for which `channels_last="auto"` takes it: real sizes, on one core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForImageClassification,
    ConvNextConfig,
    MobileNetV2Config,
    ResNetConfig,
    SwinConfig,
    TimmWrapperConfig,
    ViTConfig,
)

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model.memory_format import pick_memory_format

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

AUTO = TrainConfig(root="data")
ROUNDS = 4
BASIC = {"layer_type": "basic"}
NETS: dict[str, tuple[Any, int, int]] = {  # config, image size, batch
    "resnet18": (ResNetConfig(hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], **BASIC), 224, 8),
    "small resnet": (
        ResNetConfig(embedding_size=16, hidden_sizes=[16, 32, 64, 128], depths=[1, 1, 1, 1], **BASIC),
        28,
        128,
    ),
    "mobilenet v2": (MobileNetV2Config(), 224, 8),
    "efficientnet lite0": (TimmWrapperConfig(architecture="tf_efficientnet_lite0"), 224, 8),
    "convnext": (ConvNextConfig(depths=[1, 1, 3, 1]), 224, 4),
    "vit": (ViTConfig(hidden_size=384, num_attention_heads=6, intermediate_size=1536, num_hidden_layers=4), 224, 8),
    "swin": (SwinConfig(depths=[1, 1, 2, 1]), 224, 4),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seconds(model: nn.Module, images: torch.Tensor, layout: torch.memory_format) -> float:
    """CPU time of a step; the images come channels last, as augmentation makes them."""
    began = time.process_time()
    model(pixel_values=images.contiguous(memory_format=layout)).logits.square().mean().backward()
    model.zero_grad(set_to_none=True)
    return time.process_time() - began


@pytest.mark.parametrize("name", NETS)
def test_channels_last_pays_where_auto_takes_it(name: str) -> None:
    config, size, batch = NETS[name]
    models = {
        layout: AutoModelForImageClassification.from_config(config).train().to(memory_format=layout)
        for layout in (torch.channels_last, torch.contiguous_format)
    }
    images = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    best = dict.fromkeys(models, float("inf"))
    for number in range(ROUNDS):
        for layout, model in models.items():  # by turns, so that what else the machine does hits both
            took = seconds(model, images, layout)
            best[layout] = min(best[layout], took) if number else best[layout]
    gain = best[torch.contiguous_format] / best[torch.channels_last]
    taken = pick_memory_format(AUTO, models[torch.channels_last]) is torch.channels_last
    print(f"\n{name}: auto says {'on' if taken else 'off'}; channels last is x{gain:.2f} as fast", end=" ")
    print("(target: 0.9 or more where on, 1.1 or less where off)")
    assert gain > 0.9 if taken else gain < 1.1
