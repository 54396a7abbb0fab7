"""A pid in a file or a row is a claim: nothing is signalled that does not prove to be the process that is meant."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import imgcls_lab
from imgcls_lab.errors import ExecutorError
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor import client, processes
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.run_monitor import RunMonitor
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.run_layout import DESIRED, OWNER, RUN_TAG, launch_name, new_run_id
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.tables import Attempt, Run

PACKAGE = Path(imgcls_lab.__file__).parent
# Modules that end children which they have started themselves and hold as Popen.
OWN_CHILDREN = {
    "socket_process.py", "engine/distributed/rank_processes.py", "executor/forkserver_manager.py",
    "batch/notebook_runner.py", "thumbnails/pool.py", "engine/proofs/rerun.py", "repository.py",
}  # fmt: skip


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    with Store.open(Settings(home=str(home), autostart=False), migrate=True) as store:
        yield store


def lives(process: subprocess.Popen[bytes]) -> bool:
    time.sleep(0.3)
    return process.poll() is None


def identity_of(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    found = ProcessIdentity.of(process.pid)
    assert found is not None
    return found


def plant_live_run(store: Store, owner: ProcessIdentity) -> Run:
    """A row of a run that lives here, whose attempt names a process as its supervisor, and its folder."""
    run_id, now = new_run_id(), time.time()
    folder = store.settings.run_dir(run_id)
    folder.mkdir(parents=True)
    (folder / launch_name(1)).write_text("{}")
    (folder / OWNER).write_text(json.dumps({**json.loads(owner.to_json()), "attempt": 1, "trainer": None}))
    project = store.projects.list()[0].id
    row = Run(
        id=run_id, kind="train", name="planted", project_id=project, state=RunState.RUNNING.value, attempt=1,
        created_at=now, queued_at=now, updated_at=now, host=host_name(), devices=[], latest={}, config={}, payload={},
        desired_state=DesiredState.STOP.value, home=store.database.home,
    )  # fmt: skip
    with store.database.write() as session:
        session.add(row)
        session.flush()
        session.add(
            Attempt(
                run_id=run_id, number=1, state=RunState.RUNNING.value, host=host_name(), devices=[], started_at=now,
                owner=json.loads(owner.to_json()), pid=owner.pid,
            )
        )  # fmt: skip
    return row


def monitor(store: Store) -> tuple[RunMonitor, ExecutorStore]:
    settings = store.settings
    daemon = ExecutorStore(store.database, settings, host_name(), "", HeartbeatWatch(settings.lease))
    return RunMonitor(daemon, settings, LocalBackend(settings), time.monotonic), daemon


@pytest.mark.parametrize("asked", [DesiredState.STOP, DesiredState.KILL])
def test_a_forged_owner_is_not_signalled_and_the_run_says_why(
    store: Store, innocent: subprocess.Popen[bytes], asked: DesiredState
) -> None:
    planted = plant_live_run(store, identity_of(innocent))
    folder = store.settings.run_dir(planted.id)
    (folder / DESIRED).mkdir()  # so that the request cannot be written, and a signal is the only way
    with store.database.write() as session:
        session.merge(planted).desired_state = asked.value
    watch, daemon = monitor(store)
    live = daemon.live_runs()
    assert [run.id for run, _ in live] == [planted.id]
    for run, attempt in live:
        watch.check(run, attempt)
    assert lives(innocent)
    if asked is DesiredState.STOP:
        assert str(innocent.pid) in (store.runs.get(planted.id).message or "")


def test_an_owner_file_is_no_supervisor(store: Store, innocent: subprocess.Popen[bytes]) -> None:
    """A daemon that died at a launch left no owner in the database; then only the tag finds the supervisor."""
    planted = plant_live_run(store, identity_of(innocent))
    with store.database.write() as session:
        attempt = session.get(Attempt, (planted.id, 1))
        assert attempt is not None
        attempt.owner, attempt.pid = None, None
    watch, daemon = monitor(store)
    for run, row in daemon.live_runs():
        watch.check(run, row)
    with store.database.read() as session:
        after = session.get(Attempt, (planted.id, 1))
        assert after is not None
        assert after.owner is None
    assert lives(innocent)


def test_a_stop_of_the_executor_ends_no_process_that_a_file_names(
    store: Store, innocent: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "STOP_TIMEOUT", 0.5)
    settings = store.settings
    settings.executor_info.write_text(identity_of(innocent).to_json())
    client.stop(settings)  # nobody holds the lock: there is no executor
    assert lives(innocent)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
         "print('held', flush=True); time.sleep(600)", str(settings.executor_lock)],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(ExecutorError, match=str(innocent.pid)):
            client.stop(settings)
        assert lives(innocent)
        settings.executor_info.write_text(identity_of(holder).to_json())
        client.stop(settings)  # the process that holds the lock is the executor
        assert holder.wait(10) == -signal.SIGTERM
    finally:
        holder.kill()
        holder.wait()


def test_a_tag_or_an_identity_alone_is_no_proof(innocent: subprocess.Popen[bytes]) -> None:
    tag = processes.tag_of(new_run_id(), 1)
    tagged = subprocess.Popen(["sleep", "600"], env={**os.environ, RUN_TAG: tag})
    try:
        real, forged = identity_of(tagged), identity_of(innocent)
        assert not processes.send_to_owner(forged, signal.SIGTERM, tag)
        assert not processes.send_to_owner(replace(real, start_time="1"), signal.SIGTERM, tag)
        assert not processes.send_to_owner(real, signal.SIGTERM, processes.tag_of(new_run_id(), 1))
        assert lives(tagged)
        assert lives(innocent)
        assert processes.send_to_owner(real, signal.SIGTERM, tag)
        assert tagged.wait(10) == -signal.SIGTERM
    finally:
        tagged.kill()
        tagged.wait()


def test_a_handle_signals_nobody_after_its_process_has_ended() -> None:
    child = subprocess.Popen(["sleep", "600"])
    with processes.ProcessHandle(child.pid) as handle:
        child.kill()
        child.wait()  # its pid may go to another process from here on
        with pytest.raises(ProcessLookupError):
            handle.send(signal.SIGTERM)


def test_one_module_alone_signals_processes() -> None:
    """Others have no pid to signal: they ask `executor/processes.py`, or end children that they hold themselves."""
    # `run.kill()` asks the executor, and its code is written down
    allowed = OWN_CHILDREN | {"cli/run_actions.py", "server/recorded_code.py"}
    found: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name == "executor/processes.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module in {"os", "signal"}:
                names = {alias.name for alias in node.names} & {"kill", "killpg", "pidfd_open", "pidfd_send_signal"}
                found += [f"{name}:{node.lineno} imports {names}"] if names else []
            if not isinstance(node, ast.Attribute):
                continue
            of = node.value.id if isinstance(node.value, ast.Name) else ""
            if node.attr in {"killpg", "pidfd_open", "pidfd_send_signal"} or (of, node.attr) == ("os", "kill"):
                found.append(f"{name}:{node.lineno} {of}.{node.attr}")
            elif node.attr in {"send_signal", "terminate", "kill"} and name not in allowed:
                found.append(f"{name}:{node.lineno} {node.attr}")
    assert found == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user, and read what it carries")
@pytest.mark.parametrize(("uid", "found"), [(0, True), (61_737, False)])
def test_a_supervisor_that_was_never_written_down_is_found_if_it_is_this_users(uid: int, found: bool) -> None:
    run_id = new_run_id()
    named = ["sh", "-c", "sleep 600 & wait", "imgcls_lab.executor.supervisor"]
    environment = {"PATH": os.environ["PATH"], RUN_TAG: processes.tag_of(run_id, 1)}
    supervisor = subprocess.Popen(named, env=environment, user=uid, cwd="/", start_new_session=True)
    try:
        assert (LocalBackend(Settings()).find(run_id, 1) is not None) == found
    finally:
        os.killpg(supervisor.pid, signal.SIGKILL)
        supervisor.wait()
