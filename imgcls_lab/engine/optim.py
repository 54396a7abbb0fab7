"""Optimizer, learning-rate schedule and weight average of a run: pure factories."""

from __future__ import annotations

import copy
import difflib
import math
from typing import Any

import timm.optim
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, Problem

_timm: Any = timm.optim
_FUSED = {"adam", "adamw", "sgd", "momentum"}  # torch's own, which have a fused step on CPU and GPU


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of timm by that name; no decay on biases and norms. Raises ConfigError for an unknown name."""
    name = config.optimizer.lower()
    known: list[str] = [str(known) for known in _timm.list_optimizers()]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "try adamw or sgd."
        text = f"There is no optimizer “{config.optimizer}”; {hint}"
        raise ConfigError(text, [Problem("optimizer", text)])
    if name == "sgd" and config.momentum == 0:
        name = "momentum"  # timm's name of plain SGD; its "sgd" is Nesterov's, which needs a momentum
    extra = {"fused": True} if name in _FUSED else {}
    try:
        optimizer: torch.optim.Optimizer = _timm.create_optimizer_v2(
            model, name, lr=config.lr, weight_decay=config.weight_decay, momentum=config.momentum, **extra
        )
    except (TypeError, ValueError, ImportError, RuntimeError, AssertionError) as error:
        text = f"The optimizer “{config.optimizer}” cannot be used here ({error}). Try adamw or sgd."
        raise ConfigError(text, [Problem("optimizer", text)]) from error
    return optimizer


def learning_rate(config: TrainConfig, step: int, total_steps: int, steps_per_epoch: int) -> float:
    """The rate of optimizer step `step` (from 0): warm-up from zero, then the schedule down to lr * min_lr_ratio."""
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    if config.schedule == "constant":
        return config.lr
    done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    left = 0.5 * (1 + math.cos(math.pi * done)) if config.schedule == "cosine" else 1 - done
    return config.lr * (config.min_lr_ratio + (1 - config.min_lr_ratio) * left)


class WeightAverage:
    """Moving average of a model's weights and buffers (EMA).

    The decay rises as (1 + n) / (10 + n) to the given one, so that short runs do not average in their random start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        mine, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in floats], [theirs[n] for n in floats], 1 - decay)
        for name in mine.keys() - set(floats):
            mine[name].copy_(theirs[name])
