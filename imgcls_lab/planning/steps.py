"""Images -> batches -> optimizer steps, of one epoch and of a run.

Called by the engine's loop and by everything that shows the steps of a run before it starts. It counts images and
opens none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, Problem

IMAGES_PER_PROCESS = 2  # of the smallest batch: batch norm cannot train on one image


@dataclass(frozen=True)
class ForkPoint:
    """Where a fork leaves its parent: steps and epochs done there, and steps of the epoch that is under way.

    restart: the schedule of the learning rate begins there anew, with its warm-up; else it is that of a run which had
    the fork's config from its first step on.
    """

    step: int
    epoch: int
    epoch_steps: int = 0
    restart: bool = False


@dataclass(frozen=True)
class StepPlan:
    """The steps of a run. A step is one update of the weights; early stopping may end the run before the last.

    fork: where the run goes on from another one, whose steps count on.
    """

    batches_per_epoch: int
    steps_per_epoch: int
    epochs: int
    fork: ForkPoint | None = None

    @property
    def total_steps(self) -> int:
        whole = self.steps_per_epoch * self.epochs
        return whole if self.fork is None else self.fork.step + whole - self._steps_before

    @property
    def scheduled_steps(self) -> int:
        """The steps that the schedule of the learning rate spans."""
        if self.fork is not None and self.fork.restart:
            return self.total_steps - self.fork.step
        return self.steps_per_epoch * self.epochs

    def on_schedule(self, step: int) -> int:
        """Which step of the schedule a step of the run is.

        The two differ in a fork: one that restarts the schedule counts from the fork; one whose epochs have another
        number of steps counts the epochs that are done in steps of its own.
        """
        if self.fork is None:
            return step
        return step - self.fork.step + (0 if self.fork.restart else self._steps_before)

    def epochs_before(self, step: int) -> float:
        """The epochs that are done before a step of the run; in a fork, those of its parent are among them."""
        own = step if self.fork is None else step - self.fork.step + self._steps_before
        return own / self.steps_per_epoch

    @property
    def _steps_before(self) -> int:
        """The parent's part of the run, in steps of this one's epochs."""
        if self.fork is None:
            return 0
        return self.fork.epoch * self.steps_per_epoch + self.fork.epoch_steps


def plan_steps(
    config: TrainConfig, images: int, num_processes: int | None = None, fork: ForkPoint | None = None
) -> StepPlan:
    """The steps of a training on `images` images an epoch.

    num_processes: the processes that were started together; None: those of the config. The processes share each batch,
    so their number changes the steps only through the smallest last batch. Raises ConfigError for too few images.
    """
    num_processes = num_processes or config.num_processes
    if num_processes > 1 and images < IMAGES_PER_PROCESS * num_processes:
        text = (
            f"{num_processes} processes need {IMAGES_PER_PROCESS * num_processes} training images or more, two each, "
            f"and there are {images}. Lower num_processes."
        )
        raise ConfigError(text, [Problem("num_processes", text)])
    batches = batches_per_epoch(images, config.batch_size, num_processes)
    return StepPlan(batches, -(-batches // config.gradient_accumulation_steps), config.epochs, fork)


def batches_per_epoch(images: int, batch_size: int, num_processes: int = 1) -> int:
    """The number of batches of an epoch.

    A last batch that has fewer than two images for each process joins the batch before it.
    """
    full, rest = divmod(images, batch_size)
    joins = full > 0 and rest < min(IMAGES_PER_PROCESS * num_processes, batch_size)
    return full + (rest > 0 and not joins)


def epoch_batches(order: npt.NDArray[np.int64], batch_size: int, num_processes: int = 1) -> list[npt.NDArray[np.int64]]:
    """The image indices of an epoch, shape (images,), cut into its batches; the last batch takes the rest."""
    count = batches_per_epoch(len(order), batch_size, num_processes)
    ends = [*range(batch_size, count * batch_size, batch_size), len(order)][:count]
    return [order[number * batch_size : end] for number, end in enumerate(ends)]
