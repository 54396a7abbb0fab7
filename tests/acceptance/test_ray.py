"""What Ray itself does to runs: an administrator ends a job, a node is cut off, a notebook queues a run.

What is promised on every cluster is in `test_cluster_matrix.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab import launch_notebook
from imgcls_lab.api import context
from imgcls_lab.events import ENDED, DesiredState, RunState
from imgcls_lab.executor import processes
from imgcls_lab.executor.backends.ray import RayScheduler
from tests.clusters.matrix_lab import MatrixLab
from tests.clusters.notebooks import QUEUES_A_RUN, notebook
from tests.clusters.ray_cluster import APART, APART_KIND, RayCluster, ip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@pytest.fixture
def lab(home: Path, ray_cluster: RayCluster) -> Iterator[MatrixLab]:
    lab = MatrixLab(home, RayScheduler, backend="ray", ray_address=ray_cluster.address)
    yield lab
    lab.close()


def test_a_job_that_an_administrator_stops_saves_and_is_queued_again(lab: MatrixLab):
    run_id = lab.launch(steps=150, step_seconds=0.1, save_every=50)
    lab.rounds(lambda: lab.run(run_id).step > 5, 300)
    RayScheduler(lab.settings).cancel(f"{run_id}-001", 0)
    run = lab.end(run_id, 300)
    print(
        f"\nstopped by an administrator: {run.attempts[0].message}; attempt 2 went on from step {run.resumed_at_step}"
    )
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert 0 < (run.resumed_at_step or 0) < 50, "it was saved at the stop, and not at a step of its own"


def test_a_run_goes_on_while_its_node_is_cut_off_and_starts_again_when_ray_has_given_it_up(
    lab: MatrixLab,
    ray_cluster: RayCluster,
):
    with ray_cluster.apart() as node:
        lab.rounds(lambda: any(APART_KIND in device.title for device in lab.daemon.inventory.devices), 300)
        run_id = lab.launch(device=APART_KIND, steps=5000, step_seconds=0.1)
        lab.rounds(lambda: lab.run(run_id).step > 5, 300)
        assert lab.place(run_id)["node"] == ip(APART)
        node.cut()
        cut_at, step = time.monotonic(), lab.run(run_id).step
        lab.rounds(lambda: lab.run(run_id).step > step + 50)
        assert (lab.state(run_id), lab.run(run_id).attempt) == (RunState.RUNNING, 1)
        lab.rounds(lambda: lab.state(run_id) is RunState.QUEUED, 400)
        left = processes.tagged(processes.tag_of(run_id, 1))
        took, reached = time.monotonic() - cut_at, lab.steps(run_id)[-1]
        print(
            f"\ncut off at step {step}: trained on to step {reached}, queued again after {took:.0f} s, "
            f"{len(left)} processes left (0)"
        )
        assert left == []
        node.join()
        node.clear()
        lab.rounds_for(5)
        node.start()
        lab.rounds(lambda: lab.run(run_id).attempt == 2 and lab.run(run_id).step > reached, 300)
        lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
        run = lab.end(run_id)
        assert run.state is RunState.STOPPED
        assert lab.steps(run_id) == list(range(1, run.step + 1))
        assert not (lab.settings.run_dir(run_id) / "doubled").exists()


def test_a_notebook_over_ray_queues_a_run_that_trains_over_ray(
    lab: MatrixLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")
    run = launch_notebook(notebook(tmp_path / "small.ipynb", "a = 1", QUEUES_A_RUN), name="small")
    lab.rounds(lambda: lab.state(run.id) in ENDED, 300)
    child = next(view for view in lab.all() if view.id != run.id)
    trained = lab.end(child.id, 300)
    context.close()
    print(
        f"\na notebook on {lab.place(run.id)['node']}, its run on {lab.place(child.id)['node']}: {trained.state.value}"
    )
    assert (lab.state(run.id), trained.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED), lab.run(run.id).message
    lab.until(lambda: lab.left(run.id) + lab.left(child.id) == [])
