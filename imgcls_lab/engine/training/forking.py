"""A fork's first steps: its parent's checkpoint as its own beginning, and the state in it under a changed config.

Called by `run`, `resolve`, `scan_data` and `save_restore`. Without any change a fork computes what its parent computes
next, to the last bit: it takes the same way as a resume. What `parent/` holds is described in `forks.py`.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import torch
from torch import nn

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.engine.optim.optimizers import ModelEma, param_groups
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.training import plugins
from imgcls_lab.engine.training.state import Attempt, Optimization, Progress
from imgcls_lab.errors import ModelError
from imgcls_lab.events import CheckpointSaved
from imgcls_lab.forks import inherited_name, link, step_of

# What the parent has decided holds for the fork, too, unless one of these fields was changed.
_DECIDED_BY = {
    "precision": {"precision", "device", "compile"},
    "channels_last": {"channels_last", "device"},
    "threads": {"threads", "device"},
    "feature_views": {"freeze_backbone", "unfreeze_epoch", "feature_views", "augmentation", "mixup", "cutmix"},
}
_GROUP_OPTIONS = ("momentum", "betas", "eps")  # fields that the optimizer keeps with its parameters
LORA = {"lora_rank", "lora_alpha", "lora_targets"}


def inherited_manifest(attempt: Attempt) -> dict[str, Any] | None:
    """The parent's manifest, for a run that is a fork."""
    return None if attempt.fork is None else manifest.read(attempt.recorder.folder / run_layout.PARENT_FOLDER)


def inherited_decisions(attempt: Attempt) -> dict[str, Any]:
    """What the parent has decided and its fork has not changed: parts of the manifest, by key."""
    found = inherited_manifest(attempt)
    if found is None or attempt.fork is None:
        return {}
    changed = attempt.fork.changed(attempt.config)
    return {key: found[key] for key, fields in _DECIDED_BY.items() if key in found and not changed & fields}


def inherited_plugins(attempt: Attempt) -> plugins.Record | None:
    """The record of the parent's plugins, whose copies the fork has; None where it names its own."""
    found = inherited_manifest(attempt)
    if found is None or attempt.fork is None or "plugins" in attempt.fork.changed(attempt.config):
        return None
    record: plugins.Record = found.get("plugins", [])
    return record


def bring(attempt: Attempt, checkpoints: Path) -> None:
    """Put the parent's checkpoints among the fork's own, until it has saved one. Raises ModelError."""
    fork = attempt.fork
    if fork is None or any(not is_inherited(path) for path in checkpoint.saved(checkpoints)):
        return
    names = [inherited_name(fork.checkpoint)]
    if fork.best_checkpoint is not None and fork.best_checkpoint not in names:
        names.append(fork.best_checkpoint)
    for name in names:
        if not (checkpoints / name).exists():
            _copy(attempt.recorder.folder / run_layout.PARENT_FOLDER / name, checkpoints / name)
    if (problem := checkpoint.damage(checkpoints / names[0])) is not None:
        raise ModelError(
            f"The checkpoint {fork.checkpoint} of “{fork.name}”, from which this run was forked, is damaged "
            f"({problem}). Fork from another one.",
            reason="checkpoint_damaged",
        )


def is_inherited(path: Path) -> bool:
    """Whether a checkpoint is the parent's."""
    return path.name.startswith(run_layout.checkpoint_name(run_layout.INHERITED, 0).partition("-")[0])


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_name(f".new-{target.name}-{secrets.token_hex(4)}")
    temporary.mkdir(mode=0o700)
    for name in sorted(os.listdir(source)):
        link(source / name, temporary / name)
    temporary.rename(target)
    run_layout.fsync_folder(target.parent)


def report(attempt: Attempt) -> None:
    """Say that the fork has its parent's checkpoints, as if it had saved them."""
    fork = attempt.fork
    assert fork is not None  # noqa: S101
    name, best = inherited_name(fork.checkpoint), attempt.progress.best_checkpoint
    for each in sorted({name, best or name}):
        links = [run_layout.LAST] * (each == name) + [run_layout.BEST] * (each == best)
        epoch = fork.epoch if each == name else attempt.progress.best_epoch
        folder = f"{run_layout.CHECKPOINTS}/{each}"
        attempt.recorder.emit(CheckpointSaved(step=step_of(each), epoch=epoch, folder=folder, links=tuple(links)))


