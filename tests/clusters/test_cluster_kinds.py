"""Runs that queue runs, as jobs of a cluster: they reach the database, and no job shows its password."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import imgcls_lab as lab
from imgcls_lab.api import context
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.executor.backends.cluster import ClusterBackend
from imgcls_lab.executor.backends.launch import module_argv
from imgcls_lab.executor.node import LAUNCH_VARIABLE
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Run
from tests.clusters.cluster_lab import ClusterLab, stub_argv
from tests.clusters.notebooks import QUEUES_A_RUN, notebook
from tests.clusters.process_scheduler import ProcessScheduler
from tests.executor.stub_lab import ROOT
from tests.waiting import until

PASSWORD = "hunter2-of-the-database"


def argv(kind: RunKind, python: str, folder: Path, attempt: int) -> list[str]:
    return (stub_argv if kind is RunKind.TRAIN else module_argv)(kind, python, folder, attempt)


@pytest.fixture
def cluster(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterLab]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")
    scheduler = ProcessScheduler(tmp_path / "jobs")
    cluster = ClusterLab(home, lambda _: scheduler, argv, backend="ray", lease=10.0)
    yield cluster
    cluster.close()
    scheduler.end_all()
    context.close()


@pytest.mark.slow
def test_a_notebook_queues_a_run_from_its_node(cluster: ClusterLab, tmp_path: Path):
    """The run that it waits for is started by the home's executor, and not by one of the node."""
    run = lab.launch_notebook(notebook(tmp_path / "small.ipynb", "a = 1", QUEUES_A_RUN), name="small")
    cluster.rounds(lambda: cluster.state(run.id) is RunState.SUCCEEDED, 90)
    child = next(view for view in cluster.all() if view.id != run.id)
    assert cluster.end(child.id).state is RunState.SUCCEEDED
    until(lambda: cluster.left(run.id) + cluster.left(child.id) == [])


def test_a_jobs_listing_shows_no_password(home: Path, tmp_path: Path):
    settings = Settings(home=str(home), backend="ray", db_url=f"postgresql+psycopg://lab:{PASSWORD}@127.0.0.1/lab")
    settings.make_home()
    scheduler = ProcessScheduler(tmp_path / "jobs", gpus=0)
    scheduler.away = True
    backend = ClusterBackend(settings, scheduler, every=0.05)
    given = {}
    for kind in (RunKind.NOTEBOOK, RunKind.TRAIN):
        run = Run(
            id=f"20260101-000000-{kind.value[:5]:0<6}", kind=kind.value, name="x", config={}, requested_device="none"
        )
        backend.start(run, 1, [])
        job = backend._watch._outbox[f"{run.id}-001"]
        listed = json.dumps(vars(job), default=dict)
        launch = base64.b64decode(job.environment[LAUNCH_VARIABLE]).decode()
        for text in (listed, launch, (settings.run_dir(run.id) / "launch-001.json").read_text()):
            assert PASSWORD not in text
        given[kind] = json.loads(launch)["environment"]
    backend.close()
    path = Path(given[RunKind.NOTEBOOK]["IMGCLS_DB_URL_FILE"])
    assert PASSWORD in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "IMGCLS_DB_URL_FILE" not in given[RunKind.TRAIN]
    assert given[RunKind.TRAIN]["IMGCLS_DB_URL"] is None
