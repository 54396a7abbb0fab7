"""Faults of what a run stands on: clock, disk, database, network. Training goes on; what is down is caught up."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from figures import note, size
from proxy import Proxy
from stub_lab import ROOT, StubLab

from imgcls_lab.events import FailureKind, RunState
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.store import Store, rebuild

YEAR = 365 * 86_400


def test_a_clock_that_jumps_takes_no_run_away(lab: StubLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Daemon, supervisor and trainer all see the wall clock jump an hour and a year, forth and back."""
    clock = tmp_path / "clock"
    clock.write_text("0")
    monkeypatch.setenv("CHAOS_CLOCK", str(clock))
    lab.python_path = [str(Path(__file__).with_name("clock")), str(ROOT)]
    lab.start_daemon()
    runs = [lab.submit(steps=300, step_seconds=0.03) for _ in range(3)]
    for run_id in runs:
        lab.trainer(run_id)
    pids = {run_id: lab.run(run_id).attempts[-1].pid for run_id in runs}
    for shift in (3600, -3600, YEAR, -YEAR, 0) * size(1, 4):
        clock.write_text(str(shift))
        time.sleep(1)
    ended = [lab.wait(run_id) for run_id in runs]
    reaped = sum(run.attempt > 1 or run.attempts[-1].pid != pids[run.id] for run in ended)
    note("clock moved by 1 h and 1 year, both ways", f"{reaped} false reaps of {len(runs)} runs", "0")
    assert [run.state for run in ended] == [RunState.SUCCEEDED] * 3
    assert reaped == 0


def test_the_same_submit_100_times_at_once_makes_one_row(lab: StubLab):
    request = SubmitRequest(config={"root": "/data"}, idempotency_key="the-same-key")

    def submit(_: int) -> str:
        with Store.open(lab.settings) as store:  # each with connections of its own, as separate processes have
            return store.runs.submit(request).id

    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(submit, range(100)))
    note("the same submit 100 times at once", f"{lab.store.runs.list().total} row", "1 row")
    assert (len(ids), lab.store.runs.list().total) == (1, 1)


def test_a_lock_on_the_database_does_not_slow_the_trainer(home: Path):
    seconds = size(4, 30)
    lab = StubLab(home)
    try:
        lab.start_daemon()
        steps = int(seconds / 0.04)
        run_id = lab.submit(steps=steps, step_seconds=0.02)
        lab.trainer(run_id)
        blocker = sqlite3.connect(lab.store.database.file, isolation_level=None, timeout=30)
        blocker.execute("BEGIN EXCLUSIVE")
        begin = time.monotonic()
        events = lab.settings.run_dir(run_id) / "events-001.jsonl"
        lab.until(lambda: b'"finished"' in events.read_bytes(), seconds * 3)
        took = time.monotonic() - begin
        time.sleep(max(0.0, seconds - took))
        blocker.execute("ROLLBACK")
        blocker.close()
        begin = time.monotonic()
        assert lab.wait(run_id).state is RunState.SUCCEEDED
        back = time.monotonic() - begin
        note(f"exclusive lock on SQLite for {seconds} s", f"{steps} steps trained in {took:.1f} s, known {back:.1f} s "
             "after the lock", "training never blocks; 10 s")  # fmt: skip
        assert lab.steps(run_id) == list(range(1, steps + 1))
        assert back < 10
    finally:
        lab.close()


def test_a_deleted_database_is_made_anew_under_a_living_executor(home: Path):
    """The daemon and this process hold connections to the old file; both go over to the new one."""
    lab = StubLab(home)
    try:
        daemon = lab.start_daemon()
        run_id = lab.submit(steps=400, step_seconds=0.02)
        pid = lab.trainer(run_id)
        lab.until(lambda: lab.run(run_id).step > 5)
        for path in home.glob("imgcls.db*"):
            path.unlink()
        (home / "imgcls.db").touch(0o600)
        time.sleep(2)  # the daemon meets the empty one, and waits
        assert rebuild(lab.settings).problems == []
        run = lab.wait(run_id)
        note("database deleted and rebuilt during a run", f"{run.attempt} attempt, {run.state.value}", "no word lost")
        assert (run.state, run.attempt, daemon.poll()) == (RunState.SUCCEEDED, 1, None)
        assert lab.steps(run_id) == list(range(1, 401))
        assert pid not in lab.processes_of(run_id)
        assert lab.wait(lab.submit(steps=5)).state is RunState.SUCCEEDED  # and it takes new runs
    finally:
        lab.close()


