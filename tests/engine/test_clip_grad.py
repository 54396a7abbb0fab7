"""The gradient's norm and its limits: what the optimizer is let see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model.classifier import build, read_flavour
from imgcls_lab.engine.model.freezing import prepare_model
from imgcls_lab.engine.optim.clip_grad import clipped, gradient_norm
from imgcls_lab.engine.optim.optimizers import make_optimizer

Make = Callable[..., TrainConfig]


@pytest.fixture
def vit(tiny_vit: Any) -> nn.Module:
    return build(read_flavour(str(tiny_vit), None, None), ["a", "b"], True, 0, lambda _: None)


def with_gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, 0.1 * (number + 1))
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_each_way_of_clipping_limits_what_it_says(make_config: Make, vit: nn.Module) -> None:
    def seen(**changes: Any) -> tuple[dict[str, torch.Tensor], float]:
        with_gradients(vit)
        config = make_config(optimizer="adafactor", **changes)
        optimizer = make_optimizer(vit, config)
        norm = gradient_norm(optimizer)
        with clipped(vit, optimizer, norm, config):
            return {name: parameter.grad for name, parameter in vit.named_parameters()}, float(norm)  # type: ignore[misc]

    free, norm = seen(clip_grad_norm=None)
    assert torch.stack([g.norm() for g in free.values()]).norm().item() == pytest.approx(norm, rel=1e-4)
    assert free["classifier.weight"].max() > 1
    by_norm, same = seen(clip_grad_norm=0.5)
    assert torch.stack([g.norm() for g in by_norm.values()]).norm().item() == pytest.approx(0.5, rel=1e-3)
    by_value, _ = seen(clip_grad_norm=0.5, clip_mode="value")
    assert max(g.abs().max().item() for g in by_value.values()) == pytest.approx(0.5)
    agc, _ = seen(clip_grad_norm=0.01, clip_mode="agc")
    name = "vit.embeddings.patch_embeddings.projection.weight"
    weight = vit.get_parameter(name)
    assert (agc[name].flatten(1).norm(dim=1) <= 0.01 * weight.flatten(1).norm(dim=1).clamp(min=1e-3) * 1.001).all()
    assert torch.equal(agc["classifier.weight"], free["classifier.weight"])
    assert same == pytest.approx(norm)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "momentum", "nadam", "lamb"])
@pytest.mark.parametrize("limit", [0.5, 1e6], ids=["clipped", "within the limit"])
def test_a_step_is_that_of_the_clipped_gradient_whether_the_optimizer_scales_it_or_not(
    make_config: Make, vit: nn.Module, name: str, limit: float
) -> None:
    config = make_config(optimizer=name, lr=0.1, weight_decay=0.0, clip_grad_norm=limit)
    start = {name: value.clone() for name, value in vit.state_dict().items()}

    def stepped(by_hand: bool) -> dict[str, torch.Tensor]:
        vit.load_state_dict(start)
        optimizer = make_optimizer(vit, config)
        for _ in range(2):
            with_gradients(vit)
            if by_hand:
                nn.utils.clip_grad_norm_(vit.parameters(), limit)
                optimizer.step()
            else:
                with clipped(vit, optimizer, gradient_norm(optimizer), config):
                    optimizer.step()
        assert not hasattr(optimizer, "grad_scale")
        return {name: value.clone() for name, value in vit.state_dict().items()}

    ours, theirs = stepped(by_hand=False), stepped(by_hand=True)
    assert not torch.equal(ours["classifier.weight"], start["classifier.weight"])
    for name_, value in theirs.items():
        torch.testing.assert_close(ours[name_], value, rtol=1e-4, atol=1e-5, msg=name_)


def test_frozen_weights_have_no_part_in_the_norm(make_config: Make, vit: nn.Module) -> None:
    config = make_config(freeze_backbone=True)
    prepare_model(vit, config)
    optimizer = make_optimizer(vit, config)
    gradients = with_gradients(vit)
    for name, parameter in vit.named_parameters():
        if "classifier" not in name:
            parameter.grad = None
    head = torch.cat([value.flatten() for name, value in gradients.items() if "classifier" in name])
    assert float(gradient_norm(optimizer)) == pytest.approx(float(head.norm()), rel=1e-5)
