"""A prepared run, and where it stands. Made by `prepare`, trained by `loop`, written and restored by `snapshot`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.distributed.process_group import Ranks
from imgcls_lab.engine.optim.losses import Target
from imgcls_lab.engine.optim.optimizers import WeightAverage
from imgcls_lab.engine.reporting.recorder import Recorder
from imgcls_lab.engine.transforms.augment import Augmentation
from imgcls_lab.planning.steps import StepPlan, plan_steps

if TYPE_CHECKING:
    from imgcls_lab.engine.training.inputs import Feed


@dataclass
class Progress:
    """Where a run stands; with the weights it is all that a resume needs."""

    step: int = 0  # optimizer steps done
    epoch: int = 0  # epochs done and validated
    batch: int = 0  # batches done of the epoch at hand
    window_loss: float = 0.0  # sum of the losses since the last point of the curve
    window_steps: int = 0
    epoch_seconds: float = 0.0  # spent on the epoch at hand by earlier attempts
    best: float | None = None
    best_epoch: int = 0
    best_values: dict[str, float] = field(default_factory=dict)
    ranking: list[tuple[float, str]] = field(default_factory=list)  # value and name of the best checkpoints, best first
    reference: float | None = None  # the last value that was better by min_delta
    since_best: int = 0  # epochs since then
    since_drop: int = 0  # epochs since then or since the last decay by plateau
    drops: int = 0

    @property
    def best_checkpoint(self) -> str | None:
        return self.ranking[0][1] if self.ranking else None

    def rank(self, value: float, checkpoint: str, keep: int, *, higher_is_better: bool) -> None:
        """Note an epoch's checkpoint among the `keep` best; of equals the earlier is the better one."""
        self.ranking.append((value, checkpoint))
        self.ranking.sort(key=lambda entry: -entry[0] if higher_is_better else entry[0])
        del self.ranking[keep:]


@dataclass
class Training:
    """A prepared run."""

    config: TrainConfig
    classes: list[str]
    device: torch.device
    precision: str
    model: nn.Module
    net: nn.Module  # the model, or its compiled form
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: WeightAverage | None
    train: ImageSet
    val: ImageSet
    test: ImageSet  # empty where there is no test/
    workers: int
    augment: Augmentation
    loss: Callable[[torch.Tensor, Target], torch.Tensor]
    draw_weights: np.ndarray[Any, np.dtype[np.float64]] | None  # of the images
    recorder: Recorder
    checkpoints: Path
    stop: threading.Event
    progress: Progress
    ranks: Ranks = field(default_factory=Ranks)  # this process among those of the run
    feed: Feed = field(init=False)  # set when the run stands where it goes on
    clock: float = 0.0  # monotonic time up to which the epoch's seconds are noted

    def note_time(self) -> None:
        """Add what has passed since the last note to the epoch's seconds."""
        now = time.monotonic()
        self.progress.epoch_seconds += now - self.clock
        self.clock = now

    @property
    def steps(self) -> StepPlan:
        return plan_steps(self.config, len(self.train), self.ranks.count)

    @property
    def exported(self) -> nn.Module:
        """The weights that are evaluated and exported: the average's, where there is one."""
        return self.average.model if self.average else self.model

    def autocast(self) -> AbstractContextManager[Any]:
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        # no cache: inside an autocast of the caller it would outlive the step, and with it the weights before the step
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32", cache_enabled=False)
