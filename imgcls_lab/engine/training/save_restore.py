"""A run's whole state as a checkpoint, and back: what `save` writes, `restore` reads.

Called by the loop and by `build`. `checkpointing.checkpoint` writes the folder whole or not at all.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from imgcls_lab import run_layout
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.engine.model.classifier import export
from imgcls_lab.engine.model.lora import merged_weights
from imgcls_lab.engine.optim.optimizers import ModelEma
from imgcls_lab.engine.training import forking
from imgcls_lab.engine.training.state import Attempt, Optimization, Progress, TrainState
from imgcls_lab.engine.training.train_losses import EpochLosses
from imgcls_lab.events import CheckpointSaved
from imgcls_lab.planning import seeding
from imgcls_lab.planning.seeding import Stream
from imgcls_lab.schemas import Calibration


def save(run: TrainState, links: list[str], calibration: Calibration | None = None) -> None:
    """Write a checkpoint of this very moment and let `links` point to it.

    calibration: of this model, if it was just validated.
    """
    progress, group = run.progress, run.group
    name = run_layout.checkpoint_name(run.recorder.attempt, progress.step)
    if group.any(group.is_main and (run.checkpoints / name).exists())[0]:
        return  # stopped right after a checkpoint
    rng_states = group.all_gather(rng_state(run.device))
    train_losses = run.epoch.losses.gather() if progress.batch else None
    if not group.is_main:
        return
    models, optim = run.models, run.optim
    state: dict[str, Any] = {
        "model": models.model.state_dict(),
        "updates": models.ema.updates if models.ema else 0,
        "optimizer": optim.optimizer.state_dict(),
        "scaler": optim.scaler.state_dict(),
        "random": rng_states,  # of each process
        "progress": progress.state_dict(),
    }
    if train_losses is not None:
        state["train_losses"] = train_losses

    def write_model(folder: Path) -> None:
        with merged_weights(models.eval_model) as weights:
            export(models.eval_model, run.data.spec, folder, weights, calibration)
        written = checkpoint.weight_names(folder)  # not always the model's own: transformers renames, LoRA is merged
        if models.ema and written != models.ema.model.state_dict().keys():
            state["average"] = models.ema.model.state_dict()
        if not models.ema and written == state["model"].keys():
            del state["model"]  # the exported weights are the same ones under the same names

    checkpoint.save(run.checkpoints, name, write_model, state)
    for link in links:
        checkpoint.link(run.checkpoints, link, name)
    checkpoint.prune(run.checkpoints, run.config.keep_last, [best for _value, best in progress.ranking])
    folder = f"{run_layout.CHECKPOINTS}/{name}"
    run.recorder.emit(CheckpointSaved(step=progress.step, epoch=progress.epoch, folder=folder, links=tuple(links)))


def rng_state(device: torch.device) -> dict[str, torch.Tensor]:
    """State of torch's generators, which dropout and the like draw from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore(
    resume_checkpoint: Path,
    attempt: Attempt,
    model: nn.Module,
    *,
    ema: ModelEma | None,
    optim: Optimization,
    losses: EpochLosses,
    device: torch.device,
) -> None:
    """Load a checkpoint's state into what was just built, and set torch's generators."""
    state = checkpoint.load_state(resume_checkpoint)
    exported = checkpoint.load_weights(resume_checkpoint)
    begins = forking.is_inherited(resume_checkpoint)
    first = attempt if begins else replace(attempt, fork=None)
    forking.restore_model(state, exported, model, first)
    if ema:
        forking.restore_ema(state, exported, model, ema, first)
    forking.restore_optimizer(state, model, optim, first)
    attempt.progress.load_state_dict(state["progress"])
    if begins:
        forking.adjust(attempt.progress, attempt, resume_checkpoint.parent)
    _restore_rng(state["random"], attempt, device)
    if "train_losses" in state:
        losses.restore(state["train_losses"])


def _restore_rng(states: list[dict[str, torch.Tensor]], attempt: Attempt, device: torch.device) -> None:
    """This process's generators. states: of each process that saved; another number of them draws new dropout masks."""
    rank, world_size = attempt.group.rank, attempt.group.world_size
    if len(states) != world_size:
        random = seeding.generator(attempt.config.seed, Stream.DROPOUT, attempt.progress.step, rank)
        torch.manual_seed(int(random.integers(2**63)))
        return
    torch.set_rng_state(states[rank]["cpu"])
    if device.type == "cuda" and "cuda" in states[rank]:
        torch.cuda.set_rng_state(states[rank]["cuda"], device)


def repair_links(checkpoints: Path, progress: Progress) -> None:
    """After going back to an older checkpoint, `best` and the epochs' links must not name what was superseded."""
    best = progress.best_checkpoint
    is_intact = best is not None and checkpoint.damage(checkpoints / best) is None
    if checkpoint.target(checkpoints, run_layout.BEST) != (best if is_intact else None):
        checkpoint.link(checkpoints, run_layout.BEST, best if is_intact else None)
    for path in checkpoints.glob("epoch-*"):
        if path.is_symlink() and int(path.name.split("-")[1]) > progress.epoch:
            path.unlink()
