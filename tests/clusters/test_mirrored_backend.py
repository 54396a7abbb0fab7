"""Runs on nodes that share no disk with the head, with the stub trainer and a folder as the object store."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor.backends.job_scheduler import job_id
from imgcls_lab.executor.mirror import head
from imgcls_lab.schemas import SubmitRequest
from tests.chaos.proxy import Proxy
from tests.clusters.s3_server import Bucket
from tests.clusters.store_lab import StoreLab
from tests.executor.stub_lab import ROOT
from tests.waiting import free_port


@pytest.fixture
def lab(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreLab]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "store").mkdir()
    lab = StoreLab(home, tmp_path, f"file://{tmp_path}/store")
    yield lab
    lab.close()


def finished(lab: StoreLab, run_id: str, steps: int) -> int:
    """Let a run end, check that no step is missing or doubled; its attempts."""
    run = lab.end(run_id)
    assert run.state is RunState.SUCCEEDED, run.message
    assert lab.steps(run_id) == list(range(1, steps + 1))
    lab.until(lambda: not lab.mirrors())
    return run.attempt


def test_a_stopped_run_saves_and_goes_on_on_another_node(lab: StoreLab) -> None:
    run_id = lab.launch(steps=60, hold_at=8)
    lab.reaches(run_id, 7)
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    stopped = lab.end(run_id)
    assert (stopped.state, stopped.resumable) == (RunState.STOPPED, True)
    second = lab.on_node("second")
    lab.store.runs.resume(run_id)
    lab.rounds(lambda: lab.state(run_id) is RunState.RUNNING)
    assert finished(lab, run_id, 60) == 2
    assert lab.run(run_id).resumed_at_step == stopped.step
    assert (second / "runs" / run_id / "exit-002.json").exists()


def test_a_store_and_a_sender_that_die_cost_no_metric(lab: StoreLab, tmp_path: Path) -> None:
    run_id = lab.launch(steps=60, hold_at=10, hold_until=str(tmp_path / "seen"))
    lab.reaches(run_id, 3)
    lab.kill_mirrors()
    (tmp_path / "store").rename(tmp_path / "away")
    lab.rounds(lambda: "store" in (lab.run(run_id).message or ""))
    lab.rounds_for(1.5 * lab.settings.lease)
    assert (lab.state(run_id), lab.run(run_id).attempt) == (RunState.RUNNING, 1)
    (tmp_path / "seen").touch()
    (tmp_path / "away").rename(tmp_path / "store")
    assert finished(lab, run_id, 60) == 1


def test_a_node_that_is_killed_leaves_its_run_to_another(lab: StoreLab) -> None:
    run_id = lab.launch(steps=60, hold_at=13)
    lab.reaches(run_id, 12)
    lab.kill_mirrors()
    lab.scheduler.signal(job_id(run_id, 1), signal.SIGKILL)
    lab.on_node("second")
    lab.rounds(lambda: lab.run(run_id).attempt == 2)
    assert finished(lab, run_id, 60) == 2
    assert (lab.run(run_id).resumed_at_step or 0) >= 5


def test_another_daemon_goes_on_with_what_is_under_way(lab: StoreLab, tmp_path: Path) -> None:
    run_id = lab.launch(steps=60, hold_at=8, hold_until=str(tmp_path / "restarted"))
    lab.reaches(run_id, 5)
    lab.restart()
    (tmp_path / "restarted").touch()
    assert finished(lab, run_id, 60) == 1


def test_a_node_waits_for_a_store_that_it_does_not_reach(
    home: Path, tmp_path: Path, s3_server: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is cut while the run is handed over: the head reaches the store, the node does not."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lab, port = StoreLab(home, tmp_path, s3_server.url), free_port()
    lab.scheduler.environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    try:
        run_id = lab.launch(steps=5)
        lab.rounds(lab.mirrors)
        lab.rounds_for(8)
        assert (lab.state(run_id), len(lab.mirrors())) == (RunState.STARTING, 1)
        proxy = Proxy(int(s3_server.endpoint.rsplit(":", 1)[1]), at=port)
        assert finished(lab, run_id, 5) == 1
        proxy.close()
    finally:
        lab.close()


def test_a_store_that_refuses_keeps_a_run_waiting_with_a_sentence(lab: StoreLab, tmp_path: Path) -> None:
    (tmp_path / "store").rename(tmp_path / "away")
    run_id = lab.launch(steps=5)
    lab.rounds(lambda: "does not exist" in (lab.run(run_id).message or ""))
    assert lab.state(run_id) is RunState.STARTING
    (tmp_path / "away").rename(tmp_path / "store")
    assert finished(lab, run_id, 5) == 1


def test_a_run_whose_objects_were_deleted_goes_on_from_what_the_home_has(
    lab: StoreLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for ever for what nobody sends again."""
    monkeypatch.setattr(head, "GIVE_UP", 3.0)
    run_id = lab.launch(steps=60, step_seconds=0.05)
    lab.reaches(run_id, 12)
    lab.until(lambda: (tmp_path / "nodes/first/runs" / run_id / "exit-001.json").exists() and not lab.mirrors(), 60)
    for path in (tmp_path / "store/runs" / run_id / "objects").iterdir():
        path.unlink()
    lab.on_node("second")
    lab.rounds(lambda: "has no “" in (lab.run(run_id).message or ""))
    assert finished(lab, run_id, 60) == 2
    assert (lab.run(run_id).resumed_at_step or 0) >= 5


