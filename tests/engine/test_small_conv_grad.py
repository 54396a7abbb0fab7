"""Convolutions on maps of few pixels: the same gradients as torch's, and a model that nobody can tell from before."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import ResNetConfig, ResNetForImageClassification

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.model import small_conv_grad
from imgcls_lab.events import RunState

Make = Callable[..., TrainConfig]
Own = small_conv_grad.SmallMapConv2d


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The sizes of the weights whose gradients were computed as matrix products."""
    found: list[torch.Size] = []
    plain = small_conv_grad.weight_gradient

    def gradient(*given: object) -> torch.Tensor:
        found.append(given[2].shape)  # type: ignore[attr-defined]
        return plain(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(small_conv_grad, "weight_gradient", gradient)
    return found


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 2), (4, 3), (5, 7)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [
        ((3, 3), (1, 1), (1, 1), (1, 1)),
        ((3, 3), (2, 2), (1, 1), (1, 1)),
        ((7, 7), (2, 2), (3, 3), (1, 1)),
        ((3, 3), (1, 1), (4, 4), (2, 2)),
        ((5, 1), (3, 1), (2, 2), (1, 3)),
        ((2, 2), (2, 3), (3, 2), (2, 1)),
    ],
)
def test_the_gradient_is_that_of_torch_for_every_geometry(
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    size: tuple[int, int],
    layout: torch.memory_format,
) -> None:
    torch.manual_seed(1)
    images = torch.randn(5, 6, *size, dtype=torch.float64).contiguous(memory_format=layout)
    weight = torch.randn(4, 6, *kernel, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    output = functional.conv2d(images, weight, None, stride, padding, dilation)
    grad = torch.randn_like(output)
    output.backward(grad)
    down, across = zip(stride, padding, dilation, strict=True)
    axes = small_conv_grad.Axis(*down), small_conv_grad.Axis(*across)
    found = small_conv_grad.weight_gradient(images, grad, weight.detach(), axes)
    torch.testing.assert_close(found, weight.grad, rtol=1e-12, atol=1e-12)
    assert found.stride() == weight.stride()


def test_a_convolution_gives_all_its_gradients(used: list[torch.Size]) -> None:
    torch.manual_seed(2)
    plain = nn.Conv2d(128, 128, 3, padding=1)
    own = copy.deepcopy(plain)
    small_conv_grad.replace_convolutions(own)
    images = torch.randn(8, 128, 2, 2)
    seen = []
    for convolution in (plain, own):
        given = images.clone().requires_grad_()
        output = convolution(given)
        output.square().sum().backward()
        seen.append([output, given.grad, convolution.weight.grad, convolution.bias.grad])
    for one, other in zip(*seen, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)
    assert used == [own.weight.shape]


def test_what_gains_nothing_is_left_to_torch(used: list[torch.Size]) -> None:
    def own(convolution: nn.Conv2d) -> bool:
        small_conv_grad.replace_convolutions(convolution)
        return type(convolution) is Own

    assert own(nn.Conv2d(128, 128, 3, padding=1))
    assert not own(nn.Conv2d(64, 64, 3, padding=1))  # too few weights
    assert not own(nn.Conv2d(512, 512, 1))
    assert not own(nn.Conv2d(2048, 2048, 3, padding=1, groups=32))
    assert not own(nn.Conv2d(128, 128, 3, padding="same"))
    assert not own(nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"))
    assert not own(nn.Conv2d(128, 128, 3, padding=1, device="meta"))

    convolution = nn.Conv2d(128, 128, 3, padding=1)
    small_conv_grad.replace_convolutions(convolution)
    convolution(torch.randn(2, 128, 4, 4)).sum().backward()  # sixteen pixels
    with torch.autocast("cpu", torch.bfloat16):
        convolution(torch.randn(2, 128, 2, 2)).sum().backward()
    convolution.requires_grad_(False)
    convolution(torch.randn(2, 128, 2, 2, requires_grad=True)).sum().backward()
    assert used == []


def test_a_model_keeps_its_names_and_can_be_copied() -> None:
    config = ResNetConfig(hidden_sizes=[32, 64, 128, 256], depths=[1, 1, 1, 1], layer_type="basic", num_labels=3)
    model = ResNetForImageClassification(config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    small_conv_grad.replace_convolutions(model)
    own = [module for module in copy.deepcopy(model).modules() if type(module) is Own]
    assert len(own) == 3
    assert all(isinstance(module, nn.Conv2d) for module in own)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_run_trains_with_it_and_leaves_a_plain_model(
    make_config: Make, tmp_path: Path, used: list[torch.Size]
) -> None:
    folder = tmp_path / "resnet"
    ResNetConfig(hidden_sizes=[32, 64, 128, 256], depths=[1, 1, 1, 1], layer_type="basic").save_pretrained(folder)
    config = make_config(model_flavour=str(folder), image_size=28, epochs=1, ema_decay=0.9, precision="fp32")
    assert train(config, tmp_path / "run").state is RunState.SUCCEEDED
    assert used
    saved = ResNetForImageClassification.from_pretrained(
        next((tmp_path / "run/checkpoints").glob("*/config.json")).parent
    )
    assert not any(isinstance(module, Own) for module in saved.modules())
