"""Grad-CAM lies where its formula says, for each kind of model that it knows; others are refused with a sentence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForImageClassification,
    ConvNextConfig,
    Dinov2Config,
    PreTrainedConfig,
    ResNetConfig,
    SwinConfig,
    TimmWrapperConfig,
    ViTConfig,
)
from transformers.modeling_outputs import ImageClassifierOutput

from imgcls_lab.engine.inference.grad_cam import grad_cam
from imgcls_lab.errors import ModelError

VIT: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SWIN: dict[str, Any] = {"window_size": 4, "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2]}
SMALL: dict[str, tuple[Any, tuple[int, int]]] = {
    "resnet": (ResNetConfig(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1] * 4, layer_type="basic"), (3, 3)),
    "convnext": (ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1] * 4), (3, 3)),
    "vit": (ViTConfig(intermediate_size=32, image_size=96, patch_size=16, **VIT), (6, 6)),
    "swin": (SwinConfig(image_size=128, patch_size=4, **SWIN), (16, 16)),
    "dinov2": (Dinov2Config(image_size=98, patch_size=14, **VIT), (7, 7)),
    "timm efficientnet": (TimmWrapperConfig(architecture="test_efficientnet"), (3, 3)),
    "timm vit": (TimmWrapperConfig(architecture="test_vit", model_args={"img_size": 96}), (6, 6)),
}


def made(kind: str) -> tuple[torch.nn.Module, torch.Tensor, tuple[int, int]]:
    config, grid = SMALL[kind]
    torch.manual_seed(0)
    model = AutoModelForImageClassification.from_config(config).eval()
    edge = {"swin": 128, "dinov2": 98}.get(kind, 96)
    return model, torch.randn(1, 3, edge, edge), grid


@pytest.mark.parametrize("kind", SMALL)
def test_each_kind_of_model_has_a_map(kind: str) -> None:
    model, pixels, grid = made(kind)
    maps = []
    for label in (0, 1):
        heat, logits = grad_cam(model, pixels, label)
        assert heat.shape == grid
        assert heat.min() >= 0
        assert heat.max() == pytest.approx(1) or not heat.any()
        maps.append(heat)
    with torch.no_grad():
        assert torch.allclose(logits, model(pixel_values=pixels).logits[0], atol=1e-5)
    assert any(heat.any() for heat in maps), "the gradients reach the map"
    assert not np.allclose(*maps)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_map_of_a_pooled_network_is_that_of_its_formula() -> None:
    """Behind the last map a ResNet has its mean and a linear head, so the weights are those of the head."""
    model, pixels, _ = made("resnet")
    heat, _logits = grad_cam(model, pixels, 1)
    with torch.no_grad():
        features = model.resnet(pixels).last_hidden_state[0]
        expected = torch.einsum("c,chw->hw", model.classifier[1].weight[1], features).relu()
    assert heat == pytest.approx((expected / expected.max()).numpy(), abs=1e-5)


def test_the_map_follows_the_object() -> None:
    """A network that counts bright pixels finds the bright corner."""
    model, pixels, _ = made("vit")
    pixels = torch.zeros_like(pixels)
    moved = pixels.clone()
    moved[..., :32, :32] = 3.0
    assert not np.allclose(grad_cam(model, pixels, 0)[0], grad_cam(model, moved, 0)[0])


class Tokens(nn.Module):
    """Pixels become tokens that lie nowhere in the image, as the latents of a Perceiver."""

    def __init__(self) -> None:
        super().__init__()
        self.config = PreTrainedConfig()
        self.mix = nn.Linear(64 * 64, 5)
        self.head = nn.Linear(3, 2)

    def forward(self, pixel_values: torch.Tensor) -> ImageClassifierOutput:
        latents = self.mix(pixel_values.flatten(2)).transpose(1, 2)
        return ImageClassifierOutput(logits=self.head(latents).mean(1))


def test_a_model_without_a_map_is_refused() -> None:
    with pytest.raises(ModelError) as error:
        grad_cam(Tokens().eval(), torch.randn(1, 3, 64, 64), 0)
    assert error.value.reason == "no_feature_map"
