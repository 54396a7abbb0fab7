"""Random deaths of everything that can die, in quick form: no run lost, doubled or stuck, no point missing."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import pytest
from stub_lab import StubLab

from imgcls_lab.executor import processes
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.protocol import Desired, RunState


def test_random_kills_of_daemon_supervisor_and_trainer_lose_nothing(lab: StubLab):
    rng = random.Random(5)
    lab.start_daemon()
    runs = {lab.submit(steps=steps, step_seconds=0.02): steps for steps in (40, 60, 80, 50, 70, 45, 65, 55)}
    kills = 0
    deadline = time.monotonic() + 120
    while any(lab.state(run_id) is not RunState.SUCCEEDED for run_id in runs):
        assert time.monotonic() < deadline, f"{lab.store.runs().items}\n{lab.daemon_log()}"
        time.sleep(rng.uniform(0.3, 0.9))
        if kills >= 20:
            continue
        kills += 1
        if rng.random() < 0.3:
            lab.kill_daemon()
            lab.start_daemon()
            continue
        live = lab.store.runs(states=[RunState.STARTING, RunState.RUNNING]).items
        live = [run for run in live if run.attempt <= 3]  # a fourth death before a checkpoint is given up, rightly
        if live:
            run = rng.choice(live)
            tag = processes.tag_of(run.id, run.attempt)
            for pid in rng.sample(found := processes.tagged(tag), min(1, len(found))):
                processes.send(pid, signal.SIGKILL, lambda pid, tag=tag: processes.has_tag(pid, tag))
    for run_id, steps in runs.items():
        assert lab.steps(run_id) == list(range(1, steps + 1)), "each step once"
        assert lab.processes_of(run_id) == []
        numbers = [attempt.number for attempt in lab.run(run_id).attempts]
        assert numbers == list(range(1, len(numbers) + 1))
    lab.until(lambda: all(device.run_id is None for device in lab.store.devices().devices))
    assert lab.store.check() == []


def test_cancels_at_random_moments_leave_no_process(lab: StubLab):
    rng = random.Random(7)
    lab.start_daemon()
    runs = []
    for number in range(9):
        run_id = lab.submit(steps=10_000, step_seconds=0.02, ignore_term=number % 2 == 0, children=3)
        runs.append(run_id)
        time.sleep(rng.uniform(0, 0.8))
        lab.store.request(run_id, Desired.KILL if number % 3 == 0 else Desired.STOP)
    for run_id in runs:
        run = lab.wait(run_id)
        assert run.state in {RunState.CANCELLED, RunState.STOPPED}, run.message
        assert (run.state is RunState.CANCELLED) or run.step >= 0
        assert lab.processes_of(run_id) == []
    lab.until(lambda: all(device.run_id is None for device in lab.store.devices().devices))


def test_a_trainer_that_slept_completes_once(home: Path):
    lab = StubLab(home)
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=150)
        pid = lab.trainer(run_id)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(lab.settings.lease + 2)  # its supervisor beats on: nobody takes the run away
        assert lab.state(run_id) is RunState.RUNNING
        os.kill(pid, signal.SIGCONT)
        run = lab.wait(run_id)
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 1)
        assert lab.steps(run_id) == list(range(1, 151))
    finally:
        lab.close()


def test_a_lock_on_the_database_does_not_slow_the_trainer(home: Path):
    import sqlite3

    lab = StubLab(home)
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=100, step_seconds=0.02)
        lab.trainer(run_id)
        blocker = sqlite3.connect(lab.store.database.file, isolation_level=None, timeout=30)
        blocker.execute("BEGIN EXCLUSIVE")
        events = lab.settings.run_dir(run_id) / "events-001.jsonl"
        before, begin = events.stat().st_size, time.monotonic()
        lab.until(lambda: b'"finished"' in events.read_bytes(), 20)
        assert time.monotonic() - begin < 10
        assert events.stat().st_size > before
        blocker.execute("ROLLBACK")
        blocker.close()
        assert lab.wait(run_id).state is RunState.SUCCEEDED
        assert lab.steps(run_id) == list(range(1, 101))
    finally:
        lab.close()


def test_a_restarted_postgresql_loses_nothing(postgres, home: Path):
    lab = StubLab(home, postgres.url())
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=150, step_seconds=0.02)
        lab.trainer(run_id)
        postgres.stop()
        time.sleep(2)
        postgres.start()
        begin = time.monotonic()
        lab.until(lambda: lab.run(run_id).step > 60, 20)
        assert time.monotonic() - begin < 10
        assert lab.wait(run_id).state is RunState.SUCCEEDED
        assert lab.steps(run_id) == list(range(1, 151))
    finally:
        lab.close()


def test_a_clock_that_jumps_takes_no_run_away(home: Path, monkeypatch: pytest.MonkeyPatch):
    """The daemon's rounds run in this process, whose wall clock jumps an hour and a year, forth and back."""
    from stub_daemon import argv

    from imgcls_lab.executor.backend import LocalBackend
    from imgcls_lab.executor.daemon import Daemon

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    lab = StubLab(home)
    try:
        daemon = Daemon(lab.settings, backend=LocalBackend(argv))
        daemon._register(lab.store)
        run_id = lab.submit(steps=60)
        real = time.time
        for shift in (0, 3600, -3600, 365 * 86400, -365 * 86400) * 200:
            monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
            daemon.round(lab.store)
            if lab.state(run_id) is RunState.SUCCEEDED:
                break
            time.sleep(0.02)
        monkeypatch.setattr(time, "time", real)
        run = lab.run(run_id)
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, 1)
    finally:
        lab.close()


def test_a_pid_given_to_another_process_is_not_the_run(lab: StubLab):
    """Seeded defect, pid without start time: an identity that only compares pids takes this process for the run."""
    me = ProcessIdentity.current()
    former = ProcessIdentity(me.machine_id, me.boot_id, me.pid, "1")
    assert me.alive()
    assert not former.alive()
    assert former.status() == "dead"
    with contextlib.suppress(ProcessLookupError):
        os.kill(former.pid, 0)  # a bare pid says that it lives


def test_a_group_kill_alone_would_miss_a_child_that_left_the_group(home: Path, monkeypatch: pytest.MonkeyPatch):
    """Seeded defect: children are looked for by their session only. The tag is what finds the rest."""
    lab = StubLab(home, stop_grace=1.0)
    try:
        lab.start_daemon()
        run_id = lab.submit(steps=10_000, children=3, ignore_term=True)
        trainer = lab.trainer(run_id)
        lab.until(lambda: len(lab.processes_of(run_id)) == 5)
        assert len(processes.in_session(trainer)) < 4
        assert len(processes.tagged(processes.tag_of(run_id, 1))) == 5
    finally:
        lab.close()
