"""Schedules: timm's forms, plateaus and early stopping counted right, and exactly the same after a resume."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.scheduler import create_scheduler_v2

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.optim.lr_schedules import SCHEDULES, learning_rate, note_result
from imgcls_lab.events import RunState

from .conftest import curve, of_type, same_files

Make = Callable[..., TrainConfig]
EPOCHS, PER_EPOCH = 10, 7
TOTAL = EPOCHS * PER_EPOCH


def rates(config: TrainConfig, drops: int = 0) -> list[float]:
    return [learning_rate(config, step, TOTAL, PER_EPOCH, drops) for step in range(TOTAL)]


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
def test_schedules_are_those_of_timm(
    make_config: Make, name: str, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    config = make_config(
        **{"schedule": name, "epochs": EPOCHS, "lr": 1.0, "warmup_epochs": 0, "min_lr_ratio": 0.1} | ours
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, _ = create_scheduler_v2(
        optimizer,
        **{"sched": name, "num_epochs": EPOCHS, "min_lr": config.min_lr_ratio, "cycle_decay": 1.0} | theirs,
        step_on_epochs=False,
        updates_per_epoch=PER_EPOCH,
    )
    expected = []
    for step in range(TOTAL):
        scheduler.step_update(step)
        expected.append(optimizer.param_groups[0]["lr"])
    assert rates(config) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_warms_up_to_lr_and_never_rises_again(make_config: Make, name: str) -> None:
    config = make_config(schedule=name, epochs=EPOCHS, lr=1.0, warmup_epochs=2)
    course = rates(config)
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
def test_options_of_a_schedule_change_its_course(make_config: Make, name: str, field: str, value: float) -> None:
    config = make_config(schedule=name, epochs=EPOCHS, lr=1.0)
    assert rates(config) != rates(config.with_changes(**{field: value}))


def test_a_plateau_decays_down_to_the_floor(make_config: Make) -> None:
    config = make_config(schedule="plateau", lr=1.0, warmup_epochs=0, decay_rate=0.5, min_lr_ratio=0.2)
    assert [learning_rate(config, 5, TOTAL, PER_EPOCH, drops) for drops in range(4)] == [1.0, 0.5, 0.25, 0.2]


@dataclass
class Counted:
    epoch: int = 0
    reference: float | None = None
    since_best: int = 0
    since_drop: int = 0
    drops: int = 0


def counted(config: TrainConfig, values: list[float]) -> Counted:
    results = Counted()
    for value in values:
        results.epoch += 1
        note_result(results, config, value)
    return results


def test_epochs_without_a_gain_are_counted_from_the_last_one(make_config: Make) -> None:
    config = make_config(schedule="plateau", plateau_epochs=2, epochs=20, warmup_epochs=0)
    assert counted(config, [0.5, 0.5, 0.4]) == Counted(3, 0.5, 2, 0, 1)
    assert counted(config, [0.5, 0.5, 0.4, 0.6, 0.6]) == Counted(5, 0.6, 1, 1, 1)
    assert counted(config, [0.5] * 5).drops == 2
    assert counted(config.with_changes(warmup_epochs=4), [0.5] * 5) == Counted(5, 0.5, 4, 1, 0)


def test_a_gain_below_min_delta_does_not_count_but_adds_up(make_config: Make) -> None:
    config = make_config(min_delta=0.1, epochs=20)
    assert counted(config, [0.50, 0.55, 0.59]).since_best == 2
    assert counted(config, [0.50, 0.55, 0.61]).since_best == 0
    lower = config.with_changes(monitor_metric="loss")
    assert counted(lower, [0.50, 0.45]).since_best == 1
    assert counted(lower, [0.50, 0.39]).since_best == 0


def test_min_delta_ends_a_run_that_hardly_improves(make_config: Make, tmp_path: Path) -> None:
    base = make_config(epochs=6, monitor_metric="loss", early_stopping_patience=2, lr=1e-3)
    patient = train(base, tmp_path / "patient")
    strict = train(base.with_changes(min_delta=100.0), tmp_path / "strict")
    assert len(of_type(patient.folder, "epoch")) == 6
    assert len(of_type(strict.folder, "epoch")) == 3
    assert strict.state is RunState.SUCCEEDED


def test_a_plateau_goes_on_bit_equal_after_a_stop(make_config: Make, tmp_path: Path) -> None:
    config = make_config(
        schedule="plateau", plateau_epochs=1, decay_rate=0.5, epochs=5, monitor_mode="min", min_delta=0.01
    )
    train(config, tmp_path / "whole")
    stop = threading.Event()
    train(config, tmp_path / "parts", stop=stop, on_event=lambda e: stop.set() if getattr(e, "step", 0) >= 26 else None)
    train(config, tmp_path / "parts")
    whole = curve(tmp_path / "whole", "lr")
    assert len({round(rate, 9) for rate in whole[8:]}) > 1, "the plateau never decayed: this test shows nothing"
    later = [event.values["lr"] for event in of_type(tmp_path / "parts", "metrics", attempt=2)]
    assert later == whole[-len(later) :]
    assert same_files(*(tmp_path / name / "checkpoints/last" for name in ("whole", "parts")), "model.safetensors")
