"""IMGCLS_BACKEND is changed while runs live: they stay where they began, are watched there, and start nowhere twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab.api import context
from imgcls_lab.cli import main
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor import backends
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.daemon import Daemon
from imgcls_lab.identity import host_name
from imgcls_lab.settings import Settings
from tests.clusters.cluster_lab import stub_argv
from tests.clusters.process_scheduler import ProcessScheduler
from tests.clusters.toy_lab import ToyLab
from tests.executor.stub_lab import ROOT


class ChangingLab(ToyLab):
    """`go_back`: its executor ends, and another one starts for this host alone."""

    def go_back(self, **traits: object) -> None:
        self.daemon._sign_off(self.daemon.store_of(self.store))
        self.backend.close()
        settings = Settings(**{**self.settings.trait_values(), "backend": "local", **traits})
        self.backend = LocalBackend(settings, stub_argv)
        self.daemon = Daemon(settings, backend=self.backend)
        self.daemon._register(self.daemon.store_of(self.store))

    def close(self) -> None:
        self.daemon._others.close()
        super().close()


@pytest.fixture
def lab(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChangingLab]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    scheduler = ProcessScheduler(tmp_path / "jobs")
    monkeypatch.setitem(backends.SCHEDULERS, "ray", lambda _: scheduler)
    lab = ChangingLab(home, scheduler, autostart=False)
    yield lab
    lab.close()
    context.close()


def test_runs_of_before_are_watched_to_their_end_where_they_live(
    lab: ChangingLab, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = tmp_path / "seen"
    wish = {"device": "auto", "step_seconds": 0.05, "save_every": 1000}
    stopped = lab.launch(steps=2000, **wish)
    whole = lab.launch(steps=60, hold_at=20, hold_until=str(seen), **wish)
    lab.rounds(lambda: min(lab.run(each).step for each in (stopped, whole)) > 3)
    jobs = [*lab.scheduler.submitted]
    lab.go_back()
    new = lab.launch(device="cpu", steps=3)
    assert lab.end(new).host == host_name()
    assert "ray" in caplog.text
    assert stopped in caplog.text
    with pytest.raises(SystemExit):
        main(["executor", "status"])
    assert f"({stopped}) lives on ray, and IMGCLS_BACKEND is local now" in " ".join(capsys.readouterr().out.split())
    seen.touch()
    assert (lab.end(whole).state, lab.run(whole).attempt) == (RunState.SUCCEEDED, 1)
    lab.store.runs.set_desired_state(stopped, DesiredState.STOP)
    ended = lab.end(stopped)
    assert (ended.state, ended.host, ended.resumable) == (RunState.STOPPED, "ray", True)
    assert lab.scheduler.submitted == jobs, "nothing more was handed over"
    lab.rounds(lambda: not lab.daemon._others._backends)
    lab.store.runs.resume(stopped)
    lab.rounds(lambda: lab.run(stopped).step > ended.step)
    assert lab.run(stopped).host == host_name()
    lab.store.runs.set_desired_state(stopped, DesiredState.KILL)
    lab.end(stopped)
    assert lab.steps(stopped)[: ended.step] == list(range(1, ended.step + 1))
    assert not (lab.settings.run_dir(stopped) / "doubled").exists()


def test_a_cluster_that_cannot_be_reached_any_more_is_named_at_its_runs(lab: ChangingLab) -> None:
    run_id = lab.launch(device="auto", steps=2000, step_seconds=0.05, save_every=1000)
    lab.rounds(lambda: lab.run(run_id).step > 3)
    lab.go_back()
    lab.scheduler.away = True
    lab.rounds(lambda: "does not answer. The run goes on." in (lab.run(run_id).message or ""), 30)
    assert (lab.state(run_id), lab.run(run_id).attempt) == (RunState.RUNNING, 1)
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    assert lab.end(run_id).state is RunState.STOPPED, "by the home that they share"
    lab.until(lambda: lab.left(run_id) == [])


def test_a_run_whose_folder_comes_by_an_object_store_says_which_setting_is_missing(
    lab: ChangingLab, tmp_path: Path
) -> None:
    run_id = lab.launch(device="auto", steps=2000, step_seconds=0.05)
    lab.rounds(lambda: lab.run(run_id).step > 3)
    launch = lab.settings.run_dir(run_id) / "launch-001.json"
    launch.write_text(launch.read_text().replace('"IMGCLS_STORE_URL": ""', '"IMGCLS_STORE_URL": "s3://bucket/runs"'))
    lab.go_back()
    lab.rounds(lambda: "Set IMGCLS_STORE_URL to that again" in (lab.run(run_id).message or ""))
    assert "s3://bucket/runs" in (lab.run(run_id).message or "")
    lab.store.runs.set_desired_state(run_id, DesiredState.KILL)
    lab.end(run_id)
    lab.until(lambda: lab.left(run_id) == [])
