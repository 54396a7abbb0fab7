"""The learning rate over a run, as a pure function of the step: nothing to save, nothing to restore.

The forms are timm's. A plugin adds one by `SCHEDULES.register`: a function from `Moment` to a share of `lr`. What
plateau and early stopping have to remember is counted by `note_result` in the run's progress, which checkpoints hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.registry import Registry


@dataclass(frozen=True)
class Moment:
    """A place in a run after its warm-up.

    done: share of what comes after the warm-up, 0..1; epoch: epochs since the warm-up; drops: decays by plateau.
    """

    config: TrainConfig
    done: float
    epoch: float
    drops: int = 0

    def above_floor(self, left: float) -> float:
        """The share of `lr` when a share `left` of the way from min_lr_ratio to 1 is left."""
        return self.config.min_lr_ratio + (1 - self.config.min_lr_ratio) * left


Schedule = Callable[[Moment], float]
SCHEDULES: Registry[Schedule] = Registry("schedule")


def learning_rate(config: TrainConfig, step: int, total_steps: int, steps_per_epoch: int, drops: int = 0) -> float:
    """The rate of optimizer step `step` (from 0): warm-up from zero, then the config's schedule.

    Raises ConfigError for a schedule that nobody registered.
    """
    schedule = SCHEDULES.get(config.schedule)
    warmup = round(config.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return config.lr * (step + 1) / (warmup + 1)
    done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    return config.lr * schedule(Moment(config, done, (step - warmup) / max(1, steps_per_epoch), drops))


@SCHEDULES.register("cosine")
def cosine(now: Moment) -> float:
    """Half a cosine (Loshchilov & Hutter 2017)."""
    return now.above_floor(0.5 * (1 + math.cos(math.pi * now.done)))


@SCHEDULES.register("linear")
def linear(now: Moment) -> float:
    return now.above_floor(1 - now.done)


@SCHEDULES.register("poly")
def poly(now: Moment) -> float:
    return now.above_floor((1 - now.done) ** now.config.poly_power)


@SCHEDULES.register("tanh")
def tanh(now: Moment) -> float:
    """timm's hyperbolic tangent from -7 to 3 (Hsueh et al. 2019): long high, then steep."""
    return now.above_floor(0.5 * (1 - math.tanh(-7 + 10 * now.done)))


@SCHEDULES.register("step")
def step(now: Moment) -> float:
    every = now.config.decay_epochs or (now.config.epochs - now.config.warmup_epochs) / 3
    return max(
        now.config.min_lr_ratio, math.pow(now.config.decay_rate, math.floor(now.epoch / max(every, 1e-9) + 1e-9))
    )


@SCHEDULES.register("wsd")
def wsd(now: Moment) -> float:
    """Warm up, stay, decay: 1 - sqrt over the last part (Hägele et al. 2024)."""
    return now.above_floor(1 - math.sqrt(_decaying(now)))


@SCHEDULES.register("rsqrt")
def rsqrt(now: Moment) -> float:
    """Reciprocal square root with a linear end (Zhai et al. 2022); its timescale is the warm-up, at least an epoch."""
    stable = 1 / math.sqrt(1 + now.epoch / max(now.config.warmup_epochs, 1.0))
    floor = now.config.min_lr_ratio
    return floor + max(stable - floor, 0.0) * (1 - _decaying(now))


@SCHEDULES.register("plateau")
def plateau(now: Moment) -> float:
    return max(now.config.min_lr_ratio, math.pow(now.config.decay_rate, now.drops))


@SCHEDULES.register("constant")
def constant(now: Moment) -> float:  # noqa: ARG001
    return 1.0


def _decaying(now: Moment) -> float:
    """How far the final decay has come, 0..1."""
    share = now.config.decay_fraction
    return min(1.0, max(0.0, (now.done - (1 - share)) / share))


class Results(Protocol):
    """The part of a run's progress that results are counted in."""

    epoch: int
    reference: float | None  # the last value that was better by min_delta
    since_best: int  # epochs since then
    since_drop: int  # epochs since then or since the last decay by plateau
    drops: int


def is_better(config: TrainConfig, value: float, than: float | None, delta: float = 0.0) -> bool:
    """Whether a validation figure beats another by more than `delta`."""
    if than is None:
        return True
    return value > than + delta if config.higher_is_better else value < than - delta


def note_result(results: Results, config: TrainConfig, value: float) -> None:
    """Count an epoch's result for early stopping and plateau; `epoch` is counted already."""
    if is_better(config, value, results.reference, config.min_delta):
        results.reference = value
        results.since_best = results.since_drop = 0
        return
    results.since_best += 1
    results.since_drop += results.epoch > config.warmup_epochs
    if results.since_drop >= config.plateau_epochs:
        results.drops, results.since_drop = results.drops + 1, 0