def test_runs_that_are_handed_over_while_the_head_restarts_are_run_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "store").mkdir()
    lab = StoreLab(home, tmp_path, f"file://{tmp_path}/store", cpu_slots=2)
    try:
        (tmp_path / "store").rename(tmp_path / "away")
        runs = [lab.launch(steps=5) for _ in range(4)]
        for _ in range(3):  # sent by halves, or not at all
            lab.rounds(lambda: sum("does not exist" in (run.message or "") for run in lab.all()) == 2)
            lab.restart()
        (tmp_path / "away").rename(tmp_path / "store")
        lab.rounds(lambda: lab.scheduler.submitted)
        lab.restart()
        for run_id in runs:
            finished(lab, run_id, 5)
            begun = [*home.glob(f"runs/{run_id}/events-*.jsonl")]
            assert len(begun) == 1, begun
    finally:
        lab.close()


def test_a_start_ends_with_the_agent_that_waits_for_it(
    home: Path, tmp_path: Path, s3_server: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lab = StoreLab(home, tmp_path, s3_server.url)
    lab.scheduler.environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{free_port()}"
    try:
        run_id = lab.launch(steps=5)
        lab.rounds(lab.mirrors)
        lab.scheduler.processes[job_id(run_id, 1)].kill()  # not its group
        lab.until(lambda: not lab.mirrors())
        del lab.scheduler.environment["AWS_ENDPOINT_URL"]
        assert finished(lab, run_id, 5) == 2
    finally:
        lab.close()


def test_a_kill_does_not_wait_for_a_store_that_is_away(lab: StoreLab, tmp_path: Path) -> None:
    run_id = lab.launch(steps=4000, step_seconds=0.05)
    lab.reaches(run_id, 3)
    (tmp_path / "store").rename(tmp_path / "away")
    lab.store.runs.set_desired_state(run_id, DesiredState.KILL)
    lab.rounds(lambda: not lab.processes_of(run_id))
    (tmp_path / "away").rename(tmp_path / "store")
    assert lab.end(run_id).state is RunState.CANCELLED
    lab.until(lambda: lab.left(run_id) == [])


def test_a_run_that_needs_the_heads_disk_is_refused(lab: StoreLab, tmp_path: Path) -> None:
    config = {"root": "/data", "device": "auto", "ckpt_dir": str(tmp_path / "models")}
    run = lab.end(lab.store.runs.submit(SubmitRequest(config=config)).id)
    assert run.state is RunState.FAILED
    assert "ckpt_dir" in (run.message or "")
