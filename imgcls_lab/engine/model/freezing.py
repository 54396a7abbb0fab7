"""Which parts of a model learn, and when: a frozen backbone, and its blocks unfrozen one after the other.

Called by the run's preparation and, at each epoch's start, by the loop.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model import small_conv_grad
from imgcls_lab.engine.model.lora import add_lora
from imgcls_lab.engine.model.structure import depths, head_of
from imgcls_lab.errors import ConfigError, ModelError, Problem


def prepare_model(model: nn.Module, config: TrainConfig) -> None:
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
    small_conv_grad.replace_convolutions(model)


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


def _kind(model: nn.Module) -> str:
    return str(getattr(getattr(model, "config", None), "model_type", type(model).__name__))
