"""All of one step in hashes: its images, their pixels, each module's output, each gradient, each weight after it.

Called by the process that computes steps again, for `bisect`, which compares two of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import BaseModel
from torch import nn

from imgcls_lab import run_layout, run_paths
from imgcls_lab.engine import rng
from imgcls_lab.engine.training.weights_hash import HashedSteps, tensors_hash
from imgcls_lab.planning.steps import epoch_batches

if TYPE_CHECKING:
    from imgcls_lab.engine.training.state import TrainState

FILE = "watched.json"
Hashes = list[tuple[str, str]]  # names and hashes, in the order in which they came


class Watched(BaseModel):
    """One step. images: paths, in the order of the batches; labels: their classes; pixels: of each image, as the first
    module gets it, empty where features are fed; rates: of the optimizer."""

    step: int
    images: list[str] = []
    labels: list[str] = []
    pixels: list[str] = []
    outputs: Hashes = []
    gradients: Hashes = []
    weights: Hashes = []
    rates: list[float] = []

    @classmethod
    def read(cls, folder: Path) -> Watched:
        """Raises OSError where the step was not reached."""
        return cls.model_validate(run_paths.read_json(folder, FILE))


class WatchedStep(HashedSteps):
    """Hashes the weights as it is told, and all else of one step."""

    def __init__(self, folder: Path, step: int, *, every: int, last: int) -> None:
        super().__init__(every, last)
        self._folder = folder
        self._found = Watched(step=step)
        self._hooks = ExitStack()

    def before_step(self, run: TrainState, /) -> None:
        super().before_step(run)
        if run.progress.step + 1 != self._found.step:
            return
        self._note_images(run)
        model = run.models.model
        for name, module in model.named_modules():
            if not any(module.children()):
                self._hooks.callback(module.register_forward_hook(self._output_hook(name)).remove)
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                hook = weight.register_post_accumulate_grad_hook(self._gradient_hook(name))  # type: ignore[no-untyped-call]
                self._hooks.callback(hook.remove)

    def after_step(self, run: TrainState, /) -> None:
        if run.progress.step == self._found.step:
            self._hooks.close()
            weights = run.models.model.named_parameters()
            self._found.weights = [(name, _hash(weight)) for name, weight in weights if weight.requires_grad]
            self._found.rates = [float(group["lr"]) for group in run.optim.optimizer.param_groups]
            run_layout.write_atomic(self._folder / FILE, self._found.model_dump_json())
        super().after_step(run)

    def _note_images(self, run: TrainState) -> None:
        config, progress, data = run.config, run.progress, run.data
        order = rng.epoch_order(config.seed, progress.epoch, len(data.train), data.sample_weights)
        batches = epoch_batches(order, config.batch_size, run.planned_processes)
        for batch in batches[progress.batch : progress.batch + config.gradient_accumulation_steps]:
            self._found.images += [os.fsdecode(bytes(path)) for path in data.train.paths[batch]]
            self._found.labels += [data.classes[label] for label in data.train.labels[batch]]

    def _output_hook(self, name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, inputs: tuple[Any, ...], output: object) -> None:
            first = not self._found.outputs or name == self._found.outputs[0][0]
            if first and inputs and isinstance(inputs[0], torch.Tensor) and inputs[0].dim() == 4:
                self._found.pixels += [_hash(image) for image in inputs[0]]
            if isinstance(output, torch.Tensor):
                self._found.outputs.append((name, _hash(output)))

        return hook

    def _gradient_hook(self, name: str) -> Callable[[torch.Tensor], None]:
        def hook(weight: torch.Tensor) -> None:
            if weight.grad is not None:
                self._found.gradients.append((name, _hash(weight.grad)))

        return hook


def _hash(tensor: torch.Tensor) -> str:
    return tensors_hash({"": tensor})
