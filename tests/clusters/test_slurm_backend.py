"""Runs on a real Slurm through the product's daemon; their trainer is the stub of the executor's tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab.events import DesiredState, RunState
from tests.clusters.slurm_cluster import SlurmCluster
from tests.executor.stub_lab import StubLab


@pytest.fixture
def lab(home: Path, slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubLab]:
    """A home whose daemon (started) hands runs over to Slurm."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.configuration))
    lab = StubLab(home, device="cuda", backend="slurm")
    lab.start_daemon()
    yield lab
    lab.close()
    slurm_cluster.end_jobs()


def test_a_run_is_stopped_with_a_checkpoint_and_resumed(lab: StubLab, slurm_cluster: SlurmCluster) -> None:
    run_id = lab.submit(steps=2000, step_seconds=0.01, save_every=1000)
    lab.until(lambda: len(lab.steps(run_id)) > 20, 60, lambda: f"{lab.run(run_id)}\n{lab.daemon_log()}")
    owner = json.loads((lab.settings.run_dir(run_id) / "owner.json").read_text())
    assert owner["node"] in {"node1", "node2"}
    assert owner["devices"] in (["0"], ["1"])
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    stopped = lab.wait(run_id)
    assert stopped.state is RunState.STOPPED
    assert (lab.settings.run_dir(run_id) / "checkpoints" / f"a001-s{stopped.step:08d}").is_dir()
    lab.store.runs.resume(run_id)
    lab.until(lambda: lab.run(run_id).step > stopped.step + 5, 60)
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    again = lab.wait(run_id)
    assert again.attempt == 2
    assert lab.steps(run_id) == list(range(1, again.step + 1))
    lab.until(lambda: not slurm_cluster.processes(), 10, lambda: str(slurm_cluster.processes()))


@pytest.mark.parametrize(
    ("traits", "said"),
    [
        ({"slurm_partition": "nowhere"}, "IMGCLS_SLURM_PARTITION"),
        ({"slurm_partition": "closed"}, "partition closed takes no jobs"),
        ({"slurm_options": "--constraint=nothing"}, "IMGCLS_SLURM_*"),
    ],
)
def test_settings_that_slurm_refuses_are_said_at_the_runs_which_go_on_once_they_are_corrected(
    home: Path, slurm_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch, traits: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("SLURM_CONF", str(slurm_cluster.configuration))
    lab = StubLab(home, device="cuda", backend="slurm", **traits)
    lab.start_daemon()
    runs = [lab.submit(steps=3) for _ in range(2)]
    lab.until(lambda: all(said in (lab.run(each).message or "") for each in runs), 60, lambda: str(lab.daemon_log()))
    assert {lab.state(each) for each in runs} <= {RunState.QUEUED, RunState.STARTING}
    lab.kill_daemon()
    for name in traits:
        setattr(lab.settings, name, "")
    lab.start_daemon()
    assert [lab.wait(each, seconds=90).state for each in runs] == [RunState.SUCCEEDED] * 2
    lab.close()
    slurm_cluster.end_jobs()
