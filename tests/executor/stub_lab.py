"""A home with a store and real daemons whose trainer is the stub: what the executor's and the chaos tests work with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab import locks
from imgcls_lab.events import ENDED, RunState
from imgcls_lab.executor import client, processes
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.schemas import RunDetail, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.waiting import until

ROOT = Path(__file__).parents[2]


class StubLab:
    """Starts what a test needs and ends all of it, and nothing else."""

    def __init__(self, home: Path, db_url: str | None = None, *, device: str = "cpu", **traits: Any) -> None:
        self.device = device  # that runs ask for
        defaults: dict[str, Any] = {"poll_interval": 0.05, "lease": 6.0, "stop_grace": 5.0, "autostart": False}
        self.settings = Settings(home=str(home), **({"db_url": db_url} if db_url else {}), **{**defaults, **traits})
        self.store = Store.open(self.settings, migrate=True)
        self.daemons: list[subprocess.Popen[bytes]] = []
        self.python_path = [str(ROOT)]

    def start_daemon(self, *, real: bool = False, kinds: bool = False) -> subprocess.Popen[bytes]:
        """A daemon, and wait until it has its place. real: its trainer is the engine; kinds: all but trainings is."""
        stub = [str(Path(__file__).with_name("stub_daemon.py")), *(["kinds"] if kinds else [])]
        path = os.pathsep.join(self.python_path)
        command = [sys.executable, *(["-m", "imgcls_lab.executor.daemon"] if real else stub)]
        log = (self.settings.executor_dir / "daemon.log").open("ab")
        with log, pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", path)
            daemon = client.start_process(self.settings, command, log.fileno())
        self.daemons.append(daemon)
        self.until(lambda: locks.is_locked(self.settings.executor_lock) or daemon.poll() is not None)
        return daemon

    def kill_daemon(self, number: int = signal.SIGKILL) -> None:
        daemon = self.daemons.pop()
        daemon.send_signal(number)
        daemon.wait(20)

    def submit(self, name: str | None = None, **wish: Any) -> str:
        config = {"root": "/data/digits", "model_flavour": "stub", "device": self.device}
        return self.store.runs.submit(SubmitRequest(config=config, name=name, notes=json.dumps(wish))).id

    def run(self, run_id: str) -> RunDetail:
        return self.store.runs.get(run_id)

    def state(self, run_id: str) -> RunState:
        return self.store.runs.get(run_id).state

    def wait(self, run_id: str, *states: RunState, seconds: float = 90) -> RunDetail:
        """The run as soon as it is in one of the states, by default in an ended one."""
        wanted = states or tuple(ENDED)
        self.until(lambda: self.state(run_id) in wanted, seconds, lambda: f"{self.run(run_id)}\n{self.daemon_log()}")
        return self.run(run_id)

    def until(
        self, condition: Callable[[], object], seconds: float = 60, why: Callable[[], str] = lambda: "too late"
    ) -> None:
        until(condition, seconds, why)

    def steps(self, run_id: str, tag: str = "loss/train") -> list[int]:
        """Steps at which the database holds a point, in order, as often as it holds one."""
        series = self.store.metrics.series([run_id], [tag], max_points=1_000_000).series
        return series[0].step if series else []

    def processes_of(self, run_id: str) -> list[int]:
        """Living processes of all attempts of a run."""
        return [pid for n in range(1, 30) for pid in processes.tagged(processes.tag_of(run_id, n))]

    def supervisor(self, run_id: str) -> int:
        owner = json.loads((self.settings.run_dir(run_id) / "owner.json").read_text())
        return int(owner["pid"])

    def trainer(self, run_id: str) -> int:
        """Pid of the trainer, once it has written an event."""

        def found() -> int | None:
            run = self.run(run_id)
            return run.attempts[-1].pid if run.attempts and run.step > 0 else None

        self.until(found, 120, lambda: f"{self.run(run_id)}\n{self.daemon_log()}")
        pid = found()
        assert pid is not None
        return pid

    def daemon_log(self) -> str:
        path = self.settings.executor_dir / "daemon.log"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        for daemon in self.daemons:
            if daemon.poll() is None:
                daemon.kill()
            daemon.wait(10)
        for run in self.store.runs.list(limit=10_000).items:
            for number in range(1, run.attempt + 1):
                LocalBackend(self.settings).clear(run.id, number)
        self.store.close()
