"""A step of ResNet-18 in float32 on small images, with the engine's convolutions on small maps, against torch's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from transformers import ResNetConfig, ResNetForImageClassification

from benchmarks.frame import Line, reported
from benchmarks.timing import best, in_turn, seconds
from imgcls_lab.engine.model import small_conv_grad

BATCH = 64
RESNET_18 = ResNetConfig(embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic")


def measure(folder: Path, quick: bool) -> list[Line]:
    del folder
    lines = []
    for size in (32, 64, 96):
        torch.manual_seed(0)
        plain = ResNetForImageClassification(RESNET_18).train().to(memory_format=torch.channels_last)
        ours = copy.deepcopy(plain)
        small_conv_grad.replace_convolutions(ours)
        images = torch.randn(BATCH, 3, size, size).contiguous(memory_format=torch.channels_last)
        labels = torch.arange(BATCH) % plain.num_labels
        found = in_turn(
            {"ours": _step(ours, images, labels), "plain": _step(plain, images, labels)}, 3 if quick else 12
        )
        one, other = best(found["ours"]), best(found["plain"])
        lines += [
            reported(f"ResNet-18, {size} px, {BATCH} images, torch's step / ours", other / one, "times"),
            reported(f"ResNet-18, {size} px, a step", one * 1000, "ms"),
        ]
    return lines


def _step(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Callable[[], float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        nn.functional.cross_entropy(model(pixel_values=images).logits, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    step()
    return lambda: seconds(step)
