"""A prepared run, and where it stands: the objects that `fit` trains.

Made by `prepare`, trained by `loop`, written and restored by `save_restore`. No field is set after construction; what
changes are the weights, the optimizer's state, the `Progress`, the losses of the epoch, and the settings in `Changes`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.distributed.process_group import ProcessGroup
from imgcls_lab.engine.optim.losses import Target
from imgcls_lab.engine.optim.optimizers import ModelEma
from imgcls_lab.engine.reporting.index_log import IndexLog
from imgcls_lab.engine.reporting.recorder import Recorder
from imgcls_lab.engine.training.changing import Changes
from imgcls_lab.engine.training.inputs import Inputs
from imgcls_lab.engine.training.train_losses import EpochLosses
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.forks import Fork
from imgcls_lab.planning.steps import ForkPoint, StepPlan, plan_steps

# Names in checkpoints that differ from those of the fields here: checkpoints of earlier versions stay readable.
_SAVED_AS = {"epochs_since_decay": "since_drop", "plateau_decays": "drops"}


@dataclass
class Progress:
    """Where a run stands; with the weights it is all that a resume needs."""

    step: int = 0  # optimizer steps done
    epoch: int = 0  # epochs done and validated
    batch: int = 0  # batches done of the current epoch
    window_loss: float = 0.0  # sum of the losses since the last point of the curve
    window_steps: int = 0
    epoch_seconds: float = 0.0  # spent on the current epoch, by earlier attempts too
    best: float | None = None
    best_epoch: int = 0
    best_values: dict[str, float] = field(default_factory=dict)
    ranking: list[tuple[float, str]] = field(default_factory=list)  # value and name of the best checkpoints, best first
    reference: float | None = None  # the last value that was better by min_delta
    since_best: int = 0  # epochs since then
    epochs_since_decay: int = 0  # epochs since then or since the last decay by plateau
    plateau_decays: int = 0
    changed: dict[str, Any] = field(default_factory=dict)  # settings that were changed while it trained
    changes: int = 0  # number of the last such change

    @property
    def best_checkpoint(self) -> str | None:
        return self.ranking[0][1] if self.ranking else None

    def rank(self, value: float, checkpoint: str, keep: int, *, higher_is_better: bool) -> None:
        """Note an epoch's checkpoint among the `keep` best; of equals the earlier is the better one."""
        self.ranking.append((value, checkpoint))
        self.ranking.sort(key=lambda entry: -entry[0] if higher_is_better else entry[0])
        del self.ranking[keep:]

    def state_dict(self) -> dict[str, Any]:
        return {_SAVED_AS.get(name, name): value for name, value in asdict(self).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        names = {saved: name for name, saved in _SAVED_AS.items()}
        for saved, value in state.items():
            setattr(self, names.get(saved, saved), value)


class EpochTimer:
    """Adds the time that an epoch takes to `progress.epoch_seconds`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._since = time.monotonic()

    def start(self) -> None:
        """Count from now on."""
        self._since = time.monotonic()

    def update(self) -> None:
        """Add what has passed since `start` or the last update."""
        now = time.monotonic()
        self._progress.epoch_seconds += now - self._since
        self._since = now


class StepWatch(Protocol):
    """Looks at each step of a run."""

    def before_step(self, run: TrainState, /) -> None: ...

    def after_step(self, run: TrainState, /) -> None: ...


@dataclass(frozen=True)
class Attempt:
    """One attempt at a run: what it trains, where it writes, who can stop it, and how far it is.

    fork: where the run goes on from another one; watch: looks at each step.
    """

    config: TrainConfig
    recorder: Recorder
    stop: threading.Event
    group: ProcessGroup
    cache_locations: CacheLocations
    progress: Progress
    watch: StepWatch
    fork: Fork | None = None


@dataclass(frozen=True)
class ComputeSettings:
    """Where and how a run computes; fixed on its first attempt, except for the device.

    precision: fp32, bf16 or fp16; precision_reason: a sentence for the manifest, None on later attempts.
    """

    device: torch.device
    threads: int
    precision: str
    precision_reason: str | None
    memory_format: torch.memory_format

    def autocast(self) -> AbstractContextManager[Any]:
        """Around forward passes."""
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        # no cache: inside an autocast of the caller it would outlive the step, and with it the weights before the step
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32", cache_enabled=False)


@dataclass(frozen=True)
class DataSets:
    """The scanned images of a run.

    test: empty where there is no test/; num_workers: loader processes; sample_weights: float64 (images,), of the
    training images, where a config draws by class; feature_views: how many views of each image have their features
    cached, 0: the whole model is trained on pixels.
    """

    classes: list[str]
    train: ImageSet
    val: ImageSet
    test: ImageSet
    num_workers: int
    sample_weights: np.ndarray[Any, np.dtype[np.float64]] | None
    feature_views: int

    @property
    def spec(self) -> EvalSpec:
        """How the evaluation prepares images."""
        return self.val.reader.spec


@dataclass(frozen=True)
class Models:
    """The model in its forms. wrapped_model: compiled and wrapped for several processes, where the config says so."""

    model: nn.Module
    wrapped_model: nn.Module
    ema: ModelEma | None

    @property
    def eval_model(self) -> nn.Module:
        """The model that is evaluated and exported: the moving average, where there is one."""
        return self.ema.model if self.ema else self.model


@dataclass(frozen=True)
class Optimization:
    """What moves the weights. loss: logits (n, classes) and a target -> their mean."""

    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    loss: Callable[[torch.Tensor, Target], torch.Tensor]


@dataclass(frozen=True)
class EpochRecord:
    """What is measured of the current epoch: its time, and the losses and numbers of its training images."""

    timer: EpochTimer
    losses: EpochLosses
    indices: IndexLog


@dataclass(frozen=True)
class TrainState:
    """A prepared run. checkpoints: the folder of its checkpoints."""

    attempt: Attempt
    checkpoints: Path
    compute: ComputeSettings
    data: DataSets
    models: Models
    optim: Optimization
    inputs: Inputs
    epoch: EpochRecord

    @cached_property
    def changes(self) -> Changes:
        """What people change while it trains."""
        attempt = self.attempt
        return Changes(attempt.config, attempt.recorder, attempt.progress, attempt.group)

    @property
    def config(self) -> TrainConfig:
        """As it is now: people may change it while the run trains."""
        return self.changes.config

    @property
    def recorder(self) -> Recorder:
        return self.attempt.recorder

    @property
    def group(self) -> ProcessGroup:
        return self.attempt.group

    @property
    def progress(self) -> Progress:
        return self.attempt.progress

    @property
    def device(self) -> torch.device:
        return self.compute.device

    @property
    def planned_processes(self) -> int:
        """For how many processes the batches of an epoch are cut: those of a full attempt, so that all cut the same."""
        return planned_processes(self.config, self.group)

    @property
    def steps(self) -> StepPlan:
        return plan_steps(self.config, len(self.data.train), self.planned_processes, fork_point(self.attempt.fork))


def planned_processes(config: TrainConfig, group: ProcessGroup) -> int:
    """The processes of a full attempt: those of the config, or more, where `torchrun` starts more for a config of 1."""
    return max(config.num_processes, group.world_size)


def fork_point(fork: Fork | None) -> ForkPoint | None:
    """Where the steps of a fork begin."""
    if fork is None:
        return None
    return ForkPoint(fork.step, fork.epoch, fork.epoch_steps, fork.schedule == "restart")
