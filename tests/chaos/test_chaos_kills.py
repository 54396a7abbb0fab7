"""Random deaths of everything that can die: no run lost, doubled or stuck, no point missing."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

import psutil
import pytest
from figures import note, size
from killer import Killer
from sqlalchemy import delete
from sqlmodel import select
from stub_lab import StubLab

from imgcls_lab.events import LIVE, DesiredState, RunState
from imgcls_lab.store import attempts
from imgcls_lab.store.tables import DeviceClaim


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", size([5], [1, 2, 3, 4, 5]))
def test_random_kills_of_daemon_supervisor_and_trainer_lose_nothing(lab: StubLab, seed: int):
    lab.start_daemon()
    kills = size(15, 200)
    found = Killer(lab, seed, kills=kills, queue=size(5, 8)).run(seconds=size(120, 1500))
    kind = "SQLite" if lab.store.database.is_sqlite else "PostgreSQL"
    note(f"kill -9 at random, seed {seed}, {kind}", found.row(), "0 lost, 0 doubled, 0 missing, 40 s, 60 s")
    assert sum(found.kills.values()) == kills
    assert (found.lost, found.doubled, found.points_missing) == ([], [], [])
    assert found.longest_without_process < 40
    assert found.devices_free_after < 60
    assert lab.store.check() == []


@pytest.mark.timeout(1800)
def test_cancels_at_random_moments_leave_no_process(lab: StubLab):
    rng = random.Random(7)
    lab.start_daemon()
    runs = []
    count = size(8, 200)
    for number in range(count):
        run_id = lab.submit(steps=10_000, step_seconds=0.02, ignore_term=number % 2 == 0, children=3)
        runs.append(run_id)
        time.sleep(rng.uniform(0, 0.8))
        lab.store.runs.set_desired_state(run_id, DesiredState.KILL if number % 3 == 0 else DesiredState.STOP)
    wrong, left = [], []
    for run_id in runs:
        run = lab.wait(run_id, seconds=size(60, 600))
        if run.state not in {RunState.CANCELLED, RunState.STOPPED}:
            wrong.append(run)
        left += lab.processes_of(run_id)
    note(f"cancel at {count} random moments, three levels of children that ignore SIGTERM",
         f"{len(wrong)} in a wrong state, {len(left)} processes left", "0, 0")  # fmt: skip
    assert (wrong, left) == ([], [])
    lab.until(lambda: {device.run_id for device in lab.store.executors.status().devices} == {None})


def test_a_trainer_that_slept_completes_once(home: Path, tmp_path: Path):
    lab = StubLab(home)
    try:
        lab.start_daemon()
        asleep_now = tmp_path / "asleep"
        run_id = lab.submit(steps=150, hold_at=20, hold_until=str(asleep_now))
        pid = lab.trainer(run_id)
        asleep = size(lab.settings.lease + 2, 60)
        os.kill(pid, signal.SIGSTOP)
        asleep_now.touch()
        time.sleep(asleep)  # its supervisor beats on: nobody takes the run away
        assert lab.state(run_id) is RunState.RUNNING
        os.kill(pid, signal.SIGCONT)
        run = lab.wait(run_id)
        note(f"trainer stopped for {asleep:g} s", f"{run.attempt} attempt, {run.state.value}", "one completion")
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 1)
        assert lab.steps(run_id) == list(range(1, 151))
    finally:
        lab.close()


def test_a_daemon_that_slept_through_its_hosts_end_changes_nothing(home: Path):
    """The host is declared gone while its daemon sleeps; another host does the run; then the daemon wakes."""
    lab = StubLab(home, lease=1.0)
    try:
        sleeper = lab.start_daemon()
        run_id = lab.submit(steps=100, hold_at=20)
        lab.trainer(run_id)
        lab.until(lambda: lab.run(run_id).checkpoints)
        put_to_sleep(sleeper.pid, home / "imgcls.db")
        for pid in lab.processes_of(run_id):
            os.kill(pid, signal.SIGKILL)
        forget_here(lab)
        with lab.store.database.write() as session:
            claim = attempts.claim(session, "host-b", "host-b-1", lambda _: ["cpu:7"])
        assert (claim.run.id, claim.attempt) == (run_id, 2)
        before = lab.run(run_id)
        os.kill(sleeper.pid, signal.SIGCONT)
        time.sleep(3)
        after = lab.run(run_id)
        note("zombie daemon of a forgotten host", "0 rows changed" if after == before else "rows changed", "0 rows")
        assert after == before
        assert [device.device for device in claims(lab)] == ["cpu:7"]
    finally:
        lab.close()


def put_to_sleep(pid: int, database: Path) -> None:
    """SIGSTOP between two uses of the database: asleep inside one, it would keep everybody from writing.

    A reader counts too: without a write-ahead log a writer waits for it, so only EXCLUSIVE tells.
    """
    while True:
        os.kill(pid, signal.SIGSTOP)
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        with contextlib.closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError:
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.01)
            else:
                connection.execute("ROLLBACK")
                return


def claims(lab: StubLab) -> list[DeviceClaim]:
    with lab.store.database.read() as session:
        return list(session.exec(select(DeviceClaim)).all())


def forget_here(lab: StubLab) -> None:
    """`executor forget` refuses one's own host, rightly; as another host would do it."""
    from imgcls_lab.store.verdict import Verdict

    host = lab.store.executors.status().executors[0].host
    for run in lab.store.runs.list(states=LIVE).items:
        with lab.store.database.write() as session:
            attempts.finish(session, run.id, run.attempt, Verdict(RunState.LOST, counted=False), None)
    with lab.store.database.write() as session:
        session.execute(delete(DeviceClaim).where(DeviceClaim.host == host))
