"""The batch at which a run diverged, kept for replay: written by the loop, replayed by `imgcls-lab replay`.

`<run>/failure/` holds the weights before the step, the batches as the model saw them, the state of torch's generator,
and a description in failure.json: enough to compute the same numbers again without the data set. No pickle.
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
from imgcls_lab.engine.model.lora import merged_weights
from imgcls_lab.engine.optim.losses import Target
from imgcls_lab.engine.training import save_restore
from imgcls_lab.engine.training.inputs import PixelInputs
from imgcls_lab.engine.training.state import TrainState
from imgcls_lab.errors import DivergedError

FACTS = "failure.json"
TENSORS = "batches.safetensors"
MODEL = "model"


@dataclass(frozen=True)
class StepBatch:
    """One batch as the model saw it. values: float32 (n, 3, height, width), or features; images: their indices."""

    values: torch.Tensor
    target: Target
    images: image_set.Indices


def is_finite(loss: torch.Tensor, norm: torch.Tensor, *, scaled: bool) -> bool:
    """Whether a step may be taken. scaled: fp16's scaler skips a step with an infinite gradient by itself."""
    return bool((loss if scaled else loss + norm).isfinite())


def diverged(
    run: TrainState, batches: list[StepBatch], generator_state: torch.Tensor, loss: float, norm: float
) -> DivergedError:
    """Keep a step's batches and return the error to raise. Called before the optimizer moves the weights.

    generator_state: of torch's CPU generator before the step; loss: of the step; norm: of its gradient.
    """
    step = run.progress.step + 1
    what = "loss" if loss - loss != 0 else "gradient"
    advice = "Lower lr, lengthen warmup_epochs, or set clip_grad_norm; the last checkpoint is intact."
    batches = [replace(batch, values=run.group.gather_rows(batch.values, len(batch.images))) for batch in batches]
    try:
        if run.group.is_main:
            _write(run, batches, generator_state, {"step": step, "loss": str(loss), "grad_norm": str(norm)})
    except OSError as error:  # the run fails all the same, for the more important reason
        kept = f"Its batch could not be kept for replay ({error.strerror})."
    else:
        kept = f"`imgcls-lab replay {run.recorder.folder.name}` shows the first number that is not finite."
    return DivergedError(f"The {what} is not finite any more at step {step}. {advice} {kept}")


def _write(
    run: TrainState, step_batches: list[StepBatch], generator_state: torch.Tensor, facts: dict[str, Any]
) -> None:
    folder = run.recorder.folder / run_layout.FAILURE
    shutil.rmtree(folder, ignore_errors=True)
    (folder / MODEL).mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    model = run.models.model
    with merged_weights(model) as weights:
        export(model, run.data.spec, folder / MODEL, weights)
    tensors = {"random": generator_state}
    batches = []
    for number, batch in enumerate(step_batches):
        tensors[f"values-{number}"] = batch.values.detach().cpu().contiguous()
        tensors[f"labels-{number}"] = batch.target.labels.cpu()
        if batch.target.partners is not None:
            tensors[f"partners-{number}"] = batch.target.partners.labels.cpu()
            tensors[f"shares-{number}"] = batch.target.partners.weights.cpu()
        batches.append({"images": [run.data.train.path(int(i)) for i in batch.images]})
    save_file(tensors, folder / TENSORS)
    (folder / TENSORS).chmod(0o600)
    facts |= {
        "epoch": run.progress.epoch,
        "batches": batches,
        "fed": "pixels" if isinstance(run.inputs, PixelInputs) else "features",
        "precision": run.compute.precision,
        "channels_last": run.compute.memory_format is torch.channels_last,
        "threads": torch.get_num_threads(),
        "training": [name for name, module in model.named_modules() if module.training],
        "class_counts": image_set.class_counts(run.data.train.labels, len(run.data.classes)).tolist(),
    }
    run_layout.write_atomic(folder / FACTS, json.dumps(facts, indent=1))


def generator_state() -> torch.Tensor:
    """Of torch's CPU generator, for `diverged`; taken before the step."""
    return save_restore.rng_state(torch.device("cpu"))["cpu"]
