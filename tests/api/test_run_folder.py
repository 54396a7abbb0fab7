"""A run as its folder tells it, read on while it grows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.errors import ConflictError, NotFoundError
from imgcls_lab.events import EpochEnded, EventWriter, Finished, Metrics, Phase, RunState, Started, Stopped
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.schemas import Cursor

STARTED = Started(
    total_steps=20,
    steps_per_epoch=10,
    epochs=2,
    train_images=100,
    val_images=20,
    classes=2,
    device="cpu",
    precision="fp32",
    threads=1,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = TrainConfig(root="flowers", model_flavour="some/model")
    (tmp_path / run_layout.CONFIG).write_text(config.model_dump_json())
    (tmp_path / run_layout.RUN_INFO).write_text(json.dumps({"id": "20260101-000000-aaaaaa", "name": "by hand"}))
    return tmp_path


def step(number: int, loss: float) -> Metrics:
    return Metrics(step=number, epoch=number / 10, values={"loss/train": loss})


def test_state_follows_the_events(folder: Path) -> None:
    run = RunFolder(folder)
    assert run.run().state is RunState.STARTING
    with EventWriter(folder, 1) as events:
        events.write(Phase(name="scanning images"))
        assert run.run().phase == "scanning images"
        events.write(STARTED)
        events.write(step(1, 2.0))
        view = run.run()
        assert (view.state, view.step, view.total_steps, view.phase) == (RunState.RUNNING, 1, 20, None)
        events.write(EpochEnded(step=10, epoch=1, seconds=3, values={"metric/accuracy": 0.5}, best=True))
        assert run.run().best == run.run().best.model_copy(update={"metric": "accuracy", "value": 0.5, "epoch": 1})
        events.write(Finished(step=20, best_epoch=1, values={"test/accuracy": 0.25}))
    view = run.run()
    assert view.latest["test/accuracy"] == 0.25
    assert (view.state, view.resumable, view.name) == (RunState.SUCCEEDED, False, "by hand")
    assert view.ended_at is not None


def test_resumed_attempt_takes_back_the_steps_that_it_walks_again(folder: Path) -> None:
    run = RunFolder(folder)
    with EventWriter(folder, 1) as events:
        events.write(STARTED)
        for number in range(1, 9):
            events.write(step(number, 1.0))
    reader = run.series().cursors[run.run_id]
    with EventWriter(folder, 2) as events:
        events.write(STARTED.model_copy(update={"resume_step": 5}))
        events.write(step(6, 0.5))
    news = run.points_since(reader)
    assert news.superseded == {run.run_id: 5}
    assert [(s.tag, s.step, s.value) for s in news.series] == [("loss/train", [6], [0.5])]
    (whole,) = run.series().series
    assert whole.step == [1, 2, 3, 4, 5, 6]
    assert run.points_since(run.series().cursors[run.run_id]).series == []


def test_a_flipped_byte_costs_its_line_and_no_look_at_the_run(folder: Path) -> None:
    with EventWriter(folder, 1) as events:
        events.write(STARTED)
        for number in range(1, 6):
            events.write(step(number, 1.0))
        events.write(Finished(step=20, best_epoch=1, values={}))
    lines = events.path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"step"', b'"st\xf0p"')
    events.path.write_bytes(b"".join(lines))
    run = RunFolder(folder)
    assert run.run().state is RunState.SUCCEEDED
    assert run.series().series[0].step == [1, 2, 4, 5]
    assert run.series().series[0].step == [1, 2, 4, 5]


def test_a_folders_curves_share_its_training_time_without_the_pauses(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = iter([100, 101, 102, 103, 103.5, 104, 9000, 9001, 9002])
    monkeypatch.setattr(time, "time", lambda: next(stamps))
    run = RunFolder(folder)
    with EventWriter(folder, 1) as events:
        events.write(STARTED)
        for number in (1, 2, 3):
            events.write(step(number, 1.0))
        events.write(EpochEnded(step=3, epoch=1, seconds=3, values={"metric/accuracy": 0.5}))
        events.write(step(4, 1.0))
    reader = run.series().cursors[run.run_id]
    assert {series.tag: series.time for series in run.series().series}["metric/accuracy"] == [3.5]
    with EventWriter(folder, 2) as events:
        events.write(STARTED.model_copy(update={"resume_step": 3}))
        events.write(step(4, 0.5))
        events.write(step(5, 0.5))
    assert run.series(["loss/train"]).series[0].time == [1, 2, 3, 4.5, 5.5]
    assert run.points_since(reader).series[0].time == [4.5, 5.5]


def test_thinning_keeps_ends_and_extremes(folder: Path) -> None:
    run = RunFolder(folder)
    with EventWriter(folder, 1) as events:
        events.write(STARTED)
        for number in range(1, 1001):
            events.write(step(number, 100.0 if number == 517 else -3.0 if number == 803 else 1.0))
    (thin,) = run.series(["loss/train"], max_points=50).series
    assert thin.thinned
    assert len(thin.step) <= 50
    assert {1, 517, 803, 1000} <= set(thin.step)
    assert thin.step == sorted(thin.step)
    assert len(run.points_since(Cursor()).series[0].step) == 1000


def test_what_is_not_finite_is_a_hole(folder: Path) -> None:
    with EventWriter(folder, 1) as events:
        events.write(STARTED)
        events.write(step(1, float("nan")))
    assert RunFolder(folder).series().series[0].value == [None]


def test_run_whose_process_died_is_lost_and_one_that_stopped_is_not(folder: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.of(child.pid)
    assert identity is not None
    (folder / run_layout.OWNER).write_text(identity.to_json())
    with EventWriter(folder, 1) as events:
        events.write(STARTED)
    assert RunFolder(folder).run().state is RunState.RUNNING
    child.communicate(b"\n")
    assert RunFolder(folder).run().state is RunState.LOST
    assert "without a word" in str(RunFolder(folder).run().message)
    with EventWriter(folder, 1) as events:
        events.write(Stopped(step=3))
    assert RunFolder(folder).run().state is RunState.STOPPED


def test_a_folder_counts_what_its_attempts_ran_and_no_pause(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for attempt, begins in ((1, 1000.0), (2, 9000.0)):  # the first is cut off, the second stopped
        with EventWriter(folder, attempt) as events:
            monkeypatch.setattr(time, "time", lambda begins=begins: begins)
            events.write(STARTED)
            monkeypatch.setattr(time, "time", lambda begins=begins: begins + 60)
            events.write(step(attempt, 0.5))
        if attempt == 1:
            assert RunFolder(folder).run().seconds(1100.0) == 100
    view = RunFolder(folder).run()
    assert (view.ran, view.running_since) == (60, 9000)
    with EventWriter(folder, 2) as events:
        events.write(Stopped(step=2))
    assert RunFolder(folder).run().seconds(99_999.0) == 120


def test_a_folder_without_a_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no run"):
        RunFolder(tmp_path).run()


def test_a_folder_takes_no_commands(folder: Path) -> None:
    with pytest.raises(ConflictError, match="stop it there"):
        RunFolder(folder).command("stop")
