"""Figures are exact, and what is written can be read by others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.metrics import Counts
from imgcls_lab.wire import EpochReport

from .conftest import events_of, of_type
from .test_resume import stop_after

Run = Callable[..., Outcome]


@pytest.mark.parametrize("classes", [3, 8])
def test_figures_are_those_of_scikit_learn(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, classes, generator=generator)
    labels = torch.randint(0, classes, (200,), generator=generator)
    counts = Counts(classes)
    for start in range(0, 200, 64):
        counts.add(logits[start : start + 64], labels[start : start + 64])
    found, values = logits.argmax(1), counts.values()
    assert values["metric/accuracy"] == pytest.approx(float((found == labels).float().mean()))
    assert values["metric/macro_f1"] == pytest.approx(f1_score(labels, found, average="macro"))
    assert values["loss/val"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)
    top = logits.topk(min(5, classes)).indices
    assert values["metric/top5"] == pytest.approx(float((top == labels[:, None]).any(1).float().mean()))
    report = counts.report([str(i) for i in range(classes)], epoch=1, step=2, split="val")
    assert report.confusion == confusion_matrix(labels, found).tolist()
    precision, recall, f1, support = precision_recall_fscore_support(labels, found)
    assert [c.images for c in report.classes] == support.tolist()
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert [getattr(c, name) for c in report.classes] == pytest.approx(expected.tolist())


def test_class_without_images_has_no_figures() -> None:
    counts = Counts(3)
    counts.add(torch.eye(3)[[0, 1]], torch.tensor([0, 1]))
    empty = counts.report(["a", "b", "c"], epoch=1, step=1, split="val").classes[2]
    assert (empty.images, empty.precision, empty.recall, empty.f1) == (0, None, None, None)
    assert counts.values()["metric/macro_f1"] == 1.0


def test_each_epoch_has_report_and_predictions(run: Run) -> None:
    folder = run().folder
    for event in of_type(folder, "epoch"):
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
    }
    assert set(of_type(folder, "epoch")[0].values) == {
        "loss/val",
        "metric/accuracy",
        "metric/top5",
        "metric/macro_f1",
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
