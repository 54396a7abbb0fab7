"""The optimizers by name, parameter groups, and the moving average of the weights.

A plugin adds an optimizer by `OPTIMIZERS.register`: a function of parameter groups and config.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any

import timm.optim
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model.structure import depths
from imgcls_lab.engine.registry import Registry
from imgcls_lab.errors import ConfigError, Problem

_timm: Any = timm.optim
_FUSED = {"adam", "adamw", "sgd", "momentum"}  # torch's own, which have a fused step on CPU and GPU

Groups = list[dict[str, Any]]
MakeOptimizer = Callable[[Groups, TrainConfig], torch.optim.Optimizer]
OPTIMIZERS: Registry[MakeOptimizer] = Registry("optimizer")


def _of_timm(name: str, groups: Groups, config: TrainConfig) -> torch.optim.Optimizer:
    if name == "sgd" and config.momentum == 0:
        name = "momentum"  # timm's name of plain SGD; its "sgd" is Nesterov's, which needs a momentum
    if name.startswith("kron") and not (torch.cuda.is_available() or any(map(shutil.which, ("g++", "clang++")))):
        raise ValueError("its step is compiled, which needs a C++ compiler on a CPU")
    extra = {"fused": True} if name in _FUSED else {}
    made: torch.optim.Optimizer = _timm.create_optimizer_v2(
        groups, name, lr=config.lr, weight_decay=config.weight_decay, **_details(config), **extra
    )
    if getattr(made, "is_second_order", False):
        raise ValueError("it needs second derivatives, which a training step here does not compute")
    return made


_TIMM = frozenset(_timm.list_optimizers())
for _name in _timm.list_optimizers():
    OPTIMIZERS.register(_name)(partial(_of_timm, _name))


def _details(config: TrainConfig) -> dict[str, Any]:
    """The optimizer's own settings that the config gives; the others are timm's defaults."""
    given = {"momentum": config.momentum, "betas": config.betas or None, "eps": config.eps}
    return {name: value for name, value in given.items() if value is not None}


def check_optimizer(config: TrainConfig) -> None:
    """Raises ConfigError if nobody registered the optimizer, or one of timm's does not take what the config sets."""
    name = config.optimizer.lower()
    OPTIMIZERS.get(name)
    if name not in _TIMM:
        return
    info = _timm.get_optimizer_info(name)
    taken = {"momentum": info.has_momentum, "betas": info.has_betas, "eps": info.has_eps}
    for detail in _details(config):
        if not taken[detail]:
            others = " and ".join(other for other in taken if taken[other]) or "none of momentum, betas and eps"
            text = f"The optimizer “{name}” takes no {detail}, but {others}. Leave {detail} empty."
            raise ConfigError(text, [Problem(detail, text)])
    if config.betas and len(config.betas) != info.num_betas:
        text = f"The optimizer “{name}” takes {info.num_betas} betas, not {len(config.betas)}."
        raise ConfigError(text, [Problem("betas", text)])


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The config's optimizer over all that learns. Raises ConfigError if it is unknown or cannot work here."""
    check_optimizer(config)
    make = OPTIMIZERS.get(config.optimizer.lower())
    try:
        optimizer = make(param_groups(model, config), config)
    except Exception as error:  # missing packages and GPUs come as any type
        reason = str(error).rstrip(".") or type(error).__name__
        text = f"The optimizer “{config.optimizer}” cannot be used here ({reason}). Try adamw or sgd."
        raise ConfigError(text, [Problem("optimizer", text)]) from error
    return optimizer


def param_groups(model: nn.Module, config: TrainConfig) -> Groups:
    """The parameters that learn, grouped by weight decay and by `lr_scale`, the factor on the schedule's rate.

    No decay on biases, norms and what timm names as such. lr_scale: layer_decay to the power of the distance from
    the head (Clark et al. 2020, as BEiT uses it), below the head times backbone_lr_ratio.
    """
    no_decay: Any = getattr(getattr(model, "timm_model", None), "no_weight_decay", tuple)
    without_decay = {f"timm_model.{name}" for name in no_decay()}
    levels = depths(model)
    top = max(levels.values())
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = (config.layer_decay or 1.0) ** (top - levels[name])
        scale *= config.backbone_lr_ratio if levels[name] < top else 1.0
        decay = 0.0 if parameter.ndim <= 1 or name in without_decay else config.weight_decay
        group = groups.setdefault((scale, decay), {"params": [], "lr_scale": scale, "weight_decay": decay})
        group["params"].append(parameter)
    return list(groups.values())


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of each group: the schedule's times `lr_scale`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


class ModelEma:
    """Exponential moving average of a model's weights and buffers.

    The decay rises as (1 + n) / (10 + n) to the given one, so that short runs do not average in their random start.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    def load_state(self, weights: dict[str, torch.Tensor], updates: int) -> None:
        """Continue where a checkpoint stands. updates: how many there were."""
        self.model.load_state_dict(weights)
        self.updates = updates

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        mine, theirs = self.model.state_dict(), model.state_dict()
        floats = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in floats], [theirs[n] for n in floats], 1 - decay)
        for name in mine.keys() - set(floats):
            mine[name].copy_(theirs[name])
