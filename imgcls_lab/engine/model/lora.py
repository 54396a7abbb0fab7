"""LoRA: low-rank updates beside the layers of a frozen model.

Added by `freezing.prepare_model`; merged into the weights wherever a model is evaluated or written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model.structure import head_of
from imgcls_lab.errors import ConfigError, Problem

_ADAPTER = "default"  # peft's name of the one adapter


def add_lora(model: nn.Module, config: TrainConfig) -> None:
    """Freeze the model, put low-rank updates (Hu et al. 2022) beside its layers, and let these and the head learn.

    By default beside every linear layer of the backbone, in a net without any beside its convolutions. Raises
    ConfigError if no layer has one of the given names.
    """
    from peft import LoraConfig, inject_adapter_in_model

    heads = head_of(model)
    names = _lora_layers(model, heads, config.lora_targets)
    assert config.lora_rank is not None  # noqa: S101
    settings = LoraConfig(
        r=config.lora_rank, lora_alpha=int(config.lora_alpha or config.lora_rank), target_modules=names
    )
    inject_adapter_in_model(settings, model, _ADAPTER)
    for head in heads:
        head.requires_grad_(True)


def _lora_layers(model: nn.Module, heads: list[nn.Module], wanted: tuple[str, ...]) -> list[str]:
    inside = {id(module) for head in heads for module in head.modules()}
    layers = {name: module for name, module in model.named_modules() if id(module) not in inside}
    linear = [name for name, module in layers.items() if isinstance(module, nn.Linear)]
    convolutions = [name for name, module in layers.items() if isinstance(module, nn.Conv2d) and module.groups == 1]
    if not wanted:
        return linear or convolutions
    found = [n for n in linear + convolutions if any(n == end or n.endswith(f".{end}") for end in wanted)]
    if not found:
        ends = sorted({name.rpartition(".")[2] for name in linear or convolutions})
        text = f"No layer of this model is named {' or '.join(wanted)}; there are {', '.join(ends[:12])}."
        raise ConfigError(text, [Problem("lora_targets", text)])
    return found


@contextmanager
def merged_weights(model: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """Inside, the model computes with its updates added to its weights; gives those weights under their plain names.

    So what is evaluated is to the bit what is exported. Afterwards all is as it was, to the bit. Without LoRA nothing
    is changed.
    """
    adapted = {name: module for name, module in model.named_modules() if _is_adapted(module)}
    learning = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    before: dict[str, torch.Tensor] = {}
    for name, module in adapted.items():
        weight = module.base_layer.weight
        before[name] = weight.data
        weight.data = weight.data + module.get_delta_weight(_ADAPTER).detach().to(weight.dtype)
        module.enable_adapters(False)
    try:
        yield {
            name.replace(".base_layer.", "."): value
            for name, value in model.state_dict().items()
            if ".lora_" not in name or not adapted
        }
    finally:
        for name, module in adapted.items():
            module.base_layer.weight.data = before[name]
            module.enable_adapters(True)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(learning[name])


def _is_adapted(module: Any) -> Any:
    return hasattr(module, "base_layer") and hasattr(module, "get_delta_weight")
