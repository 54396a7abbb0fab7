"""Runs of all kinds over a real Ray and a real Slurm, with PostgreSQL: each ends once, and nothing of it lives on."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcls_lab.events import DesiredState, RunKind, RunState
from tests.clusters.kinds_lab import KindsLab
from tests.clusters.rebuilt import places, rebuilt

KINDS = [RunKind.SWEEP, RunKind.NOTEBOOK, RunKind.TASK] + [RunKind.TRAIN] * 5
both = pytest.mark.parametrize("kinds_lab", ["ray", "slurm"], indirect=True)

# a cluster, its jobs and PostgreSQL start a hundred processes: minutes on a busy machine
pytestmark = pytest.mark.timeout(900)


@both
def test_every_kind_of_run_ends_once_and_leaves_nothing(kinds_lab: KindsLab, tmp_path: Path) -> None:
    lab = kinds_lab
    sweep = lab.sweep([1e-3, 1e-2, 1e-1], steps=10, save_every=5)
    notebook, audit = lab.notebook(), lab.audit()
    lab.until(lambda: lab.trials(sweep), 180, lab.daemon_log)
    assert lab.driver(sweep).alive(), "its driver is a process of the executor's host"
    for run_id in (sweep, notebook, audit):
        lab.ended(run_id)
    assert lab.cells(sweep) == ["succeeded"] * 3
    clone = lab.train(parent=lab.trials(sweep)[0].id, steps=5)
    lab.ended(clone)
    lab.until(lambda: not lab.living() and not lab.left(), 30, lambda: f"{lab.living()} {lab.left()}")
    lab.whole()
    runs = lab.all()
    assert sorted(run.kind for run in runs) == sorted(
        [RunKind.SWEEP, RunKind.NOTEBOOK, RunKind.TASK] + [RunKind.TRAIN] * 5
    )
    assert {(run.state, run.attempt, run.host) for run in runs} == {(RunState.SUCCEEDED, 1, lab.settings.backend)}
    for record in (True, False):
        assert places(rebuilt(lab.settings, clone, tmp_path, record=record)) == places(lab.run(clone))
    assert rebuilt(lab.settings, sweep, tmp_path, record=False).host == lab.settings.backend


@both
def test_a_sweep_is_stopped_with_its_trials_and_goes_on_with_them(kinds_lab: KindsLab) -> None:
    lab = kinds_lab
    sweep = lab.sweep([1e-4, 1e-3, 1e-2], steps=3000, step_seconds=0.05, save_every=100)  # none ends by itself
    lab.until(lambda: sum(run.step > 5 for run in lab.trials(sweep)) == 3, 180, lab.daemon_log)
    lab.store.runs.set_desired_state(sweep, DesiredState.STOP)
    lab.ended(sweep, state=RunState.STOPPED)
    for trial in lab.trials(sweep):
        lab.ended(trial.id, state=RunState.STOPPED)
    saved = {trial.id: trial.step for trial in lab.trials(sweep)}
    lab.until(lambda: not lab.left(), 30, lambda: str(lab.left()))
    (lab.root.parent / "wish.json").write_text('{"steps": 3000, "step_seconds": 0.001, "save_every": 500}')
    lab.store.runs.resume(sweep)
    lab.ended(sweep)
    assert {run.id: lab.run(run.id).resumed_at_step for run in lab.trials(sweep)} == saved
    lab.until(lambda: not lab.left(), 30, lambda: str(lab.left()))
    lab.whole()
