"""Sweeps whose trainings are a stub: real daemon, real driver, real study. Kills, holes, sharing, pruning."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

import imgcls_lab as lab
from imgcls_lab import Sweep, TrainConfig, cpu
from imgcls_lab.api import context
from imgcls_lab.batch.sweep_spec import make_request
from imgcls_lab.batch.sweep_view import request_of
from imgcls_lab.batch.trial_runs import TrialRuns
from imgcls_lab.errors import ConfigError, ImgclsError
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.executor import client
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.planning.fingerprint import file_digest
from imgcls_lab.schemas import ChangeEdit, DatasetEdit, RevisionEdit, SubmitRequest
from imgcls_lab.settings import Settings
from tests.batch.conftest import Stubs
from tests.waiting import until


def _request(stubs: Stubs) -> SubmitRequest:
    """A sweep as `lab.sweep` queues it, which here would start an executor of its own."""
    request = make_request(base=stubs.base.model_dump(mode="json"), space={"lr": [1e-3, 1e-2]})
    return SubmitRequest(kind=RunKind.SWEEP, payload={"request": request.model_dump(mode="json")})


def cells(sweep: Sweep) -> dict[Any, str]:
    return {trial.params["lr"]: trial.state for trial in sweep.view.trials}


def test_a_grid_survives_kills_of_daemon_and_driver_and_runs_each_trial_once(stubs: Stubs) -> None:
    stubs.epochs_take(0.5)
    sweep = stubs.sweep([1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2])
    assert set(cells(sweep).values()) == {"waiting"}
    stubs.start()
    until(lambda: any(state == "succeeded" for state in cells(sweep).values()))
    stubs.kill()
    driver = sweep.run.refresh().view.attempts[-1].pid
    assert driver is not None
    os.kill(driver, signal.SIGKILL)
    stubs.epochs_take(0.05)
    stubs.start()
    sweep.wait(60)
    assert set(cells(sweep).values()) == {"succeeded"}
    assert sweep.run.view.attempt == 2
    assert len(stubs.runs()) == 6
    assert all(run.view.attempt == 1 for run in stubs.runs())
    assert {run.id for run in lab.runs(where=f"sweep={sweep.run.id}")} == {run.id for run in stubs.runs()}
    assert sweep.best.config.lr == 1e-3
    frame = sweep.results()
    assert frame["accuracy"].idxmax() == 2
    assert frame["epochs"].tolist() == [2] * 6
    assert frame["run"].nunique() == 6

    report = nbformat.read(sweep.report(stubs.settings.home_path / "report.ipynb"), as_version=4)
    shown = [o for c in report.cells if c.cell_type == "code" for o in c.outputs]
    assert sum("image/svg+xml" in output.get("data", {}) for output in shown) == 2
    assert not any(output.output_type == "error" for output in shown)


def test_the_driver_starts_an_executor_that_nobody_else_would(stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
    stubs.epochs_take(1)
    monkeypatch.setenv("IMGCLS_AUTOSTART", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    stubs.start()
    sweep = Sweep(context.store().runs.submit(_request(stubs)).id)
    until(stubs.runs)
    stubs.kill()
    before = stubs.settings.executor_info.read_text()
    until(lambda: stubs.settings.executor_info.read_text() != before, 30)
    daemon = ProcessIdentity.from_json(stubs.settings.executor_info.read_text())
    environment = Path(f"/proc/{daemon.pid}/environ").read_bytes().split(b"\0")
    assert b"CUDA_VISIBLE_DEVICES=3" in environment  # not the driver's, which has none
    assert not any(line.startswith(b"IMGCLS_RUN=") for line in environment)
    client.stop(stubs.settings)
    assert sweep.run.refresh().view.attempt == 1


def test_fill_runs_exactly_what_failed_or_was_deleted(stubs: Stubs) -> None:
    stubs.fails.write_text("0.003")
    sweep = stubs.sweep([1e-4, 1e-3, 3e-3, 1e-2])
    stubs.start()
    sweep.wait(60)
    assert cells(sweep) == {1e-4: "succeeded", 1e-3: "succeeded", 3e-3: "failed", 1e-2: "succeeded"}
    assert sweep.view.holes == 1
    assert "1 of 4" in sweep.run.log()
    deleted = next(run for run in stubs.runs() if run.config.lr == 1e-4)
    deleted.delete()
    assert cells(sweep)[1e-4] == "missing"
    assert sweep.view.holes == 2

    stubs.fails.unlink()
    before = {run.id: run.view.attempt for run in stubs.runs()}
    sweep.fill().wait(60)
    assert set(cells(sweep).values()) == {"succeeded"}
    assert sweep.view.holes == 0
    after = {run.id: run.view.attempt for run in stubs.runs()}
    assert len(after) == 4
    assert deleted.id not in after
    changed = [run for run, attempt in after.items() if before.get(run) != attempt]
    assert sorted(lab.run(run).config.lr for run in changed) == [1e-4, 3e-3]

    sweep.fill().wait(60)  # nothing is missing: nothing runs
    assert {run.id: run.view.attempt for run in stubs.runs()} == after


def test_a_sweep_without_any_result_has_failed_and_can_be_filled(stubs: Stubs) -> None:
    stubs.fails.write_text("0.003")
    sweep = stubs.sweep([3e-3])
    stubs.start()
    with pytest.raises(ImgclsError, match="no result"):
        sweep.wait(60)
    stubs.fails.unlink()
    sweep.fill().wait(60)
    assert cells(sweep) == {3e-3: "succeeded"}


def test_an_added_value_and_a_second_sweep_run_only_what_is_new(stubs: Stubs) -> None:
    stubs.start()
    first = stubs.sweep([1e-4, 1e-3]).wait(60)
    ids = {run.id for run in stubs.runs()}
    wider = first.extend({"lr": [1e-2]}).wait(60)
    assert list(cells(wider)) == [1e-4, 1e-3, 1e-2]
    assert len(stubs.runs()) == 3
    with pytest.raises(ConfigError, match="all of these values"):
        wider.extend({"lr": [1e-3, 1e-2]})
    assert ids <= {trial.run_id for trial in wider.view.trials}
    searched = stubs.sweep([1e-4, 1e-3, 1e-2], strategy="random", budget=6).wait(60)
    assert set(cells(searched).values()) == {"succeeded"}
    assert len(stubs.runs()) == 3
    assert ids <= {run.id for run in lab.runs(where=f"sweep={first.run.id}")}, "a trial stays that of its first sweep"


def test_pruning_ends_bad_trials_early_and_says_so(stubs: Stubs) -> None:
    stubs.epochs_take(0.4)
    stubs.base = stubs.base.with_changes(epochs=6)
    stubs.start()
    space = {"low": 1e-6, "high": 1.0, "log": True}
    sweep = stubs.sweep(space, strategy="asha", budget=9).wait(90)
    states = [trial.state for trial in sweep.view.trials]
    assert states.count("pruned") >= 3
    assert set(states) == {"pruned", "succeeded"}
    pruned = [lab.run(str(trial.run_id)) for trial in sweep.view.trials if trial.state == "pruned"]
    assert {run.state for run in pruned} == {RunState.STOPPED}
    assert all("Pruned by the sweep “it”" in str(run.view.message) for run in pruned)
    assert all(run.view.epoch < 6 for run in pruned)
    assert sweep.view.holes == 0
    assert sweep.view.epochs_done < 9 * 6


def test_a_stopped_sweep_stops_its_trials_and_fill_goes_on_with_them(stubs: Stubs) -> None:
    stubs.epochs_take(0.4)
    stubs.base = stubs.base.with_changes(epochs=15)
    stubs.start()
    sweep = stubs.sweep([1e-4, 1e-3, 1e-2, 1e-1])
    until(lambda: any(run.view.step > 1 for run in stubs.runs()))
    sweep.stop()
    until(lambda: sweep.state is RunState.STOPPED)
    until(lambda: all(run.state in {RunState.STOPPED, RunState.CANCELLED} for run in stubs.runs()))
    assert sweep.view.holes == 4
    stubs.epochs_take(0.01)
    sweep.fill().wait(60)
    assert set(cells(sweep).values()) == {"succeeded"}
    assert max(run.view.attempt for run in stubs.runs()) == 2
    assert all(trial.curve[-1].epoch == 15 for trial in sweep.view.trials)


def test_a_point_that_makes_no_run_is_a_hole_with_its_reason(stubs: Stubs) -> None:
    stubs.start()
    space = {"epochs": [1, 2, 3], "warmup_epochs": [0.5, 1.0, 2.5]}
    with pytest.raises(ConfigError, match="longer than the run"):
        lab.sweep(stubs.base, {"epochs": [1], "warmup_epochs": [2.5]})
    sweep = lab.sweep(stubs.base, space).wait(90)
    failed = [trial for trial in sweep.view.trials if trial.state == "failed"]
    assert [trial.params["epochs"] for trial in failed] == [1, 2]
    assert all("longer than the run" in str(trial.message) for trial in failed)
    assert all(trial.hole and trial.run_id is None for trial in failed)


def test_a_sweep_over_revisions_has_a_hole_where_there_is_no_such_revision(stubs: Stubs) -> None:
    stubs.start()
    store = context.store()
    dataset = store.datasets.add(DatasetEdit(name="few", root=stubs.base.root)).id
    image = file_digest(sorted(Path(stubs.base.root).glob("train/3/*"))[0]).hex()
    store.revisions.add(dataset, RevisionEdit(changes=[ChangeEdit(image=image, label="5")]))
    missing = str(Path(stubs.base.root).parent / "nothing.json")
    sweep = lab.sweep(stubs.base, {"data_revision": [99, missing, 0, 1]}, name="revisions").wait(90)
    found = {trial.params["data_revision"]: (trial.state, trial.message) for trial in sweep.view.trials}
    assert [found[value][0] for value in (99, missing, 0, 1)] == ["failed", "failed", "succeeded", "succeeded"]
    assert "99" in (found[99][1] or "")
    assert sweep.view.holes == 2


def test_in_a_cell_a_sweep_is_live_by_its_id_and_a_table_elsewhere(stubs: Stubs) -> None:
    stubs.start()
    sweep = stubs.sweep([1e-3]).wait(60)
    bundle = sweep._repr_mimebundle_()
    assert bundle["application/vnd.imgcls.sweep+json"] == {"run_id": sweep.id, "version": 1}
    assert sweep.view.trials[0].run_id in bundle["text/html"]
    assert "1 of 1 trial," in bundle["text/plain"]


def test_a_trials_identity_names_what_decides_on_its_precision_and_threads(
    few: TrainConfig, idle: Settings, write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity(**notebook: Any) -> str:
        base = {"x": 1} if notebook else few.with_changes(threads=None)
        run = context.store().runs.get(lab.sweep(base, {"lr": [1e-3]}, **notebook).id)
        return TrialRuns(context.store(), run, request_of(run)).identity({"lr": 1e-3})

    notebook = {"notebook": write("x = 0\nlr = 0.1", "print(x, lr)")}
    kinds: list[dict[str, Any]] = [{}, notebook]
    before = [identity(**kind) for kind in kinds]
    assert [identity(**kind) for kind in kinds] == before
    monkeypatch.setattr(cpu, "arithmetic", lambda: "x86_64 avx2 avx512f avx512_bf16 and more")
    other = [identity(**kind) for kind in kinds]
    monkeypatch.setattr(cpu, "cores", lambda: 64)
    more = [identity(**kind) for kind in kinds]
    assert len({*before, *other, *more}) == 6


def test_a_trials_identity_is_of_its_corrections(few: TrainConfig, idle: Settings) -> None:
    store = context.store()
    dataset = store.datasets.add(DatasetEdit(name="few", root=few.root)).id
    image = file_digest(sorted(Path(few.root).glob("train/3/*"))[0]).hex()

    def identity(revision: int | None) -> str:
        run = store.runs.get(lab.sweep(few.with_changes(data_revision=revision), {"lr": [1e-3]}).id)
        return TrialRuns(store, run, request_of(run)).identity({"lr": 1e-3})

    for label in ("5", "6"):
        store.revisions.add(dataset, RevisionEdit(changes=[ChangeEdit(image=image, label=label)]))
    assert len({identity(None), identity(1), identity(2)}) == 3
    trial = store.runs.submit(SubmitRequest(config={**few.model_dump(mode="json"), "data_revision": 2}))
    assert store.runs.get(trial.id).data_revision_digest == store.revisions.overlay(dataset, 2).digest
