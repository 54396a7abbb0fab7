"""Kills what can die, at random, while runs go on; and says afterwards what that did."""

from __future__ import annotations

import random
import signal
import time
from dataclasses import dataclass, field

from sqlmodel import col, select
from stub_lab import StubLab

from imgcls_lab.events import LIVE, RunState
from imgcls_lab.executor import processes
from imgcls_lab.store.states import texts
from imgcls_lab.store.tables import Run

GIVEN_UP_AFTER = 3  # deaths in a row without a newer checkpoint: one more, and the run rightly fails


@dataclass
class Verdict:
    """What the kills did. Seconds are the longest of all runs."""

    runs: int = 0
    kills: dict[str, int] = field(default_factory=lambda: {"daemon": 0, "supervisor": 0, "trainer": 0})
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    points_missing: list[str] = field(default_factory=list)
    longest_without_process: float = 0.0
    devices_free_after: float = 0.0

    def row(self) -> str:
        return (
            f"{sum(self.kills.values())} kills, {self.runs} runs: {len(self.lost)} lost, {len(self.doubled)} doubled, "
            f"{len(self.points_missing)} with a point missing or twice; longest without a process "
            f"{self.longest_without_process:.1f} s; all devices free after {self.devices_free_after:.1f} s"
        )


class Killer:
    """One storm. `queue`: how many runs are kept waiting or live while it lasts."""

    def __init__(self, lab: StubLab, seed: int, *, kills: int, queue: int) -> None:
        self.lab = lab
        self.rng = random.Random(seed)
        self.kills = kills
        self.queue = queue
        self.steps: dict[str, int] = {}
        self.verdict = Verdict()
        self._without: dict[str, float] = {}

    def run(self, seconds: float) -> Verdict:
        """Kill, refill, wait for all to end, and look. Fails when that takes longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while sum(self.verdict.kills.values()) < self.kills:
            assert time.monotonic() < deadline, self._state()
            self._refill()
            self._pause(self.rng.uniform(0.1, 0.6))
            self._kill()
        while self._open():
            assert time.monotonic() < deadline, self._state()
            self._pause(0.3)
        return self._judge()

    def _refill(self) -> None:
        while len(self._open()) < self.queue:
            steps = self.rng.randrange(30, 80)
            self.steps[self.lab.submit(steps=steps, step_seconds=0.02)] = steps

    def _open(self) -> list[str]:
        page = self.lab.store.runs.list(limit=1000, states=[RunState.QUEUED, RunState.LOST, *LIVE])
        return [run.id for run in page.items]

    def _kill(self) -> None:
        what = self.rng.choices(["daemon", "supervisor", "trainer"], [0.25, 0.25, 0.5])[0]
        if what == "daemon":
            self.lab.kill_daemon()
            self.lab.start_daemon()
        elif not self._kill_process(what):
            return
        self.verdict.kills[what] += 1

    def _kill_process(self, what: str) -> bool:
        with self.lab.store.database.read() as session:
            query = select(Run.id, Run.attempt).where(
                col(Run.state).in_(texts(LIVE)), Run.lost_attempts < GIVEN_UP_AFTER
            )
            live = session.exec(query.order_by(col(Run.number))).all()
        if not live:
            return False
        run_id, attempt = self.rng.choice(live)
        tag = processes.tag_of(run_id, attempt)
        found = [pid for pid in processes.tagged(tag) if self._is_supervisor(pid) == (what == "supervisor")]
        if not found:
            return False
        processes.send(self.rng.choice(found), signal.SIGKILL, lambda pid: processes.has_tag(pid, tag))
        return True

    def _is_supervisor(self, pid: int) -> bool:
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return b"executor.supervisor" in file.read()
        except OSError:
            return False

    def _pause(self, seconds: float) -> None:
        """Wait, and watch for runs that count as live though nothing of them lives."""
        end = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            live = {run.id: run.attempt for run in self.lab.store.runs.list(limit=1000, states=LIVE).items}
            empty = {key for key, n in live.items() if not processes.tagged(processes.tag_of(key, n))}
            self._without = {key: self._without.get(key, now) for key in empty}
            longest = max((now - since for since in self._without.values()), default=0.0)
            self.verdict.longest_without_process = max(self.verdict.longest_without_process, longest)
            if now >= end:
                return
            time.sleep(min(0.2, max(0.0, end - now)))

    def _judge(self) -> Verdict:
        begin, verdict = time.monotonic(), self.verdict
        self.lab.until(lambda: {device.run_id for device in self.lab.store.executors.status().devices} == {None}, 60)
        verdict.devices_free_after = time.monotonic() - begin
        verdict.runs = len(self.steps)
        for run_id, steps in self.steps.items():
            if self.lab.state(run_id) is not RunState.SUCCEEDED:
                verdict.lost.append(f"{run_id}: {self.lab.run(run_id).state} {self.lab.run(run_id).message}")
            elif self.lab.steps(run_id) != list(range(1, steps + 1)):
                verdict.points_missing.append(run_id)
            if (self.lab.settings.run_dir(run_id) / "doubled").exists():
                verdict.doubled.append(run_id)
        return verdict

    def _state(self) -> str:
        return f"{self.verdict}\n{[self.lab.run(run_id) for run_id in self._open()]}\n{self.lab.daemon_log()[-5000:]}"
