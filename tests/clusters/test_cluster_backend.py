"""Runs as jobs of an outer scheduler: what Ray and Slurm share, on a scheduler of the test's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlmodel import select

from imgcls_lab import TrainConfig, signing
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor import processes
from imgcls_lab.executor.backends.job_scheduler import job_id
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.run_layout import launch_name, new_run_id, write_atomic
from imgcls_lab.store.tables import DeviceClaim
from tests.clusters.cluster_lab import stub_argv
from tests.clusters.process_scheduler import ProcessScheduler
from tests.clusters.rebuilt import places, rebuilt
from tests.clusters.toy_lab import ToyLab
from tests.executor.stub_lab import ROOT


@pytest.fixture
def lab(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyLab]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lab = ToyLab(home, ProcessScheduler(tmp_path / "jobs"))
    yield lab
    lab.close()


def beats(lab: ToyLab, run_id: str) -> bool:
    return lab.run(run_id).step > 0


def test_runs_get_devices_of_their_own_and_leave_nothing(lab: ToyLab):
    ids = [lab.launch(steps=10) for _ in range(3)]
    for run_id in ids:
        run = lab.end(run_id)
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 1), run.message
        assert lab.steps(run_id) == list(range(1, 11))
        owner = json.loads((lab.settings.run_dir(run_id) / "owner.json").read_text())
        assert owner["node"] == "node1"
        assert run.attempts[0].devices == [f"node1/gpu:{owner['devices'][0]}"]
        assert owner["devices"] in (["0"], ["1"])
        lab.until(lambda run_id=run_id: lab.left(run_id) == [])
    assert lab.store.executors.status().devices == [], "a token of a cluster is no device of a machine"
    with lab.store.database.read() as session:
        assert session.exec(select(DeviceClaim)).all() == []


def test_a_stopped_run_saves_and_goes_on_from_there(lab: ToyLab):
    run_id = lab.launch(steps=60, hold_at=8)
    lab.rounds(lambda: beats(lab, run_id))
    lab.stop_and_go_on(run_id, 60)


@pytest.mark.parametrize("wish", [DesiredState.STOP, DesiredState.KILL])
def test_a_run_that_waits_in_the_clusters_queue_is_taken_back_at_once(lab: ToyLab, wish: DesiredState):
    lab.scheduler.paused = True
    run_id = lab.launch(steps=50)
    lab.rounds(lambda: "queue" in (lab.run(run_id).message or ""))
    lab.store.runs.set_desired_state(run_id, wish)
    assert lab.end(run_id).state is RunState.CANCELLED
    lab.scheduler.paused = False
    lab.rounds(lambda: lab.scheduler.processes)
    lab.rounds(lambda: all(process.poll() == 0 for process in lab.scheduler.processes.values()), 30)
    assert not (lab.settings.run_dir(run_id) / "events-001.jsonl").exists(), "its job has started since, and trained"


def test_a_scheduler_that_is_away_ends_nothing(lab: ToyLab, tmp_path: Path):
    back = tmp_path / "back"
    run_id, waiting = lab.launch(steps=60, hold_at=20, hold_until=str(back)), lab.launch(steps=3)
    lab.rounds(lambda: beats(lab, run_id))
    lab.scheduler.away = True
    lab.rounds(lambda: "does not answer" in (lab.run(run_id).message or ""))
    late = lab.launch(steps=3)
    lab.rounds_for(2 * lab.settings.lease)
    assert (lab.state(run_id), lab.run(run_id).attempt) == (RunState.RUNNING, 1)
    lab.restart()
    lab.rounds_for(0.5)
    assert lab.state(run_id) is RunState.RUNNING
    lab.scheduler.away = False
    back.touch()
    for each in (run_id, waiting, late):
        assert lab.end(each).state is RunState.SUCCEEDED
    assert lab.run(run_id).attempt == 1
    assert lab.steps(run_id) == list(range(1, 61))


@pytest.mark.parametrize("who", ["agent", "supervisor"])
def test_a_killed_job_leaves_nothing_and_goes_on_elsewhere(lab: ToyLab, who: str):
    run_id = lab.launch(steps=40, hold_at=14, children=2, first_attempt_only=True)
    lab.rounds(lambda: lab.run(run_id).step > 12)
    if who == "agent":
        lab.scheduler.signal(job_id(run_id, 1), signal.SIGKILL)
    else:
        os.kill(lab.supervisor(run_id), signal.SIGKILL)
    lab.until(lambda: processes.tagged(processes.tag_of(run_id, 1)) == [])
    run = lab.end(run_id)
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert (run.resumed_at_step or 0) >= 10
    assert lab.steps(run_id) == list(range(1, 41))
    lab.until(lambda: lab.left(run_id) == [])
    assert "Traceback" not in lab.scheduler.log(job_id(run_id, 1)), lab.scheduler.log(job_id(run_id, 1))


def test_a_job_that_the_cluster_ends_saves_and_is_queued_again(lab: ToyLab):
    run_id = lab.launch(steps=40, hold_at=8)
    lab.rounds(lambda: lab.run(run_id).step > 6)
    lab.scheduler.signal(job_id(run_id, 1), signal.SIGTERM)
    run = lab.end(run_id)
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert run.attempts[0].state == "lost"
    assert run.resumed_at_step is not None
    assert run.resumed_at_step > 5, "the last checkpoint of its own was at step 5"


def test_a_lost_node_that_still_beats_is_ended_before_the_run_starts_again(lab: ToyLab):
    run_id = lab.launch(steps=200, step_seconds=0.05, hold_at=20, first_attempt_only=True)
    lab.rounds(lambda: beats(lab, run_id))
    lab.scheduler.gone.add(job_id(run_id, 1))
    lab.rounds(lambda: lab.run(run_id).attempt == 2)
    assert processes.tagged(processes.tag_of(run_id, 1)) == []
    assert not (lab.settings.run_dir(run_id) / "doubled").exists()
    lab.store.runs.set_desired_state(run_id, DesiredState.KILL)
    lab.end(run_id)


def test_an_attempt_that_was_replaced_ends_itself(lab: ToyLab):
    """A node that was cut off comes back, and finds that its run goes on elsewhere."""
    run_id = lab.launch(steps=400, hold_at=20)
    lab.rounds(lambda: beats(lab, run_id))
    (lab.settings.run_dir(run_id) / launch_name(2)).write_text("{}")
    lab.until(lambda: lab.left(run_id) == [])


def test_a_job_whose_hand_over_was_lost_is_tried_again(lab: ToyLab):
    lab.scheduler.away = True
    lab.rounds_for(0.3)
    lab.scheduler.gpus = 2
    run_id = lab.launch(steps=3)
    lab.rounds(lambda: not lab.daemon.inventory.devices or lab.run(run_id).attempt == 1)
    lab.restart()
    lab.scheduler.away = False
    run = lab.end(run_id)
    assert run.state is RunState.SUCCEEDED


def test_a_node_of_another_version_refuses_with_a_sentence(lab: ToyLab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("imgcls_lab.executor.backends.cluster.__version__", "0.0.1")
    run = lab.end(lab.launch(steps=3))
    assert run.state is RunState.FAILED
    assert "0.0.1" in (run.message or "")
    assert "node1" in (run.message or "")


def test_a_node_without_the_package_says_so(lab: ToyLab):
    lab.scheduler.environment["PYTHONPATH"] = "/nowhere"
    lab.settings.node_python = "/usr/bin/python3"
    run = lab.end(lab.launch(steps=3))
    assert run.state is RunState.FAILED
    assert "IMGCLS_NODE_PYTHON" in (run.message or "")


def test_a_node_that_shows_another_number_of_gpus_refuses(lab: ToyLab):
    lab.scheduler.environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    original = lab.scheduler._start_waiting
    lab.scheduler.jobs.clear()

    def two_for_one() -> None:
        for name, job in list(lab.scheduler.jobs.items()):
            if name not in lab.scheduler.processes:
                lab.scheduler.jobs[name] = job.__class__(**{**vars(job), "gpus": 2})
        original()

    lab.scheduler._start_waiting = two_for_one  # type: ignore[method-assign]
    run = lab.end(lab.launch(steps=3))
    assert run.state is RunState.FAILED
    assert "2 GPUs" in (run.message or "")


def test_a_refused_submission_fails_with_the_schedulers_words(lab: ToyLab):
    lab.scheduler.refuses = "The quota of GPUs is used up."
    run = lab.end(lab.launch(steps=3))
    assert (run.state, run.message) == (RunState.FAILED, "The quota of GPUs is used up.")


def test_a_nodes_clock_decides_nothing(lab: ToyLab, tmp_path: Path):
    clock = tmp_path / "clock"
    clock.write_text("3600")
    lab.scheduler.environment |= {"CHAOS_CLOCK": str(clock), "PYTHONPATH": f"{ROOT}/tests/chaos/clock:{ROOT}"}
    run_id = lab.launch(steps=60, hold_at=20, hold_until=str(tmp_path / "moved"))
    lab.rounds(lambda: beats(lab, run_id))
    clock.write_text("-3600")
    (tmp_path / "moved").touch()
    run = lab.end(run_id)
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 1)
    assert lab.steps(run_id) == list(range(1, 61))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide a folder from a process")
def test_a_node_that_does_not_share_the_home_refuses(lab: ToyLab):
    hide = f'mount -t tmpfs tmpfs {lab.settings.home_path} && exec "$@"'
    lab.scheduler.prefix = ("unshare", "--mount", "sh", "-c", hide, "node")
    run = lab.end(lab.launch(steps=3))
    assert run.state is RunState.FAILED
    assert str(lab.settings.home_path) in (run.message or "")
    assert "IMGCLS_HOME" in (run.message or "")


def test_a_training_of_a_shell_is_followed_by_the_daemon_of_a_cluster(lab: ToyLab):
    """It lives on this host, and not on the cluster."""
    run_id = new_run_id()
    folder = lab.settings.run_dir(run_id)
    folder.mkdir(parents=True)
    config = TrainConfig(root="/data").model_dump_json()
    info = {"id": run_id, "name": "in a shell", "notes": json.dumps({"steps": 5, "stay": 3})}
    write_atomic(folder / "config.json", config)
    write_atomic(folder / "run.json", json.dumps(signing.signed_info(lab.settings.home_path, info, config.encode())))
    with subprocess.Popen([*stub_argv("train", "", folder, 1)]) as trainer:
        identity = ProcessIdentity.of(trainer.pid)
        assert identity is not None
        write_atomic(folder / "owner.json", identity.to_json())
        lab.rounds(lambda: any(run.id == run_id and run.step == 5 for run in lab.all()), 30)
    lab.rounds(lambda: lab.state(run_id) is RunState.SUCCEEDED, 30)
    assert (lab.run(run_id).host, lab.run(run_id).external) == (host_name(), True)


@pytest.mark.parametrize("record", [True, False])
def test_a_rebuild_finds_a_run_under_its_cluster_and_its_devices(lab: ToyLab, tmp_path: Path, record: bool):
    run = lab.end(lab.launch(steps=3))
    again = rebuilt(lab.settings, run.id, tmp_path, record=record)
    assert places(again) == places(run)
    assert (again.host, again.view_only, again.external) == ("ray", False, False)
    assert again.attempts[0].devices[0].startswith("node1/gpu:")
