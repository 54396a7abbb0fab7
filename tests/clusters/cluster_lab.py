"""A home whose daemon, in this process, hands its runs to a cluster; its trainer is the stub, on the nodes, too."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgcls_lab.entry_points import MIRROR, NODE
from imgcls_lab.events import ENDED, DesiredState, RunState
from imgcls_lab.executor.backends.cluster import ClusterBackend
from imgcls_lab.executor.backends.drivers import WithDriversHere
from imgcls_lab.executor.backends.job_scheduler import JobScheduler
from imgcls_lab.executor.backends.launch import Argv
from imgcls_lab.executor.backends.mirrored import MirroredBackend
from imgcls_lab.executor.daemon import Daemon
from imgcls_lab.executor.node import LAUNCH_VARIABLE
from imgcls_lab.schemas import RunDetail, SubmitRequest
from imgcls_lab.settings import Settings
from tests.executor.stub_lab import ROOT, StubLab

STUB = ROOT / "tests" / "executor" / "stub_trainer.py"


def stub_argv(_kind: str, _python: str, folder: Path, attempt: int) -> list[str]:
    return [sys.executable, str(STUB), str(folder), "--attempt", str(attempt)]


class ClusterLab(StubLab):
    """scheduler_of: makes the outer scheduler for the home's settings. every: seconds between two questions to it."""

    def __init__(
        self,
        home: Path,
        scheduler_of: Callable[[Settings], JobScheduler],
        argv: Argv = stub_argv,
        *,
        every: float = 0.05,
        **traits: Any,
    ) -> None:
        super().__init__(home, **traits)
        self.scheduler_of, self.argv, self.every = scheduler_of, argv, every
        self.start()

    def start(self) -> None:
        kind = MirroredBackend if self.settings.store_url else ClusterBackend
        cluster = kind(self.settings, self.scheduler_of(self.settings), self.argv, every=self.every)
        self.backend = WithDriversHere(self.settings, cluster, self.argv)
        self.daemon = Daemon(self.settings, backend=self.backend)
        self.daemon._register(self.daemon.store_of(self.store))

    def restart(self) -> None:
        """As after a kill -9 of the daemon: another one finds the same rows, folders and jobs."""
        self.backend.close()
        self.start()

    def launch(
        self,
        *,
        gpus: int = 1,
        nodes: int = 1,
        fewer: int | None = None,
        device: str | None = None,
        priority: int = 0,
        project_id: int | None = None,
        **wish: object,
    ) -> str:
        """Queue a run of the stub on some GPUs. fewer: with how many it may start as well."""
        config = {"root": "/data", "device": "auto", "num_processes": gpus, "min_processes": fewer, "num_nodes": nodes}
        where: dict[str, Any] = {"priority": priority, "project_id": project_id, "device": device}
        request = SubmitRequest(config=config, notes=json.dumps(wish), **where)
        return self.store.runs.submit(request).id

    def rounds(self, condition: Callable[[], object], seconds: float = 120) -> None:
        """Rounds of the daemon until the condition holds."""

        def one() -> object:
            self.daemon._due["devices"] = 0.0
            self.daemon.round(self.daemon.store_of(self.store))
            return condition()

        self.until(
            one, seconds, lambda: "\n".join(f"{run.id} {run.state} {run.attempt} {run.message}" for run in self.all())
        )

    def rounds_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.rounds(lambda: time.monotonic() > end, seconds + 60)

    def all(self) -> list[Any]:
        return self.store.runs.list(limit=1000).items

    def end(self, run_id: str, seconds: float = 120) -> RunDetail:
        self.rounds(lambda: self.state(run_id) in ENDED, seconds)
        return self.run(run_id)

    def stop_and_go_on(self, run_id: str, steps: int) -> None:
        """Stop a run of so many steps: it saves, and its next attempt goes on from there, each step once."""
        self.store.runs.set_desired_state(run_id, DesiredState.STOP)
        stopped = self.end(run_id)
        assert (stopped.state, stopped.resumable) == (RunState.STOPPED, True)
        self.store.runs.resume(run_id)
        self.rounds(lambda: self.state(run_id) is RunState.SUCCEEDED)
        assert self.run(run_id).resumed_at_step == stopped.step
        assert self.steps(run_id) == list(range(1, steps + 1))

    def place(self, run_id: str) -> dict[str, Any]:
        """What the node agent of the present attempt wrote: node, devices."""
        found: dict[str, Any] = json.loads((self.settings.run_dir(run_id) / "owner.json").read_text())
        return found

    def left(self, run_id: str) -> list[int]:
        """Living processes of a run on all nodes: those with its tag, its agents and supervisors, and its mirrors."""
        others = [
            int(pid)
            for pid in os.listdir("/proc")
            if pid.isdigit() and run_id in (_run_of_agent(Path("/proc", pid)), run_of_mirror(Path("/proc", pid)))
        ]
        return self.processes_of(run_id) + others

    def close(self) -> None:
        self.backend.close()
        for pid in [pid for run in self.all() for pid in self.left(run.id)]:  # of a test that has failed
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().close()


def run_of_mirror(process: Path) -> str | None:
    """The run whose folder a process sends; None for any other process."""
    try:
        words = process.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return next((Path(word).name for word in words if "/runs/" in word), None) if MIRROR.module in words else None


def _run_of_agent(process: Path) -> str | None:
    try:
        if NODE.module.encode() not in process.joinpath("cmdline").read_bytes().split(b"\0"):
            return None
        variables = dict(row.partition(b"=")[::2] for row in process.joinpath("environ").read_bytes().split(b"\0"))
    except OSError:
        return None
    launch = variables.get(LAUNCH_VARIABLE.encode())
    return str(json.loads(base64.b64decode(launch))["run_id"]) if launch else None
