"""The learning rate of a step, by the schedule that the config names, and the counting for plateau and early stopping.

Called by the training loop. The built-in schedules stand in `planning.lr_schedules`; a plugin adds one by
`SCHEDULES.register`: a function from `SchedulePoint` to a factor on `lr`. What plateau and early stopping have to
remember is counted by `note_result` in the run's progress, which checkpoints hold.
"""

from __future__ import annotations

from typing import Protocol

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.registry import Registry
from imgcls_lab.planning import lr_schedules as built_in
from imgcls_lab.planning.lr_schedules import LR_SCHEDULES, Schedule
from imgcls_lab.planning.steps import StepPlan

SCHEDULES: Registry[Schedule] = Registry("schedule")
for _name, _schedule in LR_SCHEDULES.items():
    SCHEDULES.register(_name)(_schedule)


def learning_rate(config: TrainConfig, step: int, steps: StepPlan, plateau_decays: int = 0) -> float:
    """The learning rate of optimizer step `step` (from 0). Raises ConfigError for an unknown schedule."""
    return built_in.learning_rate(SCHEDULES.get(config.schedule), config, step, steps, plateau_decays)


class Results(Protocol):
    """The part of a run's progress that results are counted in."""

    epoch: int
    reference: float | None  # the last value that was better by min_delta
    since_best: int  # epochs since then
    epochs_since_decay: int  # epochs since then or since the last decay by plateau
    plateau_decays: int


def is_better(config: TrainConfig, value: float, than: float | None, delta: float = 0.0) -> bool:
    """Whether a validation metric beats another by more than `delta`."""
    if than is None:
        return True
    return value > than + delta if config.higher_is_better else value < than - delta


def note_result(results: Results, config: TrainConfig, value: float) -> None:
    """Count an epoch's result for early stopping and plateau; `epoch` is counted already."""
    if is_better(config, value, results.reference, config.min_delta):
        results.reference = value
        results.since_best = results.epochs_since_decay = 0
        return
    results.since_best += 1
    results.epochs_since_decay += results.epoch > config.warmup_epochs
    if results.epochs_since_decay >= config.plateau_epochs:
        results.plateau_decays += 1
        results.epochs_since_decay = 0
