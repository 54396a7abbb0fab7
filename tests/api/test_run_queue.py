"""Runs in the queue, as a notebook has them: the real store, the real executor, real training."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import imgcls_lab as lab
from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.api import Replicates
from imgcls_lab.errors import ConfigError, ConflictError, DataError, ImgclsError, InputError, NotFoundError
from imgcls_lab.events import RunState
from imgcls_lab.settings import Settings
from imgcls_lab.store import submitting


def until(run: lab.Run, *states: RunState, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while run.state not in states:
        assert time.monotonic() < end, f"{run!r}\n{run.log()}"
        time.sleep(0.1)


def test_launched_run_trains_and_everything_it_made_can_be_read(few: TrainConfig, own: Settings) -> None:
    run = lab.launch(few, name="two epochs", project="tests")

    assert run.wait(timeout=120) is run

    assert run.state is RunState.SUCCEEDED
    assert (run.name, run.view.project, run.config) == ("two epochs", "tests", few)
    frame = run.metrics()
    assert list(frame.index) == list(range(1, 11))  # 160 images, 32 a step, 2 epochs
    assert frame["loss/train"].notna().all()
    assert list(frame["metric/accuracy"].dropna().index) == [5, 10]
    assert frame["epoch"].iloc[-1] == 2
    assert list(run.metrics(["lr"]).columns) == ["epoch", "lr"]
    assert (run.best_checkpoint / "model.safetensors").is_file()
    assert run.report().epoch == 2
    assert len(run.report(1).classes) == 10
    with pytest.raises(NotFoundError, match="epochs 1 to 2"):
        run.report(9)
    with pytest.raises(InputError, match="did you mean val"):
        run.report(split="vall")
    with pytest.raises(NotFoundError, match="did you mean loss/val"):
        run.metrics("los/val")
    with pytest.raises(InputError, match="did you mean hf"):
        run.export("hff")  # type: ignore[arg-type]
    assert "finished at step" in run.log(tail=1)
    assert run.id in run._repr_html_()


def test_stopped_run_can_be_resumed_killed_and_deleted(few: TrainConfig, own: Settings) -> None:
    run = lab.launch(few.with_changes(epochs=500))
    until(run, RunState.RUNNING)
    while run.refresh().view.step < 1:
        time.sleep(0.1)

    run.stop().wait(timeout=60)
    assert run.state is RunState.STOPPED
    stopped_at = run.view.step
    assert stopped_at > 0

    with pytest.raises(ConfigError, match="lr: changes the result"):
        run.resume(lr=0.5)
    assert run.resume(keep_last=4).config.keep_last == 4
    until(run, RunState.RUNNING)
    assert '"keep_last": 4' in (run.folder / run_layout.CONFIG).read_text()
    with pytest.raises(ConflictError, match="stop it before"):
        run.delete()
    run.kill()
    until(run, RunState.CANCELLED)
    assert run.refresh().view.step >= stopped_at

    run.delete()
    assert not run.folder.exists()
    with pytest.raises(NotFoundError):
        run.refresh()


def test_failed_run_raises_its_own_sentence(few: TrainConfig, own: Settings, tmp_path: Path) -> None:
    empty = tmp_path / "no model"
    empty.mkdir()
    run = lab.launch(few.with_changes(model_flavour=str(empty)))
    with pytest.raises(ImgclsError, match="no model"):
        run.wait(timeout=120)
    assert "Traceback" in run.log()
    with pytest.raises(NotFoundError, match="no checkpoint yet"):
        _ = run.best_checkpoint


def test_wait_gives_up_after_its_timeout_and_leaves_the_run_alone(few: TrainConfig, idle: Settings) -> None:
    run = lab.launch(few)
    with pytest.raises(TimeoutError, match="waits in the queue"):
        run.wait(timeout=0.3, poll=0.1)
    assert run.state is RunState.QUEUED
    assert run.stop().state is RunState.CANCELLED


def test_bad_configs_are_refused_before_anything_is_queued(few: TrainConfig, idle: Settings, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        lab.launch(few.with_changes(root=str(tmp_path / "nowhere")))
    with pytest.raises(ConfigError, match="batch_size:"):
        lab.launch({**few.model_dump(), "batch_size": 0})
    with pytest.raises(ConfigError, match="did you mean epochs"):
        lab.launch({**few.model_dump(), "epoch": 1})
    with pytest.raises(ConfigError, match="load_pretrained off"):
        lab.launch(few.with_changes(load_pretrained=True))
    assert len(lab.runs()) == 0


def test_what_is_worth_knowing_is_said_before_anything_is_queued(
    few: TrainConfig, idle: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.launch(few)
    assert capsys.readouterr().err == ""
    flat = shutil.copytree(Path(few.root) / "train", tmp_path / "flat")
    lab.launch(few.with_changes(root=str(flat), image_size=None))
    said = capsys.readouterr().err
    assert "10 folders" in said
    assert "about 32 px" in said
    form = lab.form(few.with_changes(image_size=None))
    assert "image_size, such as 32" in form.message.value
    assert not form.button.disabled


def test_names_and_relative_paths_are_found(few: TrainConfig, idle: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    files = lab.demo.prepare()
    monkeypatch.chdir(Path(few.root).parent)
    assert lab.launch(few.with_changes(root="few digits")).config.root == few.root
    named = lab.launch(few.with_changes(root="digits", model_flavour="tiny-resnet"))
    assert named.config.root == str(files.root)
    assert named.config.model_flavour == str(files.model)
    assert named.view.dataset_id is not None
    assert named.view.model_id is not None


def test_runs_are_listed_filtered_and_shown_as_a_frame(few: TrainConfig, idle: Settings) -> None:
    first = lab.launch(few, name="first", project="one")
    second = lab.launch(few, name="second", project="two")
    second.stop()

    assert [run.id for run in lab.runs()] == [second.id, first.id]
    assert [run.name for run in lab.runs(project="one")] == ["first"]
    assert lab.runs(state="cancelled")[0].id == second.id
    listed = lab.runs(limit=1)
    assert (len(listed), listed.total) == (1, 2)
    assert list(lab.runs().frame()["state"]) == ["cancelled", "queued"]
    assert "1 of 2 runs" in repr(listed)
    assert "<table" in lab.runs()._repr_html_()
    with pytest.raises(InputError, match="no state “done”"):
        lab.runs(state="done")
    with pytest.raises(NotFoundError, match="no project “three”"):
        lab.runs(project="three")
    assert lab.run(first.id).name == "first"
    with pytest.raises(NotFoundError):
        lab.run("20200101-000000-aaaaaa")


def test_the_same_key_gives_the_same_run(few: TrainConfig, idle: Settings) -> None:
    runs = {lab.launch(few, idempotency_key="press-once").id for _ in range(3)}
    assert len(runs) == 1
    with pytest.raises(ConflictError, match="used for another run"):
        lab.launch(few, idempotency_key="press-once", name="other")
    with pytest.raises(InputError, match="at least 8"):
        lab.launch(few, idempotency_key="press")


def test_the_api_is_imported_without_torch() -> None:
    code = (
        "import sys, imgcls_lab as lab; lab.launch, lab.train, lab.form, lab.Run; "
        "print([m for m in ('torch', 'transformers', 'pandas', 'ipywidgets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=True
    )
    assert done.stdout.strip() == "[]"


# ── replicates ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_replicates_differ_by_their_seed_alone_and_are_asked_for_once(few: TrainConfig, idle: Settings) -> None:
    asked = {"name": "base", "project": "tests", "tags": ["x"], "idempotency_key": "a key of mine"}
    runs = lab.launch(few, seed=7, replicates=3, **asked)  # type: ignore[arg-type]
    assert isinstance(runs, Replicates)
    assert [run.config.seed for run in runs] == [7, 8, 9]
    assert {run.config.with_changes(seed=7) for run in runs} == {runs[0].config}
    assert [run.name for run in runs] == ["base seed=7", "base seed=8", "base seed=9"]
    assert len({run.view.repetition for run in runs}) == 1
    again = lab.launch(few, seed=7, replicates=3, **asked)  # type: ignore[arg-type]
    more = lab.launch(few, seed=7, replicates=4, **asked)  # type: ignore[arg-type]
    assert [run.id for run in again] == [run.id for run in runs] == [run.id for run in more][:3]
    assert lab.runs().total == 4
    assert runs.frame()["seed"].tolist() == [7, 8, 9]
    assert (runs.mean, runs.deviation, runs.values) == (None, None, {})
    assert repr(runs).startswith("0 of 3 replicates finished")
    with pytest.raises(NotFoundError, match="None of these runs"):
        _ = runs.best
    assert {run.state for run in runs.stop()} == {RunState.CANCELLED}
    after = lab.launch(few, after=more)
    assert set(after.view.after) == {run.id for run in more}


def test_replicates_are_queued_together_or_not_at_all(
    few: TrainConfig, idle: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count(1)

    def add(*given: Any) -> str:
        if next(numbers) == 3:
            raise KeyboardInterrupt
        return add_run(*given)

    add_run = submitting.add_run
    monkeypatch.setattr(submitting, "add_run", add)
    with pytest.raises(KeyboardInterrupt):
        lab.launch(few, replicates=3)
    assert lab.runs().total == 0
    assert [path.name for path in idle.runs_dir.iterdir() if path.name[0] != "."] == []
    assert len(lab.launch(few, replicates=3)) == lab.runs().total == 3


@pytest.mark.parametrize("count", [0, 101, 2.5, True, "3"])
def test_a_number_of_replicates_that_cannot_be_is_said_before_anything_is_queued(
    few: TrainConfig, idle: Settings, count: object
) -> None:
    with pytest.raises(InputError, match="replicates: must be"):
        lab.launch(few, replicates=count)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="take a smaller seed"):
        lab.launch(few, seed=2**32 - 1, replicates=2)
    assert lab.runs().total == 0


def test_a_replicate_that_was_changed_is_left_out_and_that_is_said(few: TrainConfig, own: Settings) -> None:
    runs = lab.launch(few, replicates=3)
    runs[2].set(lr=few.lr / 2)
    runs.wait(timeout=240)
    assert [run.id for run in runs.changed] == [runs[2].id]
    assert sorted(runs.values) == sorted(run.id for run in runs[:2])
    assert runs.title().startswith("2 of 2 replicates finished: accuracy")
    assert runs.title().endswith(", without 1 run whose settings were changed meanwhile")


def test_replicates_have_a_mean_and_a_deviation(few: TrainConfig, own: Settings) -> None:
    runs = lab.launch(few, replicates=2).wait(timeout=240)
    values = [run.view.best.value for run in runs if run.view.best]
    assert len(values) == 2
    assert runs.mean == pytest.approx(sum(values) / 2)
    assert runs.deviation == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert runs.best.view.best is not None
    assert runs.best.view.best.value == max(values)
    assert "2 of 2 replicates finished: accuracy" in runs._repr_html_()
    assert lab.runs(where=runs._repr_mimebundle_()["application/vnd.imgcls.runs+json"]["query"]["where"]).total == 2


def test_a_run_where_a_config_belongs_is_told_of_its_config(few: TrainConfig, idle: Settings) -> None:
    run = lab.launch(few)
    assert run.best is None  # before its first validation
    given: Any = run
    for call in (lambda: lab.launch(given, lr=1e-3), lambda: lab.sweep(given, {"lr": [1e-3]})):
        with pytest.raises(ConfigError, match=r"run\.config"):
            call()
