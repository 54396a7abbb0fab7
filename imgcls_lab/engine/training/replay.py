"""Computes the step again at which a run diverged, and finds the first number that is not finite.

Called by `imgcls-lab replay`. Reads `<run>/failure/` alone (see `failure_dump`) and changes nothing.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file
from torch import nn

from imgcls_lab import run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model import small_conv_grad
from imgcls_lab.engine.model.classifier import load_labelled
from imgcls_lab.engine.model.head_model import HeadModel
from imgcls_lab.engine.model.memory_format import format_of
from imgcls_lab.engine.optim import losses
from imgcls_lab.engine.optim.losses import MixPartners, Target
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.training import failure_dump, plugins
from imgcls_lab.errors import NotFoundError

LARGEST = 5


@dataclass(frozen=True)
class Replay:
    """The result of one replayed step.

    step: of the run; loss: of the whole step; cause: a sentence; output, gradient: the first module whose output, and
    the first weight (backwards from the loss) whose gradient is not finite; largest: the largest finite outputs by
    module; images: the paths of the batch in which it happened, relative to the data set.
    """

    step: int
    cause: str
    loss: float = 0.0
    output: str | None = None
    gradient: str | None = None
    largest: list[tuple[str, float]] = field(default_factory=list)
    images: list[str] = field(default_factory=list)


def replay(folder: Path) -> Replay:
    """Run the kept step of a run's folder again, on the CPU, in the run's precision.

    Raises NotFoundError if the run kept none, ModelError if its weights cannot be loaded.
    """
    try:
        kept = run_paths.real_path(folder, run_layout.FAILURE)
        facts: dict[str, Any] = run_paths.read_json(kept, failure_dump.FACTS)
    except OSError:
        raise NotFoundError(
            f"“{folder}” holds no failed batch. One is kept when loss or gradient of a run are not finite any more."
        ) from None
    tensors = load_file(kept / failure_dump.TENSORS)
    config = TrainConfig.parse_saved(run_paths.read_plain(folder, run_layout.CONFIG))
    model, _spec, labels = load_labelled(kept / failure_dump.MODEL)
    small_conv_grad.replace_convolutions(model)  # to round as the run did
    broken = [name for name, weight in model.named_parameters() if not weight.isfinite().all()]
    if broken:
        cause = (
            f"{len(broken)} weights, such as {broken[0]}, were not finite before this step; an earlier one broke them."
        )
        return Replay(facts["step"], cause)
    training = set(facts["training"])
    for name, module in model.named_modules():
        module.training = name in training
    weights = None
    if config.balance == "class_weights":
        weights = losses.class_weights(torch.tensor(facts["class_counts"]).numpy())
    run_plugins = plugins.active(folder, (manifest.read(folder) or {}).get("plugins", []))
    with run_plugins, torch.random.fork_rng(devices=[]), _Watch(model) as watch:
        loss = losses.make_loss(config, len(labels.given), weights)
        torch.set_rng_state(tensors["random"])
        return _replay_batches(facts, tensors, model, loss, watch)


def _replay_batches(
    facts: dict[str, Any], tensors: dict[str, torch.Tensor], model: nn.Module, loss: losses.BatchLoss, watch: _Watch
) -> Replay:
    """Forward and backward pass of each batch, up to the first in which something is not finite."""
    trained = HeadModel(model) if facts["fed"] == "features" else model
    memory_format = format_of(facts["channels_last"])
    total = sum(len(tensors[f"labels-{number}"]) for number in range(len(facts["batches"])))
    loss_sum, gradient, images = 0.0, None, []
    for number, batch in enumerate(facts["batches"]):
        target = Target(tensors[f"labels-{number}"], _partners(tensors, number))
        values = tensors[f"values-{number}"]
        values = values.contiguous(memory_format=memory_format) if values.dim() == 4 else values
        with torch.autocast("cpu", torch.bfloat16, enabled=facts["precision"] == "bf16"):
            logits = trained(pixel_values=values).logits
        part = loss(logits, target) * (len(target.labels) / total)
        part.backward()  # type: ignore[no-untyped-call]
        loss_sum += float(part.detach())
        gradient = _first_bad_gradient(model)
        if watch.output or gradient or not math.isfinite(loss_sum):
            images = batch["images"]
            break
    cause = _cause(watch.output, loss_sum, gradient)
    return Replay(facts["step"], cause, loss_sum, watch.output, gradient, watch.largest(), images)


def _partners(tensors: dict[str, torch.Tensor], number: int) -> MixPartners | None:
    labels = tensors.get(f"partners-{number}")
    return None if labels is None else MixPartners(labels, tensors[f"shares-{number}"])


class _Watch:
    """Inside its context, notes the first module whose output is not finite, and the outputs of those before it."""

    def __init__(self, model: nn.Module) -> None:
        self.output: str | None = None  # name of that module
        self._peaks: dict[str, float] = {}
        self._hooks = ExitStack()
        self._leaves = [(name, module) for name, module in model.named_modules() if not list(module.children())]

    def __enter__(self) -> Self:
        for name, module in self._leaves:
            self._hooks.callback(module.register_forward_hook(self._hook(name)).remove)
        return self

    def __exit__(self, *_: object) -> None:
        self._hooks.close()

    def largest(self) -> list[tuple[str, float]]:
        """The largest finite outputs by module."""
        return sorted(self._peaks.items(), key=lambda peak: -peak[1])[:LARGEST]

    def _hook(self, name: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not isinstance(output, torch.Tensor) or self.output is not None:
                return
            if output.isfinite().all():
                self._peaks[name] = max(self._peaks.get(name, 0.0), float(output.detach().abs().max()))
            else:
                self.output = name

        return hook


def _first_bad_gradient(model: nn.Module) -> str | None:
    """The weight nearest to the loss whose gradient is not finite: where the way back first broke."""
    named = [(name, weight.grad) for name, weight in model.named_parameters() if weight.grad is not None]
    return next((name for name, grad in reversed(named) if not grad.isfinite().all()), None)


def _cause(output: str | None, loss: float, gradient: str | None) -> str:
    if output:
        return f"The output of {output} is the first that is not finite."
    if not math.isfinite(loss):
        return "All outputs are finite, but the loss is not: look at the loss and the labels."
    if gradient:
        return f"Outputs and loss are finite; in the backward pass the gradient of {gradient} is the first that is not."
    return "The replayed step is finite: the run diverged by what its device computes differently from this machine."
