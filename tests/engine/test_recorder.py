"""Figures are exact, and what is written can be read by others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.schemas import EpochReport

from .conftest import events_of, of_type
from .test_resume import stop_after

Run = Callable[..., Outcome]


def test_each_epoch_has_report_and_predictions(run: Run) -> None:
    folder = run().folder
    epochs = of_type(folder, "epoch")
    assert [event.epoch for event in epochs] == [1, 2]
    for event in epochs:
        report = EpochReport.model_validate_json((folder / event.report).read_text())
        assert (report.epoch, report.step, report.images) == (event.epoch, event.step, 40)
        assert report.values["metric/accuracy"] == event.values["metric/accuracy"]
        with np.load(folder / f"predictions/epoch-{event.epoch:04d}.npz", allow_pickle=False) as stored:
            hits = stored["classes"][:, 0] == stored["labels"]
        assert float(hits.mean()) == pytest.approx(event.values["metric/accuracy"])


def test_events_come_in_order_and_hold_every_tag(run: Run) -> None:
    folder = run().folder
    events = events_of(folder)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert set(of_type(folder, "metrics")[0].values) == {
        "loss/train",
        "lr",
        "grad_norm",
        "throughput/images_per_second",
        "throughput/data_wait",
        "device/memory_gb",
    }
    assert set(of_type(folder, "epoch")[0].values) == {
        "loss/val",
        "metric/accuracy",
        "metric/macro_f1",
        "metric/weighted_f1",
        "metric/balanced_accuracy",
        "metric/calibration_error",
        "metric/auroc",
        "time/epoch",
    }
    assert [event.step for event in of_type(folder, "metrics")] == list(range(1, 17))
    assert of_type(folder, "metrics")[-1].epoch == 2.0


def test_tensorboard_reads_the_same_points_after_a_resume(
    make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    stop, on_event = stop_after(5)
    train(make_config(), tmp_path / "run", stop=stop, on_event=on_event)
    train(make_config(), tmp_path / "run")
    board = EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    points = board.Scalars("loss/train")
    assert [point.step for point in points] == list(range(1, 17))
    expected = [
        event.values["loss/train"]
        for attempt in (1, 2)
        for event in of_type(tmp_path / "run", "metrics", attempt=attempt)
    ]
    assert [point.value for point in points] == pytest.approx(expected)
    assert [point.step for point in board.Scalars("metric/accuracy")] == [8, 16]


def test_an_epoch_with_checkpoints_inside_is_not_counted_twice(run: Callable[..., Outcome]) -> None:
    folder = run(epochs=2, checkpoint_every_minutes=1e-5).folder
    epochs = of_type(folder, "epoch")
    assert len(of_type(folder, "checkpoint")) > len(epochs)
    assert sum(epoch.seconds for epoch in epochs) <= epochs[-1].t - of_type(folder, "started")[0].t + 0.05