# ── the state under another config ──────────────────────────────────────────────────────────────────────────────
def restore_model(state: dict[str, Any], exported: dict[str, torch.Tensor], model: nn.Module, attempt: Attempt) -> None:
    """The parent's weights. A fork with other LoRA updates has been built from the exported ones already."""
    if attempt.fork is None or not attempt.fork.changed(attempt.config) & LORA:
        model.load_state_dict(state.get("model", exported))


def restore_ema(
    state: dict[str, Any], exported: dict[str, torch.Tensor], model: nn.Module, ema: ModelEma, attempt: Attempt
) -> None:
    """The parent's average; where it has none that fits, the average begins with the weights."""
    fork = attempt.fork
    if fork is None or (fork.parent_config.ema_decay and not fork.changed(attempt.config) & LORA):
        ema.load_state(state.get("average", exported), state["updates"])
    else:
        ema.load_state(model.state_dict(), 0)


def restore_optimizer(state: dict[str, Any], model: nn.Module, optim: Optimization, attempt: Attempt) -> None:
    """The parent's moments under the fork's options; a fresh state where a changed field needs one."""
    if attempt.fork.starts_optimizer(attempt.config) if attempt.fork else False:
        return
    saved, scaler = state["optimizer"], state["scaler"]
    if attempt.fork is not None and attempt.fork.changed(attempt.config):
        saved = _under(attempt.config, attempt.fork.parent_config, saved, optim.optimizer, model)
        if optim.scaler.is_enabled() != bool(scaler):
            scaler = optim.scaler.state_dict()
    optim.optimizer.load_state_dict(saved)
    optim.scaler.load_state_dict(scaler)


def _under(
    config: TrainConfig, parent: TrainConfig, saved: dict[str, Any], optimizer: torch.optim.Optimizer, model: nn.Module
) -> dict[str, Any]:
    """A saved state of an optimizer, with the groups and options of a changed config.

    The state names parameters by their numbers in the parent's groups, which another weight decay or rate by layer
    would number otherwise.
    """
    before = [id(parameter) for group in param_groups(model, parent) for parameter in group["params"]]
    now = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    numbers = {parameter: number for number, parameter in enumerate(now)}
    state = {numbers[before[number]]: value for number, value in saved["state"].items()}
    own = optimizer.state_dict()["param_groups"]
    if before == now and len(own) == len(saved["param_groups"]):
        options = {"weight_decay", "lr_scale", *(n for n in _GROUP_OPTIONS if getattr(config, n) != getattr(parent, n))}
        own = [
            {**old, **{name: value for name, value in new.items() if name in options or name not in old}}
            for old, new in zip(saved["param_groups"], own, strict=True)
        ]
        for old, new in zip(saved["param_groups"], own, strict=True):
            new["params"] = old["params"]
    return {"state": state, "param_groups": own}


def adjust(progress: Progress, attempt: Attempt, checkpoints: Path) -> None:
    """The parent's progress as the fork's own: its best so far, and what it counts anew.

    Early stopping counts from a fork that changes anything: else one of a run that was stopped early would end at once.
    A fork that watches another metric has no best yet; so has one whose best checkpoint is no longer kept.
    """
    fork = attempt.fork
    assert fork is not None  # noqa: S101
    parent, changed = fork.parent_config, fork.changed(attempt.config)
    progress.changed, progress.changes = {}, 0  # the parent's config has them
    names = [(value, inherited_name(name)) for value, name in progress.ranking]
    progress.ranking = [(value, name) for value, name in names if (checkpoints / name).exists()]
    lost = bool(names) and (not progress.ranking or progress.ranking[0] != names[0])
    watches = (attempt.config.monitor_tag, attempt.config.higher_is_better)
    if watches != (parent.monitor_tag, parent.higher_is_better):
        progress.reference, progress.since_best = None, 0
        progress.best, progress.best_epoch, progress.best_values, progress.ranking = None, 0, {}, []
    elif lost:
        attempt.recorder.notice(
            f"The best checkpoint of “{fork.name}” before the fork is no longer kept, so the best of this run is the "
            "best of its own epochs.",
        )
        progress.best, progress.best_epoch, progress.best_values, progress.ranking = None, 0, {}, []
    if changed:
        progress.since_best = 0
    if fork.schedule == "restart":
        progress.plateau_decays = progress.epochs_since_decay = 0
