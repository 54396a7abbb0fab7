"""Attempts as jobs of an outer scheduler: all that Ray and Slurm share. Called by the daemon alone.

A job starts the node agent (`executor/node.py`) with its launch. The run's folder lies in a home that the nodes share,
so heartbeat, events, log, stop and exit are the same files as on one machine. Where a run is placed is the scheduler's
decision; a device here is a token of capacity. An attempt is over when the scheduler says that its job is gone and its
heartbeat has stopped; an answer that is missing ends nothing.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

from imgcls_lab import locks, run_layout, run_paths
from imgcls_lab._version import __version__
from imgcls_lab.entry_points import NODE
from imgcls_lab.errors import ExecutorError
from imgcls_lab.events import DesiredState, RunKind
from imgcls_lab.executor import processes, run_secrets
from imgcls_lab.executor.backends.base import OwnerState, OwnerStatus
from imgcls_lab.executor.backends.job_scheduler import Job, JobScheduler, JobState, JobStatus, Node, job_id, run_of
from imgcls_lab.executor.backends.job_watch import EVERY, JobWatch
from imgcls_lab.executor.backends.launch import (
    QUEUES_RUNS,
    Argv,
    beat_every,
    check_own,
    launch_of,
    module_argv,
    prepare_folder,
    process_arguments,
)
from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.node import FULL, LAUNCH_VARIABLE, REFUSED, encode
from imgcls_lab.executor.supervisor import LOCK
from imgcls_lab.identity import JobIdentity, Owner
from imgcls_lab.planning.processes import nodes_for
from imgcls_lab.plurals import counted
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Run

log = logging.getLogger(__name__)

MOST_TOKENS = 20_000  # devices of one cluster
QUIET_BEATS = 3  # beats that must be missing before a job that the scheduler calls gone counts as dead
SIGNALLED = 128  # a shell's exit code above it says that a signal ended the command
_STORE_URL = Settings.table()["store_url"].variable
_NOTED = ("nodes", "gpus", "environment")  # what is read of a launch
NAMED = 3  # nodes that a sentence names
ENDING = 10.0  # seconds that a job may live on after its supervisor has written its exit


class ClusterBackend:
    """Jobs of one outer scheduler. `argv` says what a run's process is."""

    release_seconds = 0.0  # a device here is a token, which no process holds

    def __init__(
        self, settings: Settings, scheduler: JobScheduler, argv: Argv = module_argv, *, every: float = EVERY
    ) -> None:
        self.host = settings.run_host
        self._settings = settings
        self._scheduler = scheduler
        self._argv = argv
        self._watch = JobWatch(scheduler, every)
        self._saved_state = ""
        self._since: dict[tuple[str, str], float] = {}  # (job, what) -> when it was seen first
        self._launches: dict[str, dict[str, Any]] = {}  # job -> the note of its launch in its folder

    # ── capacity ────────────────────────────────────────────────────────────────────────────────────────────
    def devices(self, claimed: Set[str]) -> list[Device]:
        """A token for each GPU of the nodes that live, and for each CPU slot of those without a GPU."""
        self._save_state()
        nodes = [node for node in self._watch.nodes() if node.alive]
        tokens = [*itertools.islice((token for node in nodes for token in self._tokens(node)), MOST_TOKENS)]
        busy = sum(node.gpus - node.free_gpus for node in nodes)
        foreign = max(0, busy - sum(token.kind == "cuda" and token.name in claimed for token in tokens))
        found = []
        for position, token in enumerate(tokens):
            held = token.kind == "cuda" and token.name not in claimed and foreign > 0
            foreign -= held
            held_by = f"another job of {self._scheduler.title}" if held else None
            found.append(Device(token.name, position, token.title, token.kind, token.name, held_by=held_by))
        return found

    def _tokens(self, node: Node) -> list[Device]:
        if node.gpus:
            kind = f" · {node.kind}" if node.kind else ""
            titles = [(f"{node.name}/gpu:{i}", f"{node.name} · GPU {i}{kind}") for i in range(node.gpus)]
            return [Device(name, 0, title, "cuda", name) for name, title in titles]
        slots = min(self._settings.cpu_slots, node.cpus)
        titles = [(f"{node.name}/cpu:{i}", f"{node.name} · CPU slot {i}") for i in range(slots)]
        return [Device(name, 0, title, "cpu", name) for name, title in titles]

    def _save_state(self) -> None:
        """Write down what the scheduler said last, for the devices page."""
        jobs = self._watch.placements()
        nodes = [
            {**vars(node), "runs": [run[0] for job in jobs.get(node.name, ()) if (run := run_of(job)) is not None]}
            for node in self._watch.nodes()
        ]
        state = {"title": self._scheduler.title, "host": self.host, "waiting": self._watch.queue_length()}
        text = json.dumps({**state, "away": self._watch.takes_none(), "nodes": nodes})
        if text != self._saved_state:
            self._saved_state = text
            try:
                run_layout.write_atomic(self._settings.cluster_state, text)
            except OSError as error:  # a full disk keeps no run from being watched
                log.warning("What %s says could not be written down: %s", self._scheduler.title, error)
                self._saved_state = ""

    def holder(self, device: Device) -> str | None:
        return device.held_by

    def problem(self) -> str | None:
        """What keeps all runs from starting: the scheduler is away, takes no job, or has no node that does."""
        nodes = self._watch.nodes()
        reason = self._watch.takes_none()
        if reason is None and not any(node.alive for node in nodes):
            closed = "; ".join(f"{node.name}: {node.reason.rstrip('.')}" for node in nodes[:NAMED])
            more = f" and {counted(len(nodes) - NAMED, 'more node')}" if len(nodes) > NAMED else ""
            reason = f"No node of {self._scheduler.title} takes jobs now" + (f" ({closed}{more})." if nodes else ".")
        return reason

    # ── start ───────────────────────────────────────────────────────────────────────────────────────────────
    def start(self, run: Run, attempt: int, devices: Sequence[Device]) -> JobIdentity:
        """Write the run's folder and hand its job over. Raises OSError and ExecutorError, with nothing started."""
        check_own(run)
        kind, folder = RunKind(run.kind), self._settings.run_dir(run.id)
        python = self._settings.node_python or run.python or sys.executable
        argv = self._argv(kind, python, folder, attempt) + process_arguments(run, devices)
        launch = launch_of(self._settings, run, attempt, argv, self._environment(run, attempt))
        job = self._job(run, attempt, devices, python)
        of_node = {"folder": str(folder), "version": __version__, "scheduler": self.host, "nodes": job.nodes}
        launch |= {**of_node, "gpus": job.gpus, "cpu_slots": self._settings.cpu_slots}
        text = prepare_folder(self._settings, run, launch)
        self._submit(run.id, attempt, replace(job, environment={LAUNCH_VARIABLE: encode(text)}))
        return JobIdentity(self.host, job.id)

    def _submit(self, run_id: str, attempt: int, job: Job) -> None:  # noqa: ARG002
        self._watch.submit(job)

    def _job(self, run: Run, attempt: int, devices: Sequence[Device], python: str) -> Job:
        """The job of an attempt, still without its launch. Raises ExecutorError."""
        gpus = sum(device.kind == "cuda" for device in devices)
        nodes = nodes_for(gpus, run.requested_gpus, run.requested_nodes) if gpus else run.requested_nodes
        if gpus % nodes:
            raise ExecutorError(f"{gpus} GPUs cannot be shared equally by {nodes} nodes. Change num_processes.")
        gpus, alive = gpus // nodes, [node for node in self._watch.nodes() if node.alive]
        if gpus:
            cpus = min((node.cpus * gpus // node.gpus for node in alive if node.gpus >= gpus), default=0)
        else:
            slots = max(1, self._settings.cpu_slots)
            cpus = min((max(1, node.cpus // slots) for node in alive if node.cpus), default=1) if devices else 0
        named = bool(gpus) and run.requested_device not in ("auto", "cuda")
        of_token = {f"{node.name}/gpu:{i}": node.kind for node in alive for i in range(node.gpus)}
        kind = of_token.get(devices[0].name, "") if named else ""
        argv = tuple(NODE.argv(python))
        return Job(job_id(run.id, attempt), argv, nodes=nodes, gpus=gpus, cpus=cpus, kind=kind)

    def _environment(self, run: Run, attempt: int) -> dict[str, str | None]:
        """What a run's processes get beside the environment of their node. A password comes by a file."""
        queues = RunKind(run.kind) in QUEUES_RUNS
        of_database = run_secrets.give(self._settings, run.id) if queues else run_secrets.withhold(self._settings)
        no_executor = {self._settings.table()["autostart"].variable: "0"}  # the home's one executor is elsewhere
        tag = {run_layout.RUN_TAG: processes.tag_of(run.id, attempt)}
        return {**self._settings.environment(), **of_database, **no_executor, **tag}

    # ── while it lives ──────────────────────────────────────────────────────────────────────────────────────
    def find(self, run_id: str, attempt: int) -> JobIdentity:
        """A job's id follows from its attempt. Whether the scheduler has it is for `status`."""
        return JobIdentity(self.host, job_id(run_id, attempt))

    def status(self, owner: Owner, silent: float) -> OwnerStatus:
        """By the scheduler's answer and the heartbeat together; see docs/reliability.md."""
        run_id, attempt = _attempt_of(owner)
        store_url = self._store_url(run_id, attempt)
        if store_url not in ("", self._settings.store_url):
            return OwnerStatus(
                OwnerState.UNKNOWN,
                f"Its node sends its folder by {store_url}. Set IMGCLS_STORE_URL to that again and restart the "
                "executor. The run goes on.",
            )
        job = self._watch.status(job_id(run_id, attempt))
        begun = self._has_begun(run_id, attempt)
        if (
            not begun
            and job.state in (JobState.WAITING, JobState.RUNNING)
            and (why := self._without_place(run_id, attempt))
            and self._take_back(run_id, attempt, why)
        ):
            return OwnerStatus(OwnerState.GONE)
        if job.state is JobState.WAITING:
            title = self._scheduler.title
            where = f"Waits in the queue of {title}." if job.handed_over else f"Waits until {title} takes it."
            return OwnerStatus(OwnerState.WAITING, f"{where} {job.reason}".strip())
        if job.state is JobState.RUNNING:
            return OwnerStatus(OwnerState.RUNNING) if begun else self._beginning(run_id, attempt, job)
        if job.state is JobState.UNKNOWN:
            rest = "The run goes on." if begun else "Nothing is decided until it answers."
            asked_often = self._seconds(job_id(run_id, attempt), "unknown") > self._settings.lease / 2
            return OwnerStatus(OwnerState.UNKNOWN, f"{job.reason} {rest}".strip() if asked_often else None)
        if begun and silent < QUIET_BEATS * beat_every(self._settings):
            return self._evict(run_id, attempt)
        self._note_end(run_id, attempt, job, begun=begun)
        return OwnerStatus(OwnerState.GONE)

    def _beginning(self, run_id: str, attempt: int, job: JobStatus) -> OwnerStatus:
        """A job whose supervisor has not beaten yet. One node has a deadline; several wait for one another."""
        waited = self._seconds(job_id(run_id, attempt), "running")
        if waited > self._settings.start_deadline and self._nodes_of(run_id, attempt) == 1:
            self._watch.cancel(job_id(run_id, attempt), 0)
        where = f" on {', '.join(job.nodes)}" if job.nodes else ""
        reason = f"{self._scheduler.title} has started it{where}. {job.reason}".strip()
        return OwnerStatus(OwnerState.WAITING, reason if waited > 2 * EVERY else None)

    def _evict(self, run_id: str, attempt: int) -> OwnerStatus:
        """A job that the scheduler calls gone, and whose supervisor beats: it holds a device that others get now."""
        if self._seconds(job_id(run_id, attempt), "gone") > QUIET_BEATS * beat_every(self._settings):
            run_layout.write_atomic(self._settings.run_dir(run_id) / run_layout.DESIRED, DesiredState.KILL.value)
        return OwnerStatus(
            OwnerState.UNKNOWN, f"{self._scheduler.title} has ended its job, and the run is not over yet."
        )

    def ask_to_stop(self, owner: Owner, tag: str) -> str | None:  # noqa: ARG002
        self._watch.cancel(job_id(*_attempt_of(owner)), self._settings.stop_grace)
        return None

    # ── its end ─────────────────────────────────────────────────────────────────────────────────────────────
    def clear(self, run_id: str, attempt: int) -> list[str]:
        """End the job. Nothing is left once the scheduler says so: `status` has waited for the heartbeat to stop."""
        job = job_id(run_id, attempt)
        state = self._watch.status(job).state
        if state in (JobState.ENDED, JobState.MISSING) or (
            state is JobState.WAITING and self._take_back(run_id, attempt)
        ):
            self._since = {key: at for key, at in self._since.items() if key[0] != job}
            self._launches.pop(job, None)
            return []
        ended = (self._settings.run_dir(run_id) / run_layout.exit_name(attempt)).exists()
        if ended and state is JobState.UNKNOWN and self._nodes_of(run_id, attempt) == 1:
            return []  # its supervisor has seen all of it end
        if not ended or self._seconds(job, "ending") > ENDING:
            self._watch.cancel(job, 0)
        return [f"job {job} of {self._scheduler.title}"]

    def _without_place(self, run_id: str, attempt: int) -> str:
        """Why the nodes that live have no place for a job, for so long that a restart is no reason; empty: they have.

        Such a job would wait until its nodes are back, though the run may be able to go on with fewer. The scheduler's
        pass gives no run a place that is none, so this comes of nodes that were lost since.
        """
        job, nodes = job_id(run_id, attempt), self._nodes_of(run_id, attempt)
        gpus = _whole(self._launch(run_id, attempt).get("gpus"), 0)
        there = sum(node.gpus >= gpus for node in self._watch.nodes() if node.alive)
        if self._watch.takes_none() is not None or there >= nodes:
            self._since.pop((job, "without place"), None)
            return ""
        if self._seconds(job, "without place") <= self._settings.lease:
            return ""
        each = f" with {counted(gpus, 'GPU')}{' each' * (nodes > 1)}" if gpus else ""
        return (
            f"It was taken back: it is for {counted(nodes, 'node')}{each}, and {self._scheduler.title} has {there} now"
        )

    def _take_back(self, run_id: str, attempt: int, why: str = "") -> bool:
        """End a job that waits: Ray ends such a job only once it has a place. Whether it can never begin any more.

        A supervisor looks for the exit of its attempt under the run's lock, and so does this.
        """
        folder = self._settings.run_dir(run_id)
        self._watch.cancel(job_id(run_id, attempt), 0)
        lock = locks.try_lock(folder / LOCK)
        if lock is None:
            return False
        path = folder / run_layout.exit_name(attempt)
        if not path.exists():
            message = why or f"It was taken back while it waited in the queue of {self._scheduler.title}"
            run_layout.write_atomic(
                path, json.dumps({"attempt": attempt, "t": time.time(), "started": False, "message": message})
            )
        os.close(lock)
        return True

    def _note_end(self, run_id: str, attempt: int, job: JobStatus, *, begun: bool) -> None:
        """Write the exit that no supervisor could write: the scheduler's words, or why a node refused the run."""
        path = self._settings.run_dir(run_id) / run_layout.exit_name(attempt)
        if path.exists():
            return
        known = f"does not know its job{' any more' * begun}" if job.state is JobState.MISSING else "has ended its job"
        reason = f"{self._scheduler.title} {known}" + (f": {job.reason.rstrip('.')}" if job.reason else "")
        refusal = None if begun else self._refusal(job_id(run_id, attempt), job)
        facts: dict[str, Any]
        if refusal is not None:
            facts = {"code": 1, "message": refusal.removeprefix(FULL), "full": refusal.startswith(FULL)}
        elif begun:
            facts = {"signal": int(signal.SIGKILL), "message": reason}
        else:
            facts = {"started": False, "message": reason}
        run_layout.write_atomic(path, json.dumps({"attempt": attempt, "t": time.time(), **facts}))

    def _refusal(self, name: str, job: JobStatus) -> str | None:
        """Why a job whose supervisor never began will not begin elsewhere either; None: it may be tried again."""
        if (refusal := self._watch.refusal(name)) is not None:
            return refusal
        if job.exit_code is None or not 0 < job.exit_code < SIGNALLED:
            return None
        try:
            lines = [line.strip() for line in self._scheduler.log(name).splitlines() if line.strip()]
        except ExecutorError:
            lines = []
        found = [line.partition(REFUSED)[2] for line in lines if REFUSED in line]
        if found:
            return found[-1]
        where = f"The node {job.nodes[0]}" if job.nodes else "A node"
        last = f": {lines[-1][:300]}" if lines else "."
        return (
            f"{where} could not start imgcls-lab. Install it there, or set IMGCLS_NODE_PYTHON. Its log ends with{last}"
        )

    def reap(self) -> None:
        """Nothing of a job lives in this process."""

    def close(self) -> None:
        self._watch.close()

    # ── the folder ──────────────────────────────────────────────────────────────────────────────────────────
    def _has_begun(self, run_id: str, attempt: int) -> bool:
        """Whether the attempt's supervisor has beaten."""
        try:
            beat = run_paths.read_plain(self._settings.run_dir(run_id), run_layout.HEARTBEAT).split()
            return int(beat[0]) == attempt
        except (OSError, ValueError, IndexError):
            return False

    def _nodes_of(self, run_id: str, attempt: int) -> int:
        return _whole(self._launch(run_id, attempt).get("nodes"), 1)

    def _store_url(self, run_id: str, attempt: int) -> str:
        """The object store by which the attempt's folder comes; empty where its node shares the home."""
        environment = self._launch(run_id, attempt).get("environment")
        return str(environment.get(_STORE_URL) or "") if isinstance(environment, dict) else ""

    def _launch(self, run_id: str, attempt: int) -> dict[str, Any]:
        """The note of an attempt's launch, read once; empty where there is none that can be read."""
        job = job_id(run_id, attempt)
        if job not in self._launches:
            try:
                read = run_paths.read_json(self._settings.run_dir(run_id), run_layout.launch_name(attempt))
            except (OSError, ValueError):
                return {}
            self._launches[job] = {key: read.get(key) for key in _NOTED} if isinstance(read, dict) else {}
        return self._launches[job]

    def _seconds(self, job: str, what: str) -> float:
        """Seconds since something was first seen of a job, in one row."""
        now = time.monotonic()
        return now - self._since.setdefault((job, what), now)


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _attempt_of(owner: Owner) -> tuple[str, int]:
    """Raises ExecutorError for what is no job of an attempt."""
    found = run_of(owner.job) if isinstance(owner, JobIdentity) else None
    if found is None:
        raise ExecutorError(f"{owner} is no job of this executor, so a daemon of another backend has to watch the run.")
    return found
