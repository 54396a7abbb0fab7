"""Which parts of a model learn, when, and how fast: head and backbone, blocks by depth, LoRA.

Called by the run's preparation, the optimizer's factory and, at each epoch's start, by the loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm.models
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model import small_conv_grad
from imgcls_lab.errors import ConfigError, ModelError, Problem

_timm: Any = timm.models
_ADAPTER = "default"  # peft's name of the one adapter
_LEVELS = 2  # stages and their blocks; a number further inside a name is a part of a block


def head_of(model: nn.Module) -> list[nn.Module]:
    """The modules that turn features into logits: all that lies outside the backbone."""
    inner = getattr(model, "timm_model", None)
    if inner is not None:
        head = inner.get_classifier()
        return list(head) if isinstance(head, tuple | list) else [head]
    prefix = getattr(model, "base_model_prefix", "")
    heads = [child for name, child in model.named_children() if name != prefix]
    return [head for head in heads if any(True for _ in head.parameters())]


def depths(model: nn.Module) -> dict[str, int]:
    """Depth of every parameter by name: 0 for what comes before the first block, then a block each, the head last.

    timm's models know their blocks. transformers' are told by the numbers in names (`encoder.layer.3`,
    `stages.1.layers.0`), in the order of registration, which is that of the forward pass. What stands after a block,
    as the last norm, is of its depth.
    """
    heads = {id(parameter) for head in head_of(model) for parameter in head.parameters()}
    known = _timm_blocks(model)
    blocks: dict[str, int] = {}
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if id(parameter) in heads:
            continue
        if known is not None:
            found[name] = known[name]
        else:
            block = _block(name)
            found[name] = blocks.setdefault(block, len(blocks) + 1) if block else len(blocks)
    top = max(found.values(), default=-1) + 1
    return {name: found.get(name, top) for name, _ in model.named_parameters()}


def _timm_blocks(model: nn.Module) -> dict[str, int] | None:
    inner: Any = getattr(model, "timm_model", None)
    if not hasattr(inner, "group_matcher"):
        return None
    groups = _timm.group_parameters(inner, inner.group_matcher(coarse=False), reverse=True)
    return {f"timm_model.{name}": int(level) for name, level in groups.items()}


def _block(name: str) -> str:
    """The part of a parameter's name that says its block; empty for what is in none."""
    parts = name.split(".")
    last = next((place for place, part in enumerate(parts) if part.startswith("downsampl")), len(parts))
    numbers = [place for place, part in enumerate(parts[:last]) if part.isdigit()][:_LEVELS]
    return ".".join(parts[: numbers[-1] + 1]) if numbers else ""


def prepare(model: nn.Module, config: TrainConfig) -> None:
    """Put in what the config asks for before there is an optimizer: LoRA, checkpointing, a backbone frozen for good.

    Convolutions on small maps get what makes them fast. Raises ConfigError or ModelError where the model cannot have
    what is asked for.
    """
    if config.gradient_checkpointing:
        checkpoint_activations(model)
    if config.lora_rank:
        add_lora(model, config)
    elif config.freeze_backbone:
        heads = head_of(model)
        if not heads:
            raise ModelError("This model's classification head cannot be told from its backbone; train all of it.")
        if not config.unfreeze_epoch:
            _freeze(model, heads)
    small_conv_grad.prepare(model)


def begin_epoch(model: nn.Module, config: TrainConfig, epoch: int) -> None:
    """Freeze and unfreeze for epoch `epoch` (from 0), and put what learns into training mode.

    What does not learn is in evaluation mode, norms and dropout included.
    """
    if config.unfreeze_epoch:
        _unfreeze(model, config, epoch)
    _set_mode(model, inherited=True)


def _unfreeze(model: nn.Module, config: TrainConfig, epoch: int) -> None:
    levels = depths(model)
    top = max(levels.values())
    lowest = top
    if config.unfreeze_epoch is not None and epoch >= config.unfreeze_epoch:
        steps = epoch - config.unfreeze_epoch + 1
        lowest = 0 if config.unfreeze_blocks is None else max(0, top - steps * config.unfreeze_blocks)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(levels[name] >= lowest)


def _freeze(model: nn.Module, heads: list[nn.Module]) -> None:
    model.requires_grad_(False)
    for head in heads:
        head.requires_grad_(True)


def _set_mode(module: nn.Module, *, inherited: bool) -> None:
    own = list(module.parameters())
    module.training = any(parameter.requires_grad for parameter in own) if own else inherited
    for child in module.children():
        _set_mode(child, inherited=module.training)


def checkpoint_activations(model: nn.Module) -> None:
    """Compute activations anew in the backward pass. Raises ConfigError for an architecture that cannot."""
    pretrained: Any = model
    if not getattr(model, "supports_gradient_checkpointing", False):
        text = f"A {_kind(model)} cannot recompute its activations. Turn gradient_checkpointing off."
        raise ConfigError(text, [Problem("gradient_checkpointing", text)])
    enable = getattr(pretrained, "activation_checkpointing_enable", None) or pretrained.gradient_checkpointing_enable
    enable({"use_reentrant": False})


# ── LoRA ────────────────────────────────────────────────────────────────────────────────────────────────────────
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
def merged(model: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
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


def _kind(model: nn.Module) -> str:
    return str(getattr(getattr(model, "config", None), "model_type", type(model).__name__))
