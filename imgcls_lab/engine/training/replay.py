"""Plays the step again that broke a run, and says where the first number went wrong.

Called by `imgcls-lab replay`. Reads `<run>/failure/` alone (see `failure`) and changes nothing.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model import small_conv_grad
from imgcls_lab.engine.model.classifier import load_labelled
from imgcls_lab.engine.model.memory_format import format_of
from imgcls_lab.engine.optim import losses
from imgcls_lab.engine.optim.losses import Partners, Target
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.training import failure_dump, plugins
from imgcls_lab.engine.training.inputs import HeadOnly
from imgcls_lab.errors import NotFoundError

LARGEST = 5


@dataclass
class Replay:
    """What one replayed step gave.

    step: of the run; loss: of the whole step; cause: a sentence; output, gradient: the first module whose output, and
    the first weight (backwards from the loss) whose gradient is not finite; largest: the largest finite outputs by
    module; images: the paths of the batch in which it began, relative to the data set.
    """

    step: int
    loss: float = 0.0
    cause: str = ""
    output: str | None = None
    gradient: str | None = None
    largest: list[tuple[str, float]] = field(default_factory=list)
    images: list[str] = field(default_factory=list)


def replay(folder: Path) -> Replay:
    """Run the kept step of a run's folder again, on the CPU, in the run's precision.

    Raises NotFoundError if the run kept none, ModelError if its weights cannot be loaded.
    """
    kept = folder / run_layout.FAILURE
    if not (kept / failure_dump.FACTS).exists():
        raise NotFoundError(
            f"“{folder}” holds no failed batch. One is kept when loss or gradient of a run are not finite any more."
        )
    facts: dict[str, Any] = json.loads(run_layout.read_plain(kept / failure_dump.FACTS))
    tensors = load_file(kept / failure_dump.TENSORS)
    config = TrainConfig.parse_saved(run_layout.read_plain(folder / run_layout.CONFIG))
    model, _spec, labels = load_labelled(kept / failure_dump.MODEL)
    small_conv_grad.prepare(model)  # to round as the run did
    result = Replay(step=facts["step"])
    bad = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    if bad:
        result.cause = (
            f"{len(bad)} weights, such as {bad[0]}, were not finite before this step; an earlier one broke them."
        )
        return result
    training = set(facts["training"])
    for name, module in model.named_modules():
        module.training = name in training
    weights = None
    if config.balance == "class_weights":
        weights = losses.class_weights(torch.tensor(facts["class_counts"]).numpy())
    net = HeadOnly(model) if facts["fed"] == "features" else model
    own = plugins.active(folder, (manifest.read(folder) or {}).get("plugins", []))
    with own, torch.random.fork_rng(devices=[]), ExitStack() as hooks:
        loss = losses.make_loss(config, len(labels.given), weights)
        torch.set_rng_state(tensors["random"])
        _watch(model, result, hooks)
        total = sum(len(tensors[f"labels-{number}"]) for number in range(len(facts["batches"])))
        for number, batch in enumerate(facts["batches"]):
            target = Target(tensors[f"labels-{number}"], _partners(tensors, number))
            values = tensors[f"values-{number}"]
            values = values.contiguous(memory_format=format_of(facts["channels_last"])) if values.dim() == 4 else values
            with torch.autocast("cpu", torch.bfloat16, enabled=facts["precision"] == "bf16"):
                logits = net(pixel_values=values).logits
            part = loss(logits, target) * (len(target.labels) / total)
            part.backward()  # type: ignore[no-untyped-call]
            result.loss += float(part.detach())
            result.gradient = result.gradient or _first_bad_gradient(model)
            if result.output or result.gradient or result.loss - result.loss != 0:
                result.images = batch["images"]
                break
    result.cause = _cause(result)
    return result


def _partners(tensors: dict[str, torch.Tensor], number: int) -> Partners | None:
    labels = tensors.get(f"partners-{number}")
    return None if labels is None else Partners(labels, tensors[f"shares-{number}"])


def _watch(model: nn.Module, result: Replay, hooks: ExitStack) -> None:
    """Note the first module whose output is not finite, and the largest outputs of those before it."""
    peaks: dict[str, float] = {}

    def look(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not isinstance(output, torch.Tensor) or result.output is not None:
                return
            if output.isfinite().all():
                peaks[name] = max(peaks.get(name, 0.0), float(output.detach().abs().max()))
                result.largest = sorted(peaks.items(), key=lambda peak: -peak[1])[:LARGEST]
            else:
                result.output = name

        return hook

    for name, module in model.named_modules():
        if not list(module.children()):
            handle = module.register_forward_hook(look(name))
            hooks.callback(handle.remove)


def _first_bad_gradient(model: nn.Module) -> str | None:
    """The weight nearest to the loss whose gradient is not finite: where the way back first broke."""
    named = [(name, weight.grad) for name, weight in model.named_parameters() if weight.grad is not None]
    return next((name for name, grad in reversed(named) if not grad.isfinite().all()), None)


def _cause(result: Replay) -> str:
    if result.output:
        return f"The output of {result.output} is the first that is not finite."
    if result.loss - result.loss != 0:
        return "All outputs are finite, but the loss is not: look at the loss and the labels."
    if result.gradient:
        return (
            f"Outputs and loss are finite; the gradient of {result.gradient} is the first on the way back that is not."
        )
    return "Played again, the step is finite: it broke by what this machine computes differently from the run's device."
