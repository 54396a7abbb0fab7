"""The one thread that talks with the outer scheduler, so that a slow answer delays no round of the daemon.

Called by `ClusterBackend`, which hands jobs over and reads what was answered last. A job that cannot be submitted now
is submitted later; a scheduler that does not answer makes a job's state unknown, and ends nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace

from imgcls_lab.errors import ExecutorError, SchedulerAwayError
from imgcls_lab.executor.backends.job_scheduler import (
    REASON,
    Job,
    JobScheduler,
    JobState,
    JobStatus,
    Node,
    bounded_nodes,
    bounded_status,
)
from imgcls_lab.terminal import shown

log = logging.getLogger(__name__)

EVERY = 2.0  # seconds between two questions
NODES_EVERY = 10.0  # seconds between two looks at the nodes, while no job changes
FORGET = 120.0  # seconds after which a job that nobody asks for is not watched any more


class JobWatch:
    """What an outer scheduler said last. Safe for threads."""

    def __init__(self, scheduler: JobScheduler, every: float = EVERY) -> None:
        self._scheduler = scheduler
        self._every = every
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._outbox: dict[str, Job] = {}
        self._cancels: dict[str, float] = {}  # job -> its grace
        self._statuses: dict[str, JobStatus] = {}
        self._refused: dict[str, str] = {}  # job -> why it will never run
        self._asked_at: dict[str, float] = {}
        self._away: str | None = f"{scheduler.title} has not answered yet."
        self._takes_none: str | None = None  # why it takes no job now, though it answers
        self._no_nodes: str | None = None  # why it has no nodes for us, though it answers
        self._nodes: list[Node] = []
        self._nodes_due = 0.0
        self._queue_length = 0
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
        self._thread.start()

    # ── for the backend ─────────────────────────────────────────────────────────────────────────────────────
    def submit(self, job: Job) -> None:
        """Hand a job over as soon as the scheduler answers."""
        with self._lock:
            self._outbox[job.id] = job
            self._asked_at[job.id] = time.monotonic()
        self._wake.set()

    def cancel(self, job: str, grace: float) -> None:
        """End a job as soon as the scheduler answers; one that it does not have yet is not submitted any more."""
        with self._lock:
            self._outbox.pop(job, None)
            self._cancels[job] = grace
        self._wake.set()

    def status(self, job: str) -> JobStatus:
        """What is known of a job. UNKNOWN while the scheduler does not answer, unless its end is known."""
        with self._lock:
            new = job not in self._asked_at
            self._asked_at[job] = time.monotonic()
            if job in self._outbox:
                return JobStatus(JobState.WAITING, self._away or self._takes_none or "", handed_over=False)
            if job in self._refused:
                return JobStatus(JobState.ENDED, self._refused[job])
            found = self._statuses.get(job)
            away = self._away
        if new:
            self._wake.set()
        if found is not None and (away is None or found.state is JobState.ENDED):
            return found
        return JobStatus(JobState.UNKNOWN, away or "", found.nodes if found else ())

    def refusal(self, job: str) -> str | None:
        """Why the scheduler will never run a job that it was given; None for any other."""
        with self._lock:
            return self._refused.get(job)

    def nodes(self) -> list[Node]:
        """As they were when the scheduler answered last."""
        with self._lock:
            return self._nodes

    def queue_length(self) -> int:
        with self._lock:
            return self._queue_length

    def placements(self) -> dict[str, list[str]]:
        """Node -> the jobs that run on it, of those that are watched."""
        found: dict[str, list[str]] = {}
        with self._lock:
            for job, status in sorted(self._statuses.items()):
                for node in status.nodes if status.state is JobState.RUNNING else ():
                    found.setdefault(node, []).append(job)
        return found

    def away(self) -> str | None:
        """Why the scheduler cannot be asked now, a sentence; None: it answers."""
        with self._lock:
            return self._away

    def takes_none(self) -> str | None:
        """Why the scheduler cannot be asked, has no nodes or takes no job now, a sentence; None: it takes jobs."""
        with self._lock:
            return self._away or self._no_nodes or self._takes_none

    def close(self) -> None:
        """End the thread. A job that it has not submitted yet is missing then, and its run is queued again."""
        self._closing = True
        self._wake.set()
        self._thread.join(5)

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────
    def _run(self) -> None:
        while not self._closing:
            self._wake.clear()
            try:
                self._round()
                away = None
            except ExecutorError as error:
                away = shown(str(error), 2 * REASON)
            except Exception as error:
                away = shown(f"{self._scheduler.title} gave an answer that nobody understands: {error!r}", REASON)
                if away != self._away:  # once, not at each try
                    log.exception("%s could not be asked.", self._scheduler.title)
            with self._lock:
                if away != self._away:
                    log.warning("%s", away or f"{self._scheduler.title} answers.")
                self._away = away
            self._wake.wait(self._every)
        self._scheduler.close()

    def _round(self) -> None:
        with self._lock:
            outbox = list(self._outbox.values())
        self._hand_over(outbox)
        with self._lock:
            cancels = dict(self._cancels)
        for job_id, grace in cancels.items():
            self._scheduler.cancel(job_id, grace)
            with self._lock:
                self._cancels.pop(job_id, None)
        changed = self._ask()
        now = time.monotonic()
        if outbox or changed or now >= self._nodes_due:
            self._look_at_nodes()

    def _hand_over(self, outbox: list[Job]) -> None:
        """Submit jobs until one is not taken now. The jobs that the scheduler has are asked for all the same."""
        takes_none = None
        for job in outbox:
            try:
                self._submit(job)
            except SchedulerAwayError as error:
                takes_none = shown(str(error), 2 * REASON)
                break
        with self._lock:
            if takes_none is not None and takes_none != self._takes_none:
                log.warning("%s", takes_none)
            self._takes_none = takes_none

    def _look_at_nodes(self) -> None:
        """What is wrong with them, such as a partition that is not there, hides nothing of the jobs that live."""
        nodes: list[Node] = []
        queue_length, problem = 0, None
        try:
            nodes, queue_length = bounded_nodes(self._scheduler.nodes()), self._scheduler.queue_length()
        except SchedulerAwayError:
            raise
        except ExecutorError as error:
            problem = shown(str(error), 2 * REASON)
        with self._lock:
            if problem is not None and problem != self._no_nodes:
                log.warning("%s", problem)
            self._nodes, self._queue_length, self._no_nodes = nodes, queue_length, problem
            self._nodes_due = time.monotonic() + NODES_EVERY

    def _submit(self, job: Job) -> None:
        refused = None
        try:
            self._scheduler.submit(job)
        except SchedulerAwayError:
            raise
        except ExecutorError as error:
            refused = str(error)
        with self._lock:
            if self._outbox.pop(job.id, None) is None:  # taken back meanwhile; the cancel follows
                return
            if refused is not None:
                self._refused[job.id] = refused
            else:
                self._statuses[job.id] = JobStatus(JobState.WAITING)

    def _ask(self) -> bool:
        """Ask for all jobs whose end is not known; whether one has changed."""
        now = time.monotonic()
        with self._lock:
            for job in [job for job, at in self._asked_at.items() if now - at > FORGET and job not in self._outbox]:
                for known in (self._asked_at, self._statuses, self._refused):
                    known.pop(job, None)
            known_end = {job for job, status in self._statuses.items() if status.state is JobState.ENDED}
            open_jobs = self._asked_at.keys() - known_end - self._outbox.keys() - self._refused.keys()
        answers = self._scheduler.status(open_jobs) if open_jobs else {}
        changed = False
        with self._lock:
            for job in open_jobs:
                before = self._statuses.get(job)
                after = bounded_status(answers.get(job, JobStatus(JobState.MISSING)))
                if before is not None and not after.nodes:
                    after = replace(after, nodes=before.nodes)
                changed = changed or before is None or before.state is not after.state
                self._statuses[job] = after
        return changed
