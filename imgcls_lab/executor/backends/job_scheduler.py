"""What `ClusterBackend` asks of an outer scheduler, such as Ray or Slurm: jobs by ids of ours, and its nodes.

An adapter translates and decides nothing. It imports its library when it is first used. Each method is called by one
thread alone and may take seconds. Each raises `SchedulerAwayError` while the scheduler does not answer.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from imgcls_lab.terminal import shown

# What is taken of an answer: a scheduler may say anything.
MOST_NODES, MOST_GPUS, MOST_CPUS = 4_000, 64, 10_000
NAME, REASON = 200, 500  # characters
_ID = re.compile(r"(.+)-(\d{3,})")


def job_id(run_id: str, attempt: int) -> str:
    """The id of an attempt's job. It is the same whoever submits it, so a second submission changes nothing."""
    return f"{run_id}-{attempt:03d}"


def run_of(job: str) -> tuple[str, int] | None:
    """Run and attempt of a job's id; None for the job of another program."""
    found = _ID.fullmatch(job)
    return (found[1], int(found[2])) if found else None


@dataclass(frozen=True)
class Job:
    """One attempt as the outer scheduler gets it. It holds no secret but the key of the run's own objects in a store.

    Who can read a job's environment can end or replace the job, too: its user, on Slurm; who reaches Ray's dashboard.

    argv: what starts on each node. gpus, cpus: per node; kind: of the GPUs, as `Node.kind` spells it, empty for any.
    """

    id: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    nodes: int = 1
    gpus: int = 0
    cpus: int = 1
    kind: str = ""


class JobState(StrEnum):
    """ENDED: no process of the job's own lives, whatever it came to. MISSING: the scheduler knows no such job.

    UNKNOWN: the scheduler answers, and cannot tell of this job now.
    """

    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class JobStatus:
    """reason: the scheduler's own words; nodes: the names of the nodes that the job is on or was on.

    exit_code: of its command, where that ended by itself; handed_over: whether the scheduler has it.
    """

    state: JobState
    reason: str = ""
    nodes: tuple[str, ...] = ()
    exit_code: int | None = None
    handed_over: bool = True


@dataclass(frozen=True)
class Node:
    """One node of the cluster. gpus, cpus: all that it has; free_gpus: those that no job of anybody holds.

    kind: of its GPUs, empty without. reason: why it takes no jobs, where it does not (`alive` is False).
    """

    name: str
    gpus: int = 0
    free_gpus: int = 0
    kind: str = ""
    alive: bool = True
    cpus: int = 0
    reason: str = ""


def bounded_nodes(nodes: Iterable[Node]) -> list[Node]:
    """Nodes with plain names, bounded numbers, and each name once: two nodes of one name count as one."""
    found: dict[str, Node] = {}
    for node in itertools.islice(nodes, MOST_NODES):
        name = shown(node.name, NAME)
        other = found.get(name)
        if other is not None and other.alive != node.alive:
            found[name] = other if other.alive else _bounded(node, name)
            continue
        gpus, free, cpus = (other.gpus, other.free_gpus, other.cpus) if other is not None else (0, 0, 0)
        both = replace(node, gpus=node.gpus + gpus, free_gpus=node.free_gpus + free, cpus=node.cpus + cpus)
        found[name] = _bounded(both, name)
    return list(found.values())


def _bounded(node: Node, name: str) -> Node:
    gpus, cpus = min(max(node.gpus, 0), MOST_GPUS), min(max(node.cpus, 0), MOST_CPUS)
    free, reason = min(max(node.free_gpus, 0), gpus), shown(node.reason, REASON)
    return Node(name, gpus, free, shown(node.kind, NAME), node.alive, cpus, reason)


def bounded_status(status: JobStatus) -> JobStatus:
    """A status with plain texts."""
    nodes = tuple(shown(name, NAME) for name in status.nodes[:MOST_NODES])
    return replace(status, reason=shown(status.reason, REASON), nodes=nodes)


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`. message: a sentence, which names the remedy where `ok` is False.

    note: it is worth knowing, and no fault.
    """

    name: str
    ok: bool
    message: str
    note: bool = False


class JobScheduler(Protocol):
    """An outer scheduler. `title`: its name in sentences."""

    @property
    def title(self) -> str: ...

    def submit(self, job: Job) -> None:
        """Hand a job over; one whose id is known already changes nothing.

        Raises ExecutorError: it will never run; SchedulerAwayError: it, or any job at all, is not taken now.
        """

    def status(self, ids: Collection[str]) -> dict[str, JobStatus]:
        """What became of these jobs, each of them."""

    def cancel(self, job: str, grace: float) -> None:
        """End a job: SIGTERM, then SIGKILL after `grace` seconds if it can wait. Nothing for an unknown one."""

    def nodes(self) -> list[Node]: ...

    def queue_length(self) -> int:
        """Jobs of anybody that wait."""

    def log(self, job: str) -> str:
        """The end of what the job itself has written, before its supervisor took over the output. Empty: nothing."""

    def check(self) -> list[Finding]:
        """What `doctor` shows: the address, versions here and on the nodes, and each fault. Raises nothing."""

    def close(self) -> None: ...