def catch_up(lab: StubLab, run_id: str, what: str) -> None:
    """The database has just come back: the points that were written meanwhile must be in it within 10 s."""
    written = (lab.settings.run_dir(run_id) / "events-001.jsonl").read_bytes().count(b'"metrics"')
    begin = time.monotonic()
    lab.until(lambda: lab.run(run_id).step >= written, 30)
    back = time.monotonic() - begin
    assert lab.wait(run_id, seconds=60).state is RunState.SUCCEEDED
    run = lab.run(run_id)
    assert run.total_steps
    assert (run.attempt, lab.steps(run_id)) == (1, list(range(1, run.total_steps + 1)))
    note(what, f"all points in the database {back:.1f} s after it was back", "10 s")
    assert back < 10


def test_a_restarted_postgresql_loses_nothing(postgres, home: Path):
    lab = StubLab(home, postgres.url())
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=400, step_seconds=0.02)
        lab.trainer(run_id)
        postgres.stop()
        time.sleep(2)
        postgres.start()
        catch_up(lab, run_id, "PostgreSQL restarted")
    finally:
        lab.close()


@pytest.mark.parametrize("seconds", size([5], [5, 60]))
def test_a_partition_from_postgresql_loses_nothing(postgres, home: Path, seconds: int):
    proxy = Proxy(postgres.port)
    direct = postgres.url()
    lab = StubLab(home, direct.replace(f":{postgres.port}/", f":{proxy.port}/"))
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=int((seconds + 8) / 0.02), step_seconds=0.02)
        lab.trainer(run_id)
        events = lab.settings.run_dir(run_id) / "events-001.jsonl"
        before = events.stat().st_size
        proxy.cut()
        time.sleep(seconds)
        assert events.stat().st_size > before, "the trainer goes on"
        proxy.mend()
        catch_up(lab, run_id, f"partitioned from PostgreSQL for {seconds} s")
    finally:
        proxy.mend()
        lab.close()
        proxy.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("Only root may mount a small disk.")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """A file that leaves nothing of a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 65_536) == 65_536:
                pass
            while file.write(b"x"):
                pass
        except OSError:
            pass
    return filler


@pytest.mark.parametrize("database", ["elsewhere", "there"])
def test_a_full_disk_is_a_clear_failure_and_the_run_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path, database: str
):
    """With the database on another disk, and on the full one, where even the failure cannot be written at first."""
    url = f"sqlite:///{tmp_path / 'other' / 'imgcls.db'}" if database == "elsewhere" else None
    lab = StubLab(small_disk / "home", url, disk_alert=0)
    try:
        lab.start_daemon()
        full = tmp_path / "full"
        run_id = lab.submit(steps=200, hold_at=20, hold_until=str(full))
        lab.trainer(run_id)
        lab.until(lambda: lab.run(run_id).checkpoints)
        filler = fill(small_disk)
        full.touch()
        lab.until(lambda: not lab.processes_of(run_id), 60, lab.daemon_log)
        if database == "elsewhere":
            run = lab.wait(run_id)
            assert (run.state, run.failure, run.resumable) == (RunState.FAILED, FailureKind.DISK_FULL, True)
        filler.unlink()
        run = lab.wait(run_id)
        assert run.resumable, run
        note(f"disk full, database {database}", f"{run.state.value}, {run.failure.value}: {run.message}",
             "clear failure, resumable")  # fmt: skip
        assert run.failure is FailureKind.DISK_FULL
        saved = run.checkpoints[-1].step
        lab.store.runs.resume(run_id)
        again = lab.wait(run_id)
        assert (again.state, again.resumed_at_step) == (RunState.SUCCEEDED, saved)
        assert lab.steps(run_id) == list(range(1, 201))
    finally:
        lab.close()
