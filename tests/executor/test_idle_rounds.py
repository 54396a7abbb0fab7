"""What rounds of a daemon cost that find nothing to do, and that it still finds at once what there is to do."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event
from stub_daemon import argv
from stub_lab import ROOT, StubLab

from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.daemon import Daemon
from imgcls_lab.executor.queue_watch import LOOK_EVERY
from imgcls_lab.run_layout import exit_name
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.store.executor_store import ExecutorStore

ROUNDS = 20
SLOTS = 3
QUERIES = 3  # of a round that finds nothing, at most, beside those that are due every few seconds


class Lab(StubLab):
    """A lab whose daemon goes round where the test says so, by a clock that stands."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, cpu_slots=SLOTS)
        self.now, self.tick = 1000.0, 0.0  # tick: seconds that each look at the clock takes
        self.queries: list[str] = []
        self.daemon = Daemon(self.settings, backend=LocalBackend(self.settings, argv), clock=self.clock)
        self.own: ExecutorStore = self.daemon.store_of(self.store)
        self.daemon._register(self.own)
        event.listen(self.store.database.engine, "before_cursor_execute", self._note)

    def _note(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith("BEGIN"):
            self.queries.append(statement)

    def clock(self) -> float:
        self.now += self.tick
        return self.now

    def fill(self) -> list[str]:
        """Runs that hold all slots and train."""
        found = [self.submit(steps=2, step_seconds=600) for _ in range(SLOTS)]
        self.until(lambda: (self.round(), {self.state(run_id) for run_id in found})[1] == {RunState.RUNNING})
        self.round()
        return found

    def round(self) -> list[str]:
        """One round; the queries that it asked."""
        self.queries.clear()
        self.daemon.round(self.own)
        return [*self.queries]


@pytest.fixture
def lab(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lab = Lab(home)
    yield lab
    lab.close()


def test_a_round_that_finds_nothing_asks_little(lab: Lab) -> None:
    lab.fill()
    waiting = lab.submit(steps=1)
    lab.round()
    lab.round()
    for _ in range(ROUNDS):
        asked = lab.round()
        assert len(asked) <= QUERIES, asked
    assert lab.state(waiting) is RunState.QUEUED
    lab.now += LOOK_EVERY  # limits, other hosts and other homes are seen by then
    assert len(lab.round()) > QUERIES


def test_what_is_new_is_found_in_the_next_round(lab: Lab) -> None:
    for _ in range(3):
        lab.round()
    first, *_ = lab.fill()
    driver = lab.store.runs.submit(SubmitRequest(config={"root": "/data"}, notes='{"steps": 1}', device="none")).id
    lab.round()
    assert lab.state(driver) is not RunState.QUEUED, "one that needs no device, while none is free"
    third = lab.submit(steps=1)
    lab.store.runs.set_desired_state(first, DesiredState.KILL)
    lab.until(lambda: (lab.round(), lab.state(third))[1] is not RunState.QUEUED)


def test_a_device_that_another_program_lets_go_is_given_at_once(lab: Lab) -> None:
    lab.round()
    locks = [device.lock(lab.settings).take() for device in lab.daemon.inventory.devices]
    run_id = lab.submit(steps=1)
    for _ in range(3):
        lab.now += 3.0  # the devices are read again
        lab.round()
    assert lab.state(run_id) is RunState.QUEUED
    os.close(locks.pop())
    lab.now += 3.0
    lab.round()
    assert lab.state(run_id) is RunState.STARTING
    for lock in locks:
        os.close(lock)


def test_where_a_round_has_no_time_for_all_runs_they_take_turns(lab: Lab) -> None:
    """Each look at the clock takes longer than a round may: it checks one run that has ended, and one of the others."""
    first, second, third = lab.fill()
    lab.tick = 2.0
    monitors = {run_id: monitor for (run_id, _), monitor in lab.daemon._checks.monitors.items()}
    before = {run_id: monitor.checked_at for run_id, monitor in monitors.items()}
    lab.round()
    assert sum(monitors[run_id].checked_at > before[run_id] for run_id in before) == 1
    for _ in range(SLOTS - 1):
        lab.round()
    assert all(monitors[run_id].checked_at > before[run_id] for run_id in before)
    for run_id in (third, second, first):
        os.kill(lab.supervisor(run_id), signal.SIGTERM)
        exit_file = lab.settings.run_dir(run_id) / exit_name(1)
        lab.until(exit_file.exists)
        lab.round()
        assert lab.run(run_id).attempts[0].ended_at is not None, "an end waits for no turn"


def test_one_run_that_cannot_be_written_keeps_no_other_waiting(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ends are written together; where that fails, each is tried by itself, and said once."""
    broken, *others = lab.fill()
    real = lab.own.finish_by_folder

    def finish(keys: list[tuple[str, int]]) -> object:
        if broken in {run_id for run_id, _ in keys}:
            raise ValueError("a damaged folder")
        return real(keys)

    monkeypatch.setattr(lab.own, "finish_by_folder", finish)
    for run_id in (broken, *others):
        os.kill(lab.supervisor(run_id), signal.SIGTERM)
    for run_id in (broken, *others):
        lab.until((lab.settings.run_dir(run_id) / exit_name(1)).exists)
    lab.round()
    assert all(lab.run(run_id).attempts[0].ended_at is not None for run_id in others)
    lab.round()
    assert lab.run(broken).attempts[0].ended_at is None
    assert sum("a damaged folder" in str(record.exc_info) for record in caplog.records) == 1
    monkeypatch.undo()
    lab.round()
    assert lab.run(broken).attempts[0].ended_at is not None
