"""Starting, stopping and asking the executor; who may take over; runs of kernels; what the processes import."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stub_lab import StubLab

from imgcls_lab import locks
from imgcls_lab.errors import ConflictError, ExecutorError, NotFoundError
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor import client
from imgcls_lab.executor.daemon import Daemon
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.run_layout import RUN_INFO, new_run_id, write_atomic
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, executors
from imgcls_lab.store.homes import HOME_ID
from imgcls_lab.store.tables import Executor
from tests.waiting import until


@pytest.fixture
def settings(home: Path):
    settings = Settings(home=str(home), poll_interval=0.05)
    Store.open(settings, migrate=True).close()
    yield settings
    client.stop(settings)


def test_start_waits_until_it_works_and_stop_until_it_is_gone(settings: Settings):
    assert "imgcls-lab executor start" in client.status(settings).message
    client.start(settings)
    client.start(settings)
    reply = client.status(settings)
    assert [executor.state for executor in reply.executors] == ["alive"]
    assert reply.message is None
    log = settings.executor_dir / "daemon.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    client.stop(settings)
    assert [executor.state for executor in client.status(settings).executors] == ["stopped"]
    client.stop(settings)


def test_an_executor_that_began_with_another_backend_is_named_and_replaced(settings: Settings):
    client.start(settings)
    elsewhere = Settings(home=settings.home, poll_interval=0.05, backend="slurm")
    assert "IMGCLS_BACKEND is slurm" in str(client.status(elsewhere).message)
    assert client.status(settings).message is None
    client.start(elsewhere)
    assert [item.host for item in client.status(settings).executors if item.state == "alive"] == ["slurm"]
    assert client.status(elsewhere).message is None
    pid = client.status(settings).executors[0].pid
    client.start(elsewhere)
    assert pid in {item.pid for item in client.status(settings).executors}, "one that fits is left alone"
    client.stop(elsewhere)


def test_ensure_starts_one_and_no_second(settings: Settings):
    for _ in range(5):
        client.ensure(settings)
    until(lambda: client.status(settings).executors)
    pid = client.status(settings).executors[0].pid
    client.ensure(settings)
    assert [executor.pid for executor in client.status(settings).executors] == [pid]


def test_start_waits_for_the_daemon_that_ensure_has_started(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    spawned = []
    spawn = client._spawn
    monkeypatch.setattr(client, "_spawn", lambda settings: spawned.append(spawn(settings)) or spawned[-1])
    client.ensure(settings)
    client.start(settings)
    client.stop(settings)
    assert [child.poll() for child in spawned] == [0]
    assert not locks.is_locked(settings.executor_lock)


def test_stop_ends_a_daemon_that_is_on_its_way(settings: Settings):
    client.ensure(settings)
    client.stop(settings)
    time.sleep(0.5)
    assert not locks.is_locked(settings.executor_lock)
    assert not client._ready(settings)


def test_a_second_daemon_does_not_wait_for_the_place_of_the_first(settings: Settings):
    client.start(settings)
    began = time.monotonic()
    assert Daemon(settings)._take_lock() is None
    assert time.monotonic() - began < 1


def test_ensure_does_nothing_where_autostart_is_off(settings: Settings):
    settings.autostart = False
    client.ensure(settings)
    time.sleep(0.3)
    assert not locks.is_locked(settings.executor_lock)


def test_an_older_executor_makes_room_for_this_version(settings: Settings):
    client.start(settings)
    info = json.loads(settings.executor_info.read_text())
    write_atomic(settings.executor_info, json.dumps({**info, "version": "0.0.1"}))
    client.ensure(settings)
    until(lambda: client._ready(settings))
    newer = json.loads(settings.executor_info.read_text())
    assert newer["pid"] != info["pid"]
    assert newer["version"] != "0.0.1"


def test_a_database_of_another_revision_is_said_in_a_sentence(settings: Settings):
    from sqlalchemy import text

    with Store.open(settings) as store, store.database.connection() as connection:
        connection.execute(text("UPDATE imgcls_version SET version_num = '9999'"))
    with pytest.raises(ExecutorError, match="newer imgcls-lab"):
        client.start(settings)
    assert "newer imgcls-lab" in client.status(settings).message


@pytest.mark.parametrize("revision", ["9999", "0001"], ids=["newer", "older"])
def test_a_daemon_whose_database_is_another_version_s_ends_and_leaves_its_runs(lab: StubLab, revision: str):
    from sqlalchemy import text

    daemon = lab.start_daemon()
    run_id = lab.submit(steps=10_000)
    pid = lab.trainer(run_id)
    with lab.store.database.connection() as connection:
        connection.execute(text("UPDATE imgcls_version SET version_num = :revision"), {"revision": revision})
    assert daemon.wait(20) == 0
    assert "its runs go on" in lab.daemon_log()
    assert ProcessIdentity.of(pid) is not None


@pytest.mark.parametrize(("theirs", "remedy"), [("99.0.0", "Restart Jupyter"), ("0.0.1", "takes over")])
def test_executor_and_program_of_different_versions_say_who_is_to_be_restarted(lab: StubLab, theirs: str, remedy: str):
    with lab.store.database.write() as session:
        executors.register(session, "a", host_name(), ProcessIdentity.current(), theirs)
    assert remedy in lab.store.executors.status().message


def test_stop_with_runs_stops_them_first_and_starts_none_in_their_place(lab: StubLab):
    lab.start_daemon()
    slots = lab.settings.cpu_slots
    live = [lab.submit(steps=10_000) for _ in range(slots)]
    waiting = [lab.submit(steps=10_000) for _ in range(2)]
    for run_id in live:
        lab.trainer(run_id)
    client.stop(lab.settings, stop_runs=True)
    assert {lab.state(run_id) for run_id in live} == {RunState.STOPPED}
    assert {lab.state(run_id) for run_id in waiting} == {RunState.QUEUED}, "they wait for the next executor"
    assert lab.daemons[0].wait(10) == 0
    lab.start_daemon()
    for run_id in waiting[:slots]:
        lab.trainer(run_id)


def test_who_dies_while_it_stops_an_executor_keeps_no_run_from_starting(lab: StubLab):
    lab.start_daemon()
    path = lab.settings.executor_hold
    hold = f"from imgcls_lab import locks; import time, pathlib; path = pathlib.Path({str(path)!r})\n"
    hold += "while locks.try_lock(path) is None: pass\nprint(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        run_id = lab.submit(steps=10_000)
        time.sleep(1)
        assert lab.state(run_id) is RunState.QUEUED
        holder.kill()
    lab.trainer(run_id)


def test_the_daemon_that_is_gone_is_seen_by_its_process_not_by_a_clock(lab: StubLab):
    lab.start_daemon()
    lab.until(lambda: lab.store.executors.status().executors)
    lab.kill_daemon()
    assert lab.store.executors.status().executors[0].state == "stopped"


def test_a_silent_host_is_seen_by_a_beat_that_stands_still():
    now = [0.0]
    watch = executors.HeartbeatWatch(30, lambda: now[0])
    identity = json.loads(ProcessIdentity("far", "boot:1", 1, "1").to_json())
    row = Executor(id="far-1", host="far", identity=identity, version="1", state="alive", started_at=0, heartbeat_at=0)
    states = []
    for row.heartbeat, now[0] in ((1, 0), (1, 30), (1, 40), (2, 40), (2, 70), (2, 71)):
        states.append(watch.state(row))
    assert states == ["alive", "alive", "silent", "alive", "alive", "silent"]


def test_a_run_of_a_silent_host_shows_as_unreachable_and_keeps_its_device(lab: StubLab):
    from imgcls_lab.server.topics import Poll, RunsSubscription
    from imgcls_lab.store import attempts

    run_id = lab.submit()
    with lab.store.database.write() as session:
        executors.register(session, "far-1", "far", ProcessIdentity("far", "boot:1", 1, "1"), "0.1.0")
        executors.save_devices(session, "far", [])
        attempts.claim(session, "far", "far-1", lambda _: ["cuda:0"])
    now = [0.0]
    lab.store.executors._watch = executors.HeartbeatWatch(lab.settings.lease, lambda: now[0])
    subscription = RunsSubscription()
    assert not subscription.next_batch(Poll(lab.store, 1)).changed[0].unreachable
    assert not lab.run(run_id).unreachable
    now[0] = lab.settings.lease + 1
    (told,) = subscription.next_batch(Poll(lab.store, 2)).changed
    for view in (told, lab.run(run_id), lab.store.runs.list().items[0]):
        assert (view.unreachable, view.state) == (True, RunState.STARTING)
        assert "imgcls-lab executor forget far" in view.message
    with lab.store.database.write() as session:
        executors.beat(session, "far-1")
    assert not lab.run(run_id).unreachable
    assert not subscription.next_batch(Poll(lab.store, 3)).changed[0].unreachable


def test_only_a_silent_host_is_forgotten_and_its_runs_wait_again(lab: StubLab):
    from imgcls_lab.store import attempts

    with pytest.raises(NotFoundError):
        client.forget(lab.settings, "nowhere")
    run_id = lab.submit()
    with lab.store.database.write() as session:
        far = ProcessIdentity("far", "boot:1", 1, "1")
        executors.register(session, "far-1", "far", far, "0.1.0")
        attempts.claim(session, "far", "far-1", lambda _: ["cuda:0"])
    lab.settings.lease = 0.2
    lab.start_daemon()
    lab.until(lambda: any(e.host == host_name() for e in lab.store.executors.status().executors))
    with pytest.raises(ConflictError):
        client.forget(lab.settings, host_name())
    lab.kill_daemon(signal.SIGTERM)
    assert client.forget(lab.settings, "far") == 1
    run = lab.run(run_id)
    assert (run.state, run.attempts[0].state) == (RunState.QUEUED, RunState.LOST)


def test_a_run_of_another_host_is_never_declared_lost_here(lab: StubLab):
    from imgcls_lab.store import attempts

    run_id = lab.submit()
    with lab.store.database.write() as session:
        attempts.claim(session, "far", "far-1", lambda _: ["cuda:0"])
    lab.start_daemon()
    time.sleep(2)
    assert lab.state(run_id) is RunState.STARTING


def test_a_run_in_a_kernel_is_found_shown_and_ends_when_its_kernel_dies(lab: StubLab):
    lab.start_daemon()
    run_id = new_run_id()
    script = (
        "import json, sys, time; from pathlib import Path\n"
        "from imgcls_lab import signing; from imgcls_lab.config import TrainConfig\n"
        "from imgcls_lab.identity import ProcessIdentity\n"
        "sys.path.insert(0, sys.argv[2]); import stub_trainer\n"
        "folder = Path(sys.argv[1]); folder.mkdir()\n"
        "(folder / 'owner.json').write_text(ProcessIdentity.current().to_json())\n"
        "config = TrainConfig(root='/data/digits').model_dump_json().encode()\n"
        "(folder / 'config.json').write_bytes(config)\n"
        "info = {'id': folder.name, 'name': 'in a kernel', 'notes': json.dumps({'steps': 10000})}\n"
        "signed = signing.signed_info(folder.parents[1], info, config)\n"
        "(folder / 'run.json').write_text(json.dumps(signed))\n"
        "stub_trainer.main(folder, 1)\n"
    )
    folder = lab.settings.run_dir(run_id)
    kernel = subprocess.Popen([sys.executable, "-c", script, str(folder), str(Path(__file__).parent)])
    try:
        lab.until(lambda: lab.store.runs.list().total == 1)
        lab.wait(run_id, RunState.RUNNING)
        run = lab.run(run_id)
        assert (run.external, run.name, run.devices) == (True, "in a kernel", ["cpu"])
        lab.until(lambda: lab.run(run_id).checkpoints)
    finally:
        kernel.kill()
        kernel.wait()
    ended = lab.wait(run_id)
    assert (ended.state, ended.resumable) == (RunState.STOPPED, True)
    lab.store.runs.resume(run_id)
    lab.until(lambda: lab.run(run_id).attempt == 2 and lab.run(run_id).step > ended.step)
    assert not lab.run(run_id).external
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    run = lab.wait(run_id)
    assert lab.steps(run_id) == list(range(1, run.step + 1))


def test_the_supervisor_needs_the_standard_library_alone():
    script = (
        "import sys; import imgcls_lab.executor.supervisor\n"
        "heavy = {'pydantic', 'sqlalchemy', 'sqlmodel', 'traitlets', 'jupyter_core', 'numpy', 'torch', 'psutil'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_daemon_imports_no_torch():
    script = "import sys; import imgcls_lab.executor.daemon, imgcls_lab.executor.client; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_trainer_gets_no_database_url(home: Path):
    lab = StubLab(home)
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=10_000)
        environment = Path(f"/proc/{lab.trainer(run_id)}/environ").read_bytes()
        assert b"IMGCLS_DB_URL" not in environment
        assert b"IMGCLS_THREADS=" in environment
        assert b"CUDA_VISIBLE_DEVICES=\0" in environment
    finally:
        lab.close()


def test_identities_survive_json_and_know_their_own():
    me = ProcessIdentity.current()
    assert ProcessIdentity.from_json(me.to_json()) == me
    assert me.alive()
    assert ProcessIdentity("other", me.boot_id, me.pid, me.start_time).status() == "unknown"
    assert ProcessIdentity(me.machine_id, "boot:1", me.pid, me.start_time).status() == "dead"
    namespace = me.boot_id.split(":")[0] + ":1"
    assert ProcessIdentity(me.machine_id, namespace, me.pid, me.start_time).status() == "unknown"
    for wrong in ("", "[]", "{}", '{"pid": "x"}'):
        with pytest.raises(ValueError):
            ProcessIdentity.from_json(wrong)


def test_a_zombie_is_no_living_process():
    child = subprocess.Popen(["true"])
    identity = ProcessIdentity.of(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert ProcessIdentity.of(child.pid) is None
    assert identity is None or not identity.alive()
    child.wait()


def test_run_info_is_written_where_a_rebuild_finds_it(lab: StubLab):
    lab.start_daemon()
    run_id = lab.submit("a name", steps=3)
    lab.wait(run_id)
    info = json.loads((lab.settings.run_dir(run_id) / RUN_INFO).read_text())
    assert set(info) == {
        "format", "id", "kind", "name", "project", "parent_id", "notes", "created_at", "dataset_id", "model_id",
        "python", "payload", "device", "gpus", "host", "row", "attempts", "after", "alerts", "signature",
    }  # fmt: skip
    assert info["python"] == sys.executable


def test_two_homes_of_a_host_share_a_database_unless_one_is_a_copy(lab: StubLab, tmp_path: Path):
    lab.start_daemon()
    lab.until(lambda: lab.store.executors.status().executors)
    other = Settings(home=str(tmp_path / "other"), db_url=lab.settings.db_url)
    try:
        client.start(other)
        lab.until(lambda: len(lab.store.executors.status().executors) == 2)
        assert [item.state for item in lab.store.executors.status().executors] == ["alive", "alive"]
        assert [item.here for item in lab.store.executors.status().executors].count(True) == 1
    finally:
        client.stop(other)
    (other.home_path / HOME_ID).write_text((lab.settings.home_path / HOME_ID).read_text())
    with pytest.raises(ExecutorError, match=HOME_ID):
        client.start(other)


def test_a_run_is_stopped_on_a_full_disk_too(home: Path, monkeypatch: pytest.MonkeyPatch):
    from stub_daemon import argv

    from imgcls_lab.executor import run_monitor
    from imgcls_lab.executor.backends.local import LocalBackend
    from imgcls_lab.executor.daemon import Daemon

    lab = StubLab(home)
    try:
        daemon = Daemon(lab.settings, backend=LocalBackend(lab.settings, argv))
        daemon._register(daemon.store_of(lab.store))
        run_id = lab.submit(steps=10_000)
        lab.until(lambda: daemon.round(daemon.store_of(lab.store)) or lab.run(run_id).step > 0)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(run_monitor, "write_atomic", full)
        lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
        lab.until(lambda: daemon.round(daemon.store_of(lab.store)) or lab.state(run_id) is RunState.STOPPED)
        assert lab.run(run_id).message is None, "it wrote its checkpoint"
    finally:
        lab.close()
