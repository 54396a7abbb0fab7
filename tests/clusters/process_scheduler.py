"""An outer scheduler of one machine, for tests: each job is a process of this host, with logical GPUs of its own.

It starts the real node agent as a cluster does, in a process group that it kills as Ray and Slurm do. `away`,
`takes_none`, `broken`, `forgotten` and `gone` are its bad days.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Collection
from pathlib import Path

from imgcls_lab.errors import ExecutorError, SchedulerAwayError
from imgcls_lab.executor.backends.job_scheduler import Finding, Job, JobState, JobStatus, Node
from imgcls_lab.executor.node import LOGICAL_GPUS, NODE_NAMES


class ProcessScheduler:
    title = "The test's cluster"

    def __init__(self, folder: Path, gpus: int = 2) -> None:
        self.folder = folder
        self.gpus = gpus
        self.away = False
        self.paused = False  # starts nothing, and ends a waiting job only once that has a place, as Ray does
        self.refuses: str | None = None
        self.takes_none: str | None = None  # why it takes no job of anybody's, though it answers
        self.broken: str | None = None  # why it has no nodes for us
        self.forgotten: set[str] = set()
        self.gone: set[str] = set()  # jobs that it calls ended though they live, as of a node that was cut off
        self.environment: dict[str, str] = {}
        self.prefix: tuple[str, ...] = ()  # of each command
        self.jobs: dict[str, Job] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.devices: dict[str, list[str]] = {}
        self.submitted: list[str] = []

    def submit(self, job: Job) -> None:
        self._answer()
        if self.refuses:
            raise ExecutorError(self.refuses)
        if self.takes_none:
            raise SchedulerAwayError(self.takes_none)
        self.submitted.append(job.id)
        if job.id not in self.jobs:
            self.jobs[job.id] = job
        self._start_waiting()

    def status(self, ids: Collection[str]) -> dict[str, JobStatus]:
        self._answer()
        self._start_waiting()
        return {job: self._status(job) for job in ids if job in self.jobs and job not in self.forgotten}

    def cancel(self, job: str, grace: float) -> None:
        self._answer()
        process = self.processes.get(job)
        if process is None:
            if not self.paused:
                self.jobs.pop(job, None)
        elif process.poll() is None:
            self.signal(job, signal.SIGTERM if grace else signal.SIGKILL)

    def signal(self, job: str, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.processes[job].pid, number)

    def nodes(self) -> list[Node]:
        self._answer()
        if self.broken:
            raise ExecutorError(self.broken)
        held = sum(len(devices) for job, devices in self.devices.items() if self.processes[job].poll() is None)
        return [Node("node1", self.gpus, self.gpus - held, "toy", cpus=2)]

    def queue_length(self) -> int:
        return len(self.jobs.keys() - self.processes.keys())

    def log(self, job: str) -> str:
        path = self.folder / f"{job}.log"
        return path.read_text() if path.exists() else ""

    def check(self) -> list[Finding]:
        return []

    def close(self) -> None: ...

    def end_all(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def _answer(self) -> None:
        if self.away:
            raise SchedulerAwayError("The test's cluster does not answer.")

    def _status(self, job: str) -> JobStatus:
        if job in self.gone:
            return JobStatus(JobState.ENDED, "Its node was lost.", ("node1",))
        if job not in self.processes:
            return JobStatus(JobState.WAITING, "All GPUs are taken.")
        code = self.processes[job].poll()
        state = JobState.RUNNING if code is None else JobState.ENDED
        return JobStatus(state, "", ("node1",), code if code is not None and code >= 0 else None)

    def _start_waiting(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, job in [] if self.paused else self.jobs.items():
            living = [other for other, process in self.processes.items() if process.poll() is None]
            taken = {device for other in living for device in self.devices[other]}
            free = [str(n) for n in range(self.gpus) if str(n) not in taken]
            if name in self.processes or len(free) < job.gpus:
                continue
            self.devices[name] = free[: job.gpus]
            environment = {
                **os.environ,
                LOGICAL_GPUS: "1",
                NODE_NAMES[0]: "node1",
                **self.environment,
                **job.environment,
            }
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(self.devices[name])
            with (self.folder / f"{name}.log").open("ab") as output:
                self.processes[name] = subprocess.Popen(
                    [*self.prefix, *job.argv],
                    env=environment,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    cwd="/",
                )
