"""The batch that broke a run, kept for replay: written by the loop, played again by `imgcls-lab replay`.

`<run>/failure/` holds the weights before the step, the batches as the model saw them, the state of torch's generator,
and in failure.json what and where: enough to see the same numbers again without the data set. No pickle.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from typing import Any

import torch
from safetensors.torch import save_file

from imgcls_lab import run_layout
from imgcls_lab.engine.data import image_set
from imgcls_lab.engine.model.classifier import export
from imgcls_lab.engine.model.freezing import merged
from imgcls_lab.engine.optim.losses import Target
from imgcls_lab.engine.training import save_restore
from imgcls_lab.engine.training.inputs import PixelFeed
from imgcls_lab.engine.training.state import Training
from imgcls_lab.errors import DivergedError

FACTS = "failure.json"
TENSORS = "batches.safetensors"
MODEL = "model"


@dataclass(frozen=True)
class Fed:
    """One batch as the model saw it. values: float32 (n, 3, height, width), or features; images: their indices."""

    values: torch.Tensor
    target: Target
    images: image_set.Indices


def is_sound(loss: torch.Tensor, norm: torch.Tensor, *, scaled: bool) -> bool:
    """Whether a step may be taken. scaled: fp16's scaler leaves a step with an infinite gradient out by itself."""
    return bool((loss if scaled else loss + norm).isfinite())


def diverged(run: Training, fed: list[Fed], random: torch.Tensor, loss: float, norm: float) -> DivergedError:
    """Keep a step's batches and give the error to raise. Called before the optimizer moves the weights.

    random: state of torch's CPU generator before the step; loss: of the step; norm: of its gradient.
    """
    step = run.progress.step + 1
    what = "loss" if loss - loss != 0 else "gradient"
    advice = "Lower lr, lengthen warmup_epochs, or set clip_grad_norm; the last checkpoint is intact."
    fed = [replace(batch, values=run.ranks.joined(batch.values, len(batch.images))) for batch in fed]
    try:
        if run.ranks.writes:
            _write(run, fed, random, {"step": step, "loss": str(loss), "grad_norm": str(norm)})
    except OSError as error:  # the run fails all the same; the disk is the smaller trouble
        kept = f"Its batch could not be kept for replay ({error.strerror})."
    else:
        kept = f"`imgcls-lab replay {run.recorder.folder.name}` shows where it began."
    return DivergedError(f"The {what} is not finite any more at step {step}. {advice} {kept}")


def _write(run: Training, fed: list[Fed], random: torch.Tensor, facts: dict[str, Any]) -> None:
    folder = run.recorder.folder / run_layout.FAILURE
    shutil.rmtree(folder, ignore_errors=True)
    (folder / MODEL).mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    with merged(run.model) as weights:
        export(run.model, run.augment.spec, folder / MODEL, weights)
    tensors = {"random": random}
    batches = []
    for number, batch in enumerate(fed):
        tensors[f"values-{number}"] = batch.values.detach().cpu().contiguous()
        tensors[f"labels-{number}"] = batch.target.labels.cpu()
        if batch.target.partners is not None:
            tensors[f"partners-{number}"] = batch.target.partners.labels.cpu()
            tensors[f"shares-{number}"] = batch.target.partners.shares.cpu()
        batches.append({"images": [run.train.path(int(i)) for i in batch.images]})
    save_file(tensors, folder / TENSORS)
    (folder / TENSORS).chmod(0o600)
    facts |= {
        "epoch": run.progress.epoch,
        "batches": batches,
        "fed": "pixels" if isinstance(run.feed, PixelFeed) else "features",
        "precision": run.precision,
        "channels_last": run.augment.memory_format is torch.channels_last,
        "threads": torch.get_num_threads(),
        "training": [name for name, module in run.model.named_modules() if module.training],
        "class_counts": image_set.class_counts(run.train.labels, len(run.classes)).tolist(),
    }
    run_layout.write_atomic(folder / FACTS, json.dumps(facts, indent=1))


def generator_state() -> torch.Tensor:
    """What `diverged` wants to know from before the step."""
    return save_restore.random_state(torch.device("cpu"))["cpu"]
