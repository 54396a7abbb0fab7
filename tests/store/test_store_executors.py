"""What is said of runs that no executor looks after: by name, and without figures that stand still."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.orm.exc import DetachedInstanceError
from store_steps import claim

from imgcls_lab import __version__
from imgcls_lab.api.executor_status import missing_executor
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.schemas.limits import SHOWN_DEVICES, SHOWN_NODE_RUNS, SHOWN_NODES
from imgcls_lab.server.topics import Poll, RunsSubscription
from imgcls_lab.store import Store, database, executors
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.run_rows import find_run


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for an executor: it can be suspended and killed."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def live_run(store: Store, submit, sleeper: subprocess.Popen[bytes]) -> str:
    """A run that says “8 s left”, on a host whose executor is the sleeper."""
    run_id = submit()
    claim(store, host=host_name())
    with store.database.write() as session:
        executors.register(session, "e-1", host_name(), ProcessIdentity.of(sleeper.pid), __version__)
        run = find_run(session, run_id)
        run.seconds_left = 8.0
        run.state = "running"
        session.add(run)
    return run_id


def test_a_suspended_executor_is_named_and_what_is_left_is_not_guessed(
    store: Store, live_run: str, sleeper: subprocess.Popen[bytes]
) -> None:
    subscription = RunsSubscription()
    subscription.next_batch(Poll(store, 1))
    assert (store.runs.get(live_run).seconds_left, store.executors.status().message) == (8.0, None)
    assert missing_executor(store, [store.runs.get(live_run)]) is None

    os.kill(sleeper.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
    assert [item.state for item in store.executors.status().executors] == ["suspended"]
    for sentence in (store.executors.status().message, missing_executor(store, [store.runs.get(live_run)])):
        assert f"kill -CONT {sleeper.pid}" in str(sentence)
    assert store.runs.get(live_run).seconds_left is None
    told = subscription.next_batch(Poll(store, 2))
    assert told is not None, "no row has changed, and yet the run shows otherwise"
    assert [(run.id, run.seconds_left) for run in told.changed] == [(live_run, None)]

    os.kill(sleeper.pid, signal.SIGCONT)
    os.waitid(os.P_PID, sleeper.pid, os.WCONTINUED | os.WNOWAIT)
    assert store.runs.get(live_run).seconds_left == 8.0


def test_a_killed_executor_leaves_no_estimate(store: Store, live_run: str, sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    assert store.runs.get(live_run).seconds_left is None
    assert "imgcls-lab executor start" in str(store.executors.status().message)


def test_a_full_disk_of_the_database_is_named(store: Store, live_run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(database.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 4096))
    for sentence in (store.executors.status().message, missing_executor(store, [store.runs.get(live_run)])):
        # the disk of a PostgreSQL server is not ours to look at
        assert ("is full" in str(sentence)) is store.database.is_sqlite


def test_the_nodes_of_a_cluster_are_shown_while_its_executor_lives(
    store: Store, live_run: str, sleeper: subprocess.Popen[bytes]
) -> None:
    node = {"name": "a", "gpus": 4, "free_gpus": 3, "kind": "A100", "alive": True, "cpus": 8, "reason": ""}
    state = {"title": "Ray", "host": host_name(), "waiting": 2, "away": None}
    file = store.settings.cluster_state
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**state, "nodes": [{**node, "runs": [live_run, "deleted"]}]}))
    cluster = store.executors.status().cluster
    assert cluster is not None
    assert (cluster.title, cluster.waiting, cluster.nodes[0].free_gpus) == ("Ray", 2, 3)
    assert [(run.run_id, run.run_name) for run in cluster.nodes[0].runs] == [
        (live_run, store.runs.get(live_run).name),
        ("deleted", None),
    ]
    file.write_text('{"title": "Ray"}')
    assert store.executors.status().cluster is None, "a daemon of another version wrote it"
    file.write_text(json.dumps({**state, "nodes": []}))
    sleeper.kill()
    sleeper.wait()
    assert store.executors.status().cluster is None


def test_a_large_cluster_is_shown_by_its_most_important_nodes(
    store: Store, live_run: str, sleeper: subprocess.Popen[bytes]
) -> None:
    """1,000 nodes with 4,000 GPUs: each change goes to every page, so it stays small."""
    node = {"gpus": 4, "free_gpus": 4, "kind": "A100", "alive": True, "cpus": 32, "reason": "", "runs": []}
    nodes: list[dict[str, Any]] = [{**node, "name": f"node{number:04d}"} for number in range(1000)]
    nodes[500] |= {"runs": [live_run] * 20, "free_gpus": 0}
    nodes[900] |= {"alive": False, "reason": "Not responding"}
    file = store.settings.cluster_state
    file.parent.mkdir(parents=True, exist_ok=True)
    state = {"title": "Slurm", "host": host_name(), "waiting": 2, "away": None, "nodes": nodes}
    file.write_text(json.dumps(state))
    row = {"kind": "cuda", "uuid": "", "gpu_processes": []}
    tokens = [f"{each['name']}/gpu:{gpu}" for each in nodes for gpu in range(4)]
    devices = [*tokens, *(f"cuda:{number}" for number in range(SHOWN_DEVICES + 3))]
    with store.database.write() as session:
        seen = [{**row, "name": name, "title": name, "position": place} for place, name in enumerate(devices)]
        executors.save_devices(session, host_name(), seen)

    reply = store.executors.status()
    assert reply.cluster is not None
    assert [each.name for each in reply.cluster.nodes[:3]] == ["node0900", "node0500", "node0000"]
    assert (len(reply.cluster.nodes), len(reply.cluster.nodes[1].runs)) == (SHOWN_NODES, SHOWN_NODE_RUNS)
    assert reply.cluster.nodes[1].more_runs == 20 - SHOWN_NODE_RUNS
    assert reply.cluster.totals.model_dump() == {
        "alive": 999, "down": 1, "gpus": 3996, "free_gpus": 3992, "cpus": 999 * 32,
    }  # fmt: skip
    assert {each.name for each in reply.devices} == {f"cuda:{number}" for number in range(SHOWN_DEVICES)}
    assert reply.more_devices == 3
    assert len(reply.cluster.model_dump_json()) < 20_000
    assert len(store.executors.usable_devices()) == len(devices), "a sweep counts each of them"


def test_of_a_live_run_only_what_is_watched_is_loaded(store: Store, live_run: str) -> None:
    own = ExecutorStore(store.database, store.settings, host_name(), "e-1", HeartbeatWatch(60))
    ((run, attempt),) = own.live_runs()
    assert (run.id, attempt.number, run.state, run.desired_state) == (live_run, 1, "running", "run")
    with pytest.raises(DetachedInstanceError):
        _ = run.config
