"""The built-in schedules of the learning rate, each a pure function of the step: nothing to save, nothing to restore.

Read by the engine, which adds the schedules of plugins, and by the forms, which draw the curve. The schedules are
timm's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgcls_lab.config import TrainConfig
from imgcls_lab.planning.steps import StepPlan
from imgcls_lab.schemas import LrCurve

CURVE_POINTS = 200  # the most points of a drawn curve
DRAWN_DECAYS = 40  # the most decays of the schedule step whose edges a drawn curve has exactly


@dataclass(frozen=True)
class SchedulePoint:
    """A place in a run after its warm-up.

    progress: fraction of the steps after the warm-up, 0..1; epochs: since the warm-up; plateau_decays: decays so far.
    """

    config: TrainConfig
    progress: float
    epochs: float
    plateau_decays: int = 0

    def above_floor(self, fraction: float) -> float:
        """The factor that lies this fraction of the way from min_lr_ratio (0) up to 1 (1)."""
        return self.config.min_lr_ratio + (1 - self.config.min_lr_ratio) * fraction


Schedule = Callable[[SchedulePoint], float]  # the factor on `lr`


def learning_rate(
    schedule: Schedule, config: TrainConfig, step: int, steps: StepPlan, plateau_decays: int = 0
) -> float:
    """The learning rate of optimizer step `step` (from 0): a linear warm-up from zero, then the schedule.

    In a fork, the step and the length are those of its schedule: see `StepPlan`.
    """
    warmup, step = warmup_steps(config, steps), steps.on_schedule(step)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    after = step - warmup
    progress = min(1.0, after / max(1, steps.scheduled_steps - warmup))
    point = SchedulePoint(config, progress, after / max(1, steps.steps_per_epoch), plateau_decays)
    return config.lr * schedule(point)


def warmup_steps(config: TrainConfig, steps: StepPlan) -> int:
    """The number of steps in which the learning rate rises."""
    return round(config.warmup_epochs * steps.steps_per_epoch)


def cosine(point: SchedulePoint) -> float:
    """Half a cosine (Loshchilov & Hutter 2017)."""
    return point.above_floor(0.5 * (1 + math.cos(math.pi * point.progress)))


def linear(point: SchedulePoint) -> float:
    return point.above_floor(1 - point.progress)


def poly(point: SchedulePoint) -> float:
    return point.above_floor((1 - point.progress) ** point.config.poly_power)


def tanh(point: SchedulePoint) -> float:
    """timm's hyperbolic tangent from -7 to 3 (Hsueh et al. 2019): high for long, then steep."""
    return point.above_floor(0.5 * (1 - math.tanh(-7 + 10 * point.progress)))


def step(point: SchedulePoint) -> float:
    """A decay every `decay_epochs`."""
    decays = math.floor(point.epochs / _epochs_between_decays(point.config) + 1e-9)
    return max(point.config.min_lr_ratio, math.pow(point.config.decay_rate, decays))


def wsd(point: SchedulePoint) -> float:
    """Warm-up, stable, decay: 1 - sqrt over the last part (Hägele et al. 2024)."""
    return point.above_floor(1 - math.sqrt(_final_decay(point)))


def rsqrt(point: SchedulePoint) -> float:
    """Reciprocal square root with a linear end (Zhai et al. 2022); its timescale is the warm-up, at least an epoch."""
    stable = 1 / math.sqrt(1 + point.epochs / max(point.config.warmup_epochs, 1.0))
    floor = point.config.min_lr_ratio
    return floor + max(stable - floor, 0.0) * (1 - _final_decay(point))


def plateau(point: SchedulePoint) -> float:
    """A decay after each plateau of the watched metric."""
    return max(point.config.min_lr_ratio, math.pow(point.config.decay_rate, point.plateau_decays))


def constant(point: SchedulePoint) -> float:  # noqa: ARG001
    return 1.0


LR_SCHEDULES: dict[str, Schedule] = {
    "cosine": cosine,
    "linear": linear,
    "poly": poly,
    "tanh": tanh,
    "step": step,
    "wsd": wsd,
    "rsqrt": rsqrt,
    "plateau": plateau,
    "constant": constant,
}


def _epochs_between_decays(config: TrainConfig) -> float:
    return max(1e-9, config.decay_epochs or (config.epochs - config.warmup_epochs) / 3)


def _final_decay(point: SchedulePoint) -> float:
    """How far the final decay has come, 0..1."""
    fraction = point.config.decay_fraction
    return min(1.0, max(0.0, (point.progress - (1 - fraction)) / fraction))


# ── the curve of a run, or a fork, that has not begun ───────────────────────────────────────────────────────────────
def lr_curve(config: TrainConfig, steps: StepPlan, plateau_decays: int = 0) -> LrCurve | None:
    """The learning rate over a run, of a fork over its own steps, in at most CURVE_POINTS points.

    As if no plateau came after those that have come already. None for a schedule of a plugin, which only the engine
    can know.
    """
    schedule = LR_SCHEDULES.get(config.schedule)
    if schedule is None:
        return None
    begin, last = (0 if steps.fork is None else steps.fork.step), steps.total_steps - 1
    before = begin - steps.on_schedule(begin)  # steps of the run before the first one of its schedule
    first = min(last, max(begin, before + warmup_steps(config, steps)))  # the warm-up is a line
    exact = {before + corner for corner in _corners(config, steps) if begin <= before + corner <= last} | {begin}
    evenly = np.linspace(first, last, min(last - first + 1, CURVE_POINTS - len(exact))).round().astype(int)
    places = sorted(exact.union(evenly.tolist()))
    rates = [learning_rate(schedule, config, place, steps, plateau_decays) for place in places]
    return LrCurve(step=places, lr=rates)


def _corners(config: TrainConfig, steps: StepPlan) -> set[int]:
    """Steps of a schedule that its curve is drawn through, however many there are: corners, and what is beside a steep
    place.
    """
    warmup = warmup_steps(config, steps)
    total = steps.scheduled_steps
    corners = {0, warmup - 1, warmup, total - 1}
    decay_start = math.floor(warmup + (1 - config.decay_fraction) * (total - warmup))
    beside = {2**power for power in range(total.bit_length())}  # ever closer towards the steep place
    match config.schedule:
        case "poly":
            corners |= {total - 1 - distance for distance in beside if total - 1 - distance > warmup}
        case "wsd":
            corners |= {decay_start, decay_start + 1} | {decay_start + distance for distance in beside}
        case "rsqrt":
            corners |= {decay_start, decay_start + 1} | {warmup + distance for distance in beside}
        case "step":
            between = _epochs_between_decays(config) * steps.steps_per_epoch
            for decay in range(1, min(DRAWN_DECAYS, math.ceil(total / between)) + 1):
                edge = warmup + math.ceil((decay - 1e-9) * between)
                corners |= {edge - 1, edge}
    return corners
