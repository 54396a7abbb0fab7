"""What a wait says: a row for every epoch, however quick, and a sentence where nobody sees to the run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import imgcls_lab as lab
from api.conftest import few, idle, own
from imgcls_lab import TrainConfig
from imgcls_lab.api.progress import TerminalLine
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.events import EpochEnded, EventWriter, Failed, FailureKind, Finished, Metrics, RunState, Started
from imgcls_lab.executor import client
from imgcls_lab.run_layout import CONFIG
from imgcls_lab.settings import Settings

__all__ = ["few", "idle", "own"]
BEGIN = Started(
    total_steps=6, steps_per_epoch=1, epochs=6, train_images=8, val_images=2, classes=2, device="cpu", precision="fp32",
    threads=1,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CONFIG).write_text(TrainConfig(root="/data").model_dump_json())
    return tmp_path / "run"


def ended(out: EventWriter, *epochs: int, loss: float | None = None) -> None:
    for epoch in epochs:
        out.write(Metrics(step=epoch, epoch=epoch, values={"loss/train": 1.0}))
        values = {"loss/val": 1 / epoch if loss is None else loss, "metric/accuracy": epoch / 10}
        out.write(EpochEnded(step=epoch, epoch=epoch, seconds=0.01, values=values))


def rows(text: str) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines() if line.startswith("epoch")]


def test_every_epoch_between_two_looks_leaves_a_row(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, line = RunFolder(folder), TerminalLine()
    with EventWriter(folder, 1) as out:
        out.write(BEGIN)
        line.show(run.run(), run.series)
        ended(out, 1, 2, 3)
        line.show(run.run(), run.series)
        line.show(run.run(), run.series)
        ended(out, 4)
        line.show(run.run(), run.series)
        ended(out, 5, 6, loss=0.25)  # its last figures may be those of the look before
        out.write(Finished(step=6, best_epoch=6, values={}))
        line.show(run.run(), run.series)
    printed = capsys.readouterr().err
    assert rows(printed) == [1, 2, 3, 4, 5, 6]
    assert "epoch   2   loss 0.5000   accuracy 20.0 %" in printed


def test_who_comes_late_sees_the_last_epoch_and_each_one_after_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, line = RunFolder(folder), TerminalLine()
    with EventWriter(folder, 1) as out:
        out.write(BEGIN)
        ended(out, 1, 2, 3)
        line.show(run.run(), run.series)
        ended(out, 4, 5)
        line.show(run.run(), run.series)
    assert rows(capsys.readouterr().err) == [3, 4, 5]


def test_epochs_before_a_failure_have_their_rows(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, line = RunFolder(folder), TerminalLine()
    with EventWriter(folder, 1) as out:
        out.write(BEGIN)
        line.show(run.run(), run.series)
        ended(out, 1, 2)
        out.write(Failed(step=2, kind=FailureKind.APPLICATION, message="No."))
        line.print_epochs(run.run(), run.series)
    printed = capsys.readouterr().err
    assert rows(printed) == [1, 2]
    assert "No." not in printed


def test_a_wait_starts_the_executor_that_is_gone(few: TrainConfig, own: Settings) -> None:
    run = lab.launch(few.with_changes(epochs=1))
    client.stop(own)
    assert run.wait(timeout=120).view.state is RunState.SUCCEEDED


def test_a_wait_in_vain_says_so_once(
    few: TrainConfig, idle: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("imgcls_lab.api.executor_status.EVERY", 0.1)
    run = lab.launch(few)
    with pytest.raises(TimeoutError):
        run.wait(timeout=1, poll=0.1)
    assert capsys.readouterr().err.count("No executor runs on this machine, so queued runs wait.") == 1


def test_a_wish_for_a_live_run_starts_the_executor_that_passes_it_on(few: TrainConfig, own: Settings) -> None:
    run = lab.launch(few.with_changes(epochs=500))
    end = time.monotonic() + 60
    while run.refresh().view.step < 1:
        assert time.monotonic() < end
        time.sleep(0.1)
    client.stop(own)
    assert not client.lives(own)
    run.kill()
    while run.state is not RunState.CANCELLED:
        assert time.monotonic() < end
        time.sleep(0.1)
