"""Settings that are changed while a run trains: obeyed at the next step, once, in order, and again after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab import run_changes, run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.events import Event, Metrics, RunState, Started, read_events
from imgcls_lab.run_changes import Change

from .conftest import events_of, of_type
from .forking import fork_from
from .test_resume import assert_same_end, start, stop_after

Make = Callable[..., TrainConfig]
Wanted = Mapping[int, Sequence[tuple[str, float | None]]]  # by the step after which it is asked for
HARD: dict[str, Any] = {"ema_decay": 0.9, "mixup": 0.4, "gradient_accumulation_steps": 2, "epochs": 3}


def asking(folder: Path, wanted: Wanted) -> Callable[[Event], None]:
    """Asks for changes as soon as a step is written, as the executor does."""
    left = dict(wanted)

    def on_event(event: Event) -> None:
        if isinstance(event, Metrics):
            for field, value in left.pop(event.step, ()):
                ask(folder, field, value)

    return on_event


def ask(folder: Path, field: str, value: float | None) -> None:
    path = folder / run_layout.CHANGES
    known = run_changes.parse(path.read_bytes()) if path.exists() else []
    run_changes.write(folder, [*known, Change(number=len(known) + 1, field=field, value=value)])


def at_steps(config: TrainConfig, folder: Path, changes: Sequence[Change]) -> Path:
    """A run that is never interrupted, with changes at given steps."""
    folder.mkdir()
    run_changes.write(folder, changes)
    assert train(config, folder).state is RunState.SUCCEEDED
    return folder


def rates(folder: Path) -> dict[int, float]:
    return {event.step: event.values["lr"] for event in of_type(folder, "metrics")}


def curve(folder: Path) -> dict[int, tuple[float, ...]]:
    """Loss, rate and gradient norm of each step; an attempt takes back the points behind that from which it goes on."""
    points: dict[int, tuple[float, ...]] = {}
    for event in (event for path in run_layout.event_files(folder) for event in read_events(path)[0]):
        if isinstance(event, Started):
            points = {step: values for step, values in points.items() if step <= event.resume_step}
        elif isinstance(event, Metrics):
            points[event.step] = tuple(event.values[tag] for tag in ("loss/train", "lr", "grad_norm"))
    return points


def test_a_change_is_obeyed_at_the_next_step_and_written_down(make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=2, schedule="constant", warmup_epochs=0, lr=0.01)
    assert train(config, tmp_path / "run", on_event=asking(tmp_path / "run", {3: [("lr", 0.003)]}))
    (event,) = of_type(tmp_path / "run", "changed")
    assert (event.number, event.step, event.field, event.old, event.new) == (1, 3, "lr", 0.01, 0.003)
    assert {rate for step, rate in rates(tmp_path / "run").items() if step <= 3} == {0.01}
    assert {rate for step, rate in rates(tmp_path / "run").items() if step > 3} == {0.003}


def test_more_and_fewer_epochs_end_the_run_there(make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=2)
    for epochs, wanted in ((3, {6: [("epochs", 3)]}), (1, {2: [("epochs", 1)]})):
        folder = tmp_path / str(epochs)
        train(config, folder, on_event=asking(folder, wanted))
        per_epoch = of_type(folder, "started")[0].steps_per_epoch
        assert of_type(folder, "finished")[0].step == epochs * per_epoch
        assert of_type(folder, "changed")[0].total_steps == epochs * per_epoch
        assert of_type(folder, "changed")[0].epochs == epochs


def test_fewer_epochs_than_have_begun_end_the_run_with_the_one_under_way(make_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(make_config(epochs=5), folder, on_event=asking(folder, {10: [("epochs", 1)]}))
    (event,) = of_type(folder, "changed")
    assert event.new == 2
    assert of_type(folder, "finished")[0].step == 2 * of_type(folder, "started")[0].steps_per_epoch


def test_a_patience_and_the_kept_epochs_are_obeyed(make_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    config = make_config(epochs=30, lr=1e-9, keep_last=2)  # it learns nothing
    wanted = {1: [("save_every_epochs", 1), ("early_stopping_patience", 2)]}
    train(config, folder, on_event=asking(folder, wanted))
    epochs = of_type(folder, "finished")[0].step // of_type(folder, "started")[0].steps_per_epoch
    assert 3 <= epochs < 30
    assert {f"epoch-{number:04d}" for number in range(1, epochs + 1)} <= {
        path.name for path in (folder / "checkpoints").iterdir()
    }


def test_the_log_interval_is_obeyed(make_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(make_config(epochs=2), folder, on_event=asking(folder, {1: [("log_every", 1000)]}))
    per_epoch = of_type(folder, "started")[0].steps_per_epoch
    assert [event.step for event in of_type(folder, "metrics")] == [1, per_epoch, 2 * per_epoch]


def test_a_change_that_arrives_twice_counts_once(make_config: Make, tmp_path: Path) -> None:
    folder, asks = tmp_path / "run", asking(tmp_path / "run", {2: [("lr", 0.002)]})

    def on_event(event: Event) -> None:
        asks(event)
        if isinstance(event, Metrics) and event.step == 4:
            same = run_changes.parse((folder / run_layout.CHANGES).read_bytes())
            run_changes.write(folder, [*same, *same])

    train(make_config(epochs=2), folder, on_event=on_event)
    assert len(of_type(folder, "changed")) == 1


@pytest.mark.parametrize("stop_at", [2, 5])
def test_a_resumed_run_with_changes_ends_bit_equal(make_config: Make, tmp_path: Path, stop_at: int) -> None:
    config, folder = make_config(**HARD), tmp_path / "run"
    wanted = {2: [("lr", 0.02)], 4: [("lr", 0.005), ("epochs", 4)], 6: [("lr", 0.001)]}
    stop, stopping = stop_after(stop_at)
    asks = asking(folder, wanted)

    def on_event(event: Event) -> None:
        asks(event)
        stopping(event)

    assert train(config, folder, stop=stop, on_event=on_event).state is RunState.STOPPED
    assert train(config, folder, on_event=asks).state is RunState.SUCCEEDED
    obeyed = run_changes.obeyed_in(folder)
    assert [change.number for change in obeyed] == [1, 2, 3, 4]
    whole = at_steps(config, tmp_path / "whole", obeyed)
    assert_same_end(folder, whole)
    assert curve(folder) == curve(whole)


def test_changes_behind_the_last_checkpoint_are_obeyed_at_their_steps_again(make_config: Make, tmp_path: Path) -> None:
    """Killed -9 after two changes, before its first checkpoint; a third is asked for meanwhile and waits for them."""
    config, folder = make_config(**HARD, schedule="constant", warmup_epochs=0), tmp_path / "run"
    first = [Change(number=1, field="lr", value=0.02, step=1), Change(number=2, field="epochs", value=4, step=3)]
    folder.mkdir()
    run_changes.write(folder, first)
    process = start(folder, config, 1)
    try:
        while len(of_type(folder, "changed")) < 2:
            assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    run_changes.write(folder, [*(change.model_copy(update={"step": None}) for change in first),
                               Change(number=3, field="lr", value=0.001)])  # fmt: skip
    train(config, folder)
    obeyed = run_changes.obeyed_in(folder)
    assert [(change.number, change.step) for change in obeyed[:2]] == [(1, 1), (2, 3)]
    assert (obeyed[2].step or 0) >= 3
    assert_same_end(folder, at_steps(config, tmp_path / "whole", obeyed))


def test_a_fork_begins_with_what_was_changed_before_it(make_config: Make, tmp_path: Path) -> None:
    config, folder = make_config(**HARD, save_every_epochs=1, keep_last=100), tmp_path / "parent"
    train(config, folder, on_event=asking(folder, {2: [("lr", 0.004)]}))
    changed = config.with_changes(lr=0.004)
    fork_from(folder, tmp_path / "fork", "epoch-0001", changed, changed)
    assert train(changed, tmp_path / "fork").state is RunState.SUCCEEDED
    assert_same_end(folder, tmp_path / "fork")
    assert not of_type(tmp_path / "fork", "changed")


def test_a_fork_obeys_changes_of_its_own(make_config: Make, tmp_path: Path) -> None:
    config, folder = make_config(epochs=2, schedule="constant", save_every_epochs=1), tmp_path / "parent"
    train(config, folder, on_event=asking(folder, {1: [("lr", 0.004)]}))
    changed = config.with_changes(lr=0.004)
    fork_from(folder, tmp_path / "fork", "epoch-0001", changed, changed)
    run_changes.write(tmp_path / "fork", [Change(number=1, field="lr", value=0.5)])
    train(changed, tmp_path / "fork")
    assert [event.new for event in of_type(tmp_path / "fork", "changed")] == [0.5]
    assert set(rates(tmp_path / "fork").values()) == {0.5}


def test_a_damaged_file_changes_nothing_and_is_said_once(make_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / run_layout.CHANGES).write_text(json.dumps({"lr": 1}))
    assert train(make_config(epochs=2), folder).state is RunState.SUCCEEDED
    assert len([event for event in of_type(folder, "notice") if "cannot be read" in event.text]) == 1
    assert not of_type(folder, "changed")


def test_all_processes_of_a_run_obey_at_the_same_step(make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=3, num_processes=2, device="cpu", schedule="constant", warmup_epochs=0, lr=0.01)
    folder = tmp_path / "run"
    train(config, folder, on_event=asking(folder, {2: [("lr", 0.004), ("epochs", 2)]}))
    obeyed = run_changes.obeyed_in(folder)
    assert [change.field for change in obeyed] == ["lr", "epochs"]
    assert of_type(folder, "finished")[0].step == 2 * of_type(folder, "started")[0].steps_per_epoch
    assert_same_end(folder, at_steps(config, tmp_path / "whole", obeyed))


def test_what_a_run_has_obeyed_follows_from_its_events(make_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(make_config(epochs=2), folder, on_event=asking(folder, {1: [("lr", 0.3)], 3: [("epochs", 3)]}))
    obeyed = run_changes.changes_at_steps(events_of(folder))
    assert [(each.number, each.step, each.field, each.value) for each in obeyed] == [
        (1, 1, "lr", 0.3),
        (2, 3, "epochs", 3),
    ]
    assert run_changes.changes_at_steps([*events_of(folder), *events_of(folder)]) == obeyed
