"""A run's whole state as a checkpoint, and back: what `save` writes, `restore` reads.

Called by the loop and by the run's preparation. How a folder is written whole stands in `checkpoint`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from imgcls_lab import run_layout
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.engine.model.classifier import export
from imgcls_lab.engine.model.freezing import merged
from imgcls_lab.engine.training.state import Training
from imgcls_lab.events import CheckpointSaved


def save(run: Training, links: list[str]) -> None:
    """Write a checkpoint of this very moment and let `links` point to it."""
    now = run.progress
    name = run_layout.checkpoint_name(run.recorder.attempt, now.step)
    if run.ranks.any(run.ranks.writes and (run.checkpoints / name).exists())[0]:
        return  # stopped right after a checkpoint
    random = run.ranks.exchange(random_state(run.device))
    if not run.ranks.writes:
        return
    state: dict[str, Any] = {
        "model": run.model.state_dict(),
        "updates": run.average.updates if run.average else 0,
        "optimizer": run.optimizer.state_dict(),
        "scaler": run.scaler.state_dict(),
        "random": random,  # of each process
        "progress": asdict(now),
    }

    def write_model(folder: Path) -> None:
        with merged(run.exported) as weights:
            export(run.exported, run.augment.spec, folder, weights)
        written = checkpoint.weight_names(folder)  # not always the model's own: transformers renames, LoRA is merged
        if run.average and written != run.average.model.state_dict().keys():
            state["average"] = run.average.model.state_dict()
        if not run.average and written == state["model"].keys():
            del state["model"]  # the exported weights are the same ones under the same names

    checkpoint.save(run.checkpoints, name, write_model, state)
    for link in links:
        checkpoint.link(run.checkpoints, link, name)
    checkpoint.prune(run.checkpoints, run.config.keep_last, [best for _value, best in now.ranking])
    folder = f"{run_layout.CHECKPOINTS}/{name}"
    run.recorder.emit(CheckpointSaved(step=now.step, epoch=now.epoch, folder=folder, links=tuple(links)))


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """State of torch's generators, which dropout and the like draw from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore(run: Training, good: Path) -> None:
    """Put a checkpoint's state into a run that was assembled anew."""
    state = checkpoint.load_state(good)
    exported = checkpoint.load_weights(good)
    run.model.load_state_dict(state.get("model", exported))
    if run.average:
        run.average.model.load_state_dict(state.get("average", exported))
        run.average.updates = state["updates"]
    run.optimizer.load_state_dict(state["optimizer"])
    run.scaler.load_state_dict(state["scaler"])
    random = state["random"][run.ranks.rank]
    torch.set_rng_state(random["cpu"])
    if run.device.type == "cuda" and "cuda" in random:
        torch.cuda.set_rng_state(random["cuda"], run.device)
    for name, value in state["progress"].items():
        setattr(run.progress, name, value)


def repair_links(run: Training) -> None:
    """After going back to an older checkpoint, `best` and the epochs' links must not name what was superseded."""
    best = run.progress.best_checkpoint
    there = best is not None and checkpoint.damage(run.checkpoints / best) is None
    if checkpoint.target(run.checkpoints, run_layout.BEST) != (best if there else None):
        checkpoint.link(run.checkpoints, run_layout.BEST, best if there else None)
    for path in run.checkpoints.glob("epoch-*"):
        if path.is_symlink() and int(path.name.split("-")[1]) > run.progress.epoch:
            path.unlink()
