"""Schedules are timm's, and a drawn curve is the curve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.scheduler import create_scheduler_v2

from imgcls_lab.config import TrainConfig
from imgcls_lab.planning.lr_schedules import CURVE_POINTS, LR_SCHEDULES, learning_rate, lr_curve, warmup_steps
from imgcls_lab.planning.steps import ForkPoint, StepPlan

EPOCHS, PER_EPOCH = 10, 7
STEPS = StepPlan(PER_EPOCH, PER_EPOCH, EPOCHS)


def make_config(**changes: Any) -> TrainConfig:
    return TrainConfig.parse({"root": "d", "epochs": EPOCHS, "lr": 1.0, **changes})


def rates(config: TrainConfig, steps: StepPlan = STEPS, plateau_decays: int = 0) -> list[float]:
    schedule = LR_SCHEDULES[config.schedule]
    return [learning_rate(schedule, config, step, steps, plateau_decays) for step in range(steps.total_steps)]


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [
        ("cosine", {}, {}),
        ("tanh", {}, {}),
        ("poly", {"poly_power": 1.5}, {"decay_rate": 1.5}),
        ("step", {"decay_epochs": 2.0, "min_lr_ratio": 0.0}, {"decay_rate": 0.1, "decay_epochs": 2}),
        ("wsd", {"decay_fraction": 0.3}, {"decay_epochs": 0.3}),
        ("constant", {}, {}),
    ],
)
def test_schedules_are_those_of_timm(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    config = make_config(**{"schedule": name, "warmup_epochs": 0, "min_lr_ratio": 0.1} | ours)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, _ = create_scheduler_v2(
        optimizer,
        **{"sched": name, "num_epochs": EPOCHS, "min_lr": config.min_lr_ratio, "cycle_decay": 1.0} | theirs,
        step_on_epochs=False,
        updates_per_epoch=PER_EPOCH,
    )
    expected = []
    for step in range(STEPS.total_steps):
        scheduler.step_update(step)
        expected.append(optimizer.param_groups[0]["lr"])
    assert rates(config) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", LR_SCHEDULES)
def test_every_schedule_warms_up_to_lr_and_never_rises_again(name: str) -> None:
    course = rates(make_config(schedule=name, warmup_epochs=2))
    warm = 2 * PER_EPOCH
    assert course[:warm] == sorted(course[:warm])
    assert course[warm] == pytest.approx(1.0, abs=0.01)
    assert course[warm:] == sorted(course[warm:], reverse=True)
    assert min(course) > 0


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("poly", "poly_power", 5.0),
        ("step", "decay_epochs", 1.0),
        ("step", "decay_rate", 0.5),
        ("wsd", "decay_fraction", 0.9),
        ("rsqrt", "decay_fraction", 0.9),
        ("linear", "min_lr_ratio", 0.5),
    ],
)
def test_options_of_a_schedule_change_its_course(name: str, field: str, value: float) -> None:
    config = make_config(schedule=name)
    assert rates(config) != rates(config.with_changes(**{field: value}))


def test_a_plateau_decays_down_to_the_floor() -> None:
    config = make_config(schedule="plateau", warmup_epochs=0, decay_rate=0.5, min_lr_ratio=0.2)
    assert [rates(config, plateau_decays=decays)[5] for decays in range(4)] == [1.0, 0.5, 0.25, 0.2]


# ── the drawn curve ─────────────────────────────────────────────────────────────────────────────────────────────
@settings(deadline=None, max_examples=50)
@given(
    schedule=st.sampled_from(sorted(LR_SCHEDULES)),
    epochs=st.integers(1, 300),
    steps_per_epoch=st.integers(1, 5),
    warmup=st.floats(0, 1),
    min_lr_ratio=st.sampled_from([0.0, 0.01, 0.5]),
    decay_epochs=st.one_of(st.none(), st.floats(20, 200)),
    decay_fraction=st.floats(0.02, 1),
    poly_power=st.floats(0.1, 10),
)
def test_lines_between_the_points_of_a_curve_are_close_to_every_step(
    schedule: str, epochs: int, steps_per_epoch: int, warmup: float, **options: Any
) -> None:
    config = make_config(schedule=schedule, epochs=epochs, warmup_epochs=warmup * epochs, **options)
    steps = StepPlan(steps_per_epoch, steps_per_epoch, epochs)
    curve = lr_curve(config, steps)
    assert curve is not None
    assert len(curve.step) <= CURVE_POINTS
    assert curve.step == sorted(set(curve.step))
    assert (curve.step[0], curve.step[-1]) == (0, steps.total_steps - 1)
    exact = rates(config, steps)
    assert [exact[step] for step in curve.step] == curve.lr
    drawn = np.interp(range(steps.total_steps), curve.step, curve.lr)
    assert np.abs(drawn - exact).max() <= 0.05  # of lr = 1: where rsqrt meets its floor between two points


@pytest.mark.parametrize("name", LR_SCHEDULES)
def test_a_long_run_has_the_corners_of_its_warm_up_exactly(name: str) -> None:
    config = make_config(schedule=name, epochs=1000, warmup_epochs=3)
    steps = StepPlan(12_345, 12_345, 1000)
    curve = lr_curve(config, steps)
    assert curve is not None
    warmup = warmup_steps(config, steps)
    assert {0, warmup - 1, warmup, steps.total_steps - 1} <= set(curve.step)
    assert len(curve.step) <= CURVE_POINTS
    assert max(curve.lr) == curve.lr[curve.step.index(warmup)]


def test_a_decay_by_steps_is_drawn_upright() -> None:
    config = make_config(schedule="step", epochs=300, warmup_epochs=0, decay_epochs=100)
    curve = lr_curve(config, StepPlan(1000, 1000, 300))
    assert curve is not None
    at = dict(zip(curve.step, curve.lr, strict=True))
    assert [at[99_999], at[100_000], at[199_999], at[200_000]] == pytest.approx([1.0, 0.1, 0.1, 0.01])


@pytest.mark.parametrize("name", LR_SCHEDULES)
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("per_epoch", [3, 7, 900])  # the parent has 7 steps an epoch
def test_the_curve_of_a_fork_is_that_of_its_own_steps(name: str, restart: bool, per_epoch: int) -> None:
    config = make_config(schedule=name, epochs=20, warmup_epochs=6)
    steps = StepPlan(per_epoch, per_epoch, 20, ForkPoint(30, 4, 2, restart))
    curve = lr_curve(config, steps, plateau_decays=1)
    assert curve is not None
    assert (curve.step[0], curve.step[-1]) == (30, steps.total_steps - 1)
    assert len(curve.step) <= CURVE_POINTS
    places = range(30, steps.total_steps)
    exact = {place: learning_rate(LR_SCHEDULES[name], config, place, steps, 1) for place in places}
    assert curve.lr == [exact[place] for place in curve.step]
    drawn = np.interp(places, curve.step, curve.lr)
    assert np.abs(drawn - [*exact.values()]).max() <= 0.05
    assert steps.epochs_before(30) == pytest.approx(4 + 2 / per_epoch)
    assert steps.epochs_before(steps.total_steps) == pytest.approx(20)
    warm = 30 + warmup_steps(config, steps) - (0 if restart else 4 * per_epoch + 2)
    assert warm in curve.step


def test_a_schedule_of_a_plugin_has_no_curve() -> None:
    assert lr_curve(make_config(schedule="mine", plugins=["mine.py"]), STEPS) is None
