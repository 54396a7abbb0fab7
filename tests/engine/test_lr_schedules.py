"""Plateaus and early stopping are counted right, and exactly the same after a resume."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.optim.lr_scheduler import note_result
from imgcls_lab.events import RunState

from .conftest import curve, of_type, same_files

Make = Callable[..., TrainConfig]


@dataclass
class Counted:
    epoch: int = 0
    reference: float | None = None
    since_best: int = 0
    epochs_since_decay: int = 0
    plateau_decays: int = 0


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
    assert counted(config, [0.5] * 5).plateau_decays == 2
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
