"""Sweeps, notebooks and tasks on a real Ray and a real Slurm whose parts die: each run ends once, nothing lives on."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgcls_lab.events import ENDED, DesiredState, RunState
from imgcls_lab.executor.backends.ray import RayScheduler
from imgcls_lab.executor.backends.slurm import SlurmScheduler
from imgcls_lab.store.attempts import MAX_LOST_ATTEMPTS
from tests.clusters import slurm_cluster as clusters_of_slurm
from tests.clusters.kinds_lab import KindsLab
from tests.clusters.slurm_cluster import SlurmCluster
from tests.store.postgres_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
both = pytest.mark.parametrize("kinds_lab", ["ray", "slurm"], indirect=True)
SCHEDULERS = {"ray": RayScheduler, "slurm": SlurmScheduler}


@pytest.fixture
def crash(request: pytest.FixtureRequest) -> Callable[[KindsLab, str], None]:
    """Ends all of a node at once, and brings the node back."""

    def crash(lab: KindsLab, node: str) -> None:
        cluster = request.getfixturevalue(f"{lab.settings.backend}_cluster")
        if isinstance(cluster, SlurmCluster):
            cluster.crash_node(node)
            time.sleep(2 * clusters_of_slurm.NODE_TIMEOUT)
            cluster.start_node(node)
            cluster.wait_for_nodes(node)
            return
        number = int(node.rpartition(".")[2])
        for pid in cluster.of_node(number):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        cluster.start(number)

    return crash


@both
def test_node_daemon_and_driver_die_under_a_sweep(kinds_lab: KindsLab, crash: Callable[[KindsLab, str], None]) -> None:
    lab = kinds_lab
    sweep = lab.sweep([1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2], steps=400, step_seconds=0.05, save_every=20)
    notebook, audit = lab.notebook(), lab.audit()
    lab.until(lambda: any(run.step > 25 for run in lab.trials(sweep)), 120, lab.daemon_log)
    victim = next(run for run in lab.trials(sweep) if run.step > 25)
    crash(lab, lab.run(victim.id).attempts[-1].devices[0].partition("/")[0])
    lab.kill_daemon()
    os.kill(lab.driver(sweep).pid, signal.SIGKILL)  # its supervisor: nobody is left who watches the driver
    lab.start_daemon(kinds=True)
    lab.ended(sweep, seconds=400)
    for run_id in (notebook, audit):
        lab.ended(run_id, seconds=200)
    lab.until(lambda: not lab.living() and not lab.left(), 60, lambda: f"{lab.living()} {lab.left()}")
    lab.whole()
    attempts = {run.id: run.attempt for run in lab.all()}
    print(
        f"\n{lab.settings.backend}: a node, the daemon and a driver killed; {len(attempts)} runs in "
        f"{sum(attempts.values())} attempts, cells {lab.cells(sweep)}"
    )
    assert lab.cells(sweep) == ["succeeded"] * 6
    assert {run.state for run in lab.all()} == {RunState.SUCCEEDED}
    assert attempts[sweep] == 2
    assert 1 < attempts[victim.id] <= 1 + MAX_LOST_ATTEMPTS


@both
def test_a_killed_sweep_starts_nothing_more_and_its_trials_end(kinds_lab: KindsLab) -> None:
    lab = kinds_lab
    sweep = lab.sweep([1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1], steps=300, step_seconds=0.05, save_every=50)
    lab.until(lambda: sum(run.state is RunState.RUNNING for run in lab.trials(sweep)) >= 2, 120, lab.daemon_log)
    driver = lab.driver(sweep)
    lab.store.runs.set_desired_state(sweep, DesiredState.KILL)
    ended = lab.wait(sweep, seconds=60)
    assert (ended.state, driver.alive()) == (RunState.CANCELLED, False)
    queued = len(lab.trials(sweep))
    lab.until(lambda: not lab.living(), 200, lambda: str(lab.living()))
    lab.until(lambda: not lab.left(), 30, lambda: str(lab.left()))
    assert len(lab.trials(sweep)) == queued < 7
    assert {run.state for run in lab.trials(sweep)} == {RunState.SUCCEEDED}
    lab.whole()
    lab.store.runs.resume(sweep)
    lab.ended(sweep, seconds=300)
    assert len(lab.trials(sweep)) == 7
    assert {run.attempt for run in lab.trials(sweep)} == {1}


@pytest.fixture
def narrow(home: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[KindsLab]:
    """Slurm with one CPU on each of its two nodes."""
    with clusters_of_slurm.running(cpus=1) as cluster:
        monkeypatch.setenv("SLURM_CONF", str(cluster.configuration))
        lab = KindsLab(home, postgres.url(), "slurm")
        lab.start_daemon(kinds=True)
        yield lab
        lab.close()


def test_drivers_take_no_cpu_that_their_trials_wait_for(narrow: KindsLab) -> None:
    """As jobs, two drivers would hold both CPUs of the cluster for ever."""
    sweeps = [narrow.sweep([lr, 2 * lr], steps=10) for lr in (1e-3, 1e-2)]
    narrow.until(lambda: all(narrow.run(each).state is RunState.RUNNING for each in sweeps), 60, narrow.daemon_log)
    jobs = [job for each in sweeps for job in narrow.jobs(each)]
    known = SlurmScheduler(narrow.settings).status(jobs)
    assert {status.state.value for status in known.values()} == {"missing"}
    for each in sweeps:
        narrow.ended(each, seconds=120)
    assert all(run.state in ENDED for run in narrow.all())
    narrow.whole()
