"""The parts of a model: which modules are its head, and how deep each parameter lies.

Used wherever head and backbone are treated differently: freezing, LoRA, learning rates by depth, new heads.
"""

from __future__ import annotations

from typing import Any

import timm.models
import torch
from torch import nn

_timm: Any = timm.models
_LEVELS = 2  # stages and their blocks; a number further inside a name is a part of a block


class PixelsToLogits(nn.Module):
    """A model as a function of one tensor that gives one tensor: what can be traced, and what other forms can hold."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(pixel_values=pixel_values).logits
        return logits


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
