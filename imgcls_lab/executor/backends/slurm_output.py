"""Reads what Slurm's commands print: jobs, nodes, partitions, refusals. Called by `slurm.py`; pure, starts nothing.

`squeue` is given a format, and `scontrol --oneliner` prints `Key=value` words: both have stayed the same for many
versions, while the layout of `--json` differs from one version to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from imgcls_lab.executor.backends.job_scheduler import JobState, JobStatus, Node

# Of squeue: what `read_jobs` reads. The name is last: those of the user's other jobs may hold any character.
JOB_FORMAT = "%A|%T|%N|%r|%j"

# https://slurm.schedmd.com/job_state_codes.html; what stands in none of these is a state of a newer Slurm
_STATES = {
    JobState.WAITING: "PENDING CONFIGURING REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT RESV_DEL_HOLD POWER_UP_NODE",
    # COMPLETING: its processes are being ended, and may still write
    JobState.RUNNING: "RUNNING COMPLETING SIGNALING STAGE_OUT RESIZING EXPEDITING",
    # its processes are stopped, so its heartbeat says nothing
    JobState.UNKNOWN: "SUSPENDED STOPPED",
    JobState.ENDED: (
        "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED LAUNCH_FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED RECONFIG_FAIL "
        "REVOKED TIMEOUT"
    ),
}
JOB_STATES = {name: state for state, names in _STATES.items() for name in names.split()}
_ENDS = {
    "TIMEOUT": "it reached its time limit",
    "DEADLINE": "it reached its deadline",
    "PREEMPTED": "another job preempted it",
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node did not boot",
    "OUT_OF_MEMORY": "it used more memory than it had asked for",
    "CANCELLED": "it was cancelled",
    "REVOKED": "it was cancelled",
    "LAUNCH_FAILED": "it could not be started",
    "RECONFIG_FAIL": "its node could not be configured",
}
_TAKES_JOBS = {"IDLE", "MIXED", "ALLOCATED", "COMPLETING", "UNKNOWN"}
# with one of these, a node of such a state takes none
_CLOSED = {"DRAIN", "DOWN", "FAIL", "MAINTENANCE", "NOT_RESPONDING", "INVALID_REG", "REBOOT_ISSUED"}
_GRES = re.compile(r"gpu(?::([^:(,=]+?))??:(\d+)(?=[(,]|$)")


class SlurmJob(NamedTuple):
    """One line of squeue. nodes: as Slurm abbreviates them, such as `node[1-2]`."""

    name: str
    number: int
    state: JobState
    reason: str
    nodes: str


class Partition(NamedTuple):
    name: str
    default: bool
    up: bool
    nodes: str


def read_jobs(text: str) -> list[SlurmJob]:
    """The jobs that squeue prints in `JOB_FORMAT`. A line that is none continues the name of another program's job."""
    jobs = []
    for line in text.split("\n"):
        number, _, rest = line.partition("|")
        if not number.isdecimal() or rest.count("|") < 3:
            continue
        word, nodes, reason, name = rest.split("|", 3)
        state = JOB_STATES.get(word, JobState.UNKNOWN)
        reason = "" if reason == "None" else reason
        if state is JobState.ENDED:
            reason = _ENDS.get(word, reason)
        elif state is JobState.UNKNOWN:
            reason = word.lower()
        jobs.append(SlurmJob(name, int(number), state, reason, nodes))
    return jobs


def status_of(jobs: Iterable[SlurmJob], names: Mapping[str, tuple[str, ...]]) -> JobStatus:
    """What the jobs of one name came to. names: the nodes that each abbreviation stands for.

    There are several only where a submission was repeated whose answer was lost. Slurm runs one after another, and a
    later one does nothing once the first has ended.
    """
    found = {job.state: job for job in jobs}
    order = (JobState.RUNNING, JobState.UNKNOWN, JobState.ENDED, JobState.WAITING)
    job = next((found[state] for state in order if state in found), None)
    if job is None:
        return JobStatus(JobState.MISSING)
    return JobStatus(job.state, job.reason, names.get(job.nodes, ()))


def read_exit_code(text: str) -> int | None:
    """The exit code in what `scontrol --oneliner show job` prints; None where a signal, or Slurm, ended the job."""
    row = _fields(text.strip())
    code, _, number = row.get("ExitCode", "0:0").partition(":")
    return int(code) if number == "0" and row.get("JobState") in ("COMPLETED", "FAILED") else None


def read_partitions(text: str) -> dict[str, Partition]:
    """What `scontrol --oneliner show partitions` prints, by name."""
    rows = [_fields(line) for line in text.splitlines() if line.startswith("PartitionName=")]
    return {
        row["PartitionName"]: Partition(
            row["PartitionName"], row.get("Default") == "YES", row.get("State", "UP") == "UP", row.get("Nodes", "")
        )
        for row in rows
    }


def read_nodes(text: str, partition: Partition) -> list[Node]:
    """The nodes of a partition, from what `scontrol --details --oneliner show nodes` prints."""
    rows = [_fields(line) for line in text.splitlines() if line.startswith("NodeName=")]
    return [
        _node(row, partition)
        for row in rows
        if row.get("NodeName") and partition.name in row.get("Partitions", "").split(",")
    ]


def _node(row: Mapping[str, str], partition: Partition) -> Node:
    kinds, gpus = read_gres(row.get("Gres", ""))
    _, used = read_gres(row.get("GresUsed", ""))
    shown = row.get("State", "UNKNOWN")
    state = re.sub(r"[^A-Z_+]", "", shown)  # without the marks of sinfo, such as `*`: it does not answer
    words = {*state.split("+"), *(["NOT_RESPONDING"] if "*" in shown else [])}
    reason = "" if words & _TAKES_JOBS and not words & _CLOSED else state.lower()
    if reason and row.get("Reason", "none") not in ("none", "(null)"):
        reason += f": {row['Reason']}"
    if not partition.up:
        reason = f"partition {partition.name} takes no jobs"
    return Node(
        name=row.get("NodeName", ""),
        gpus=gpus,
        free_gpus=max(0, gpus - used),
        kind=kinds,
        alive=not reason,
        cpus=int(cpus) if (cpus := row.get("CPUEfctv") or row.get("CPUTot") or "").isdecimal() else 0,
        reason=reason,
    )


def read_gres(text: str) -> tuple[str, int]:
    """The kinds and the number of the GPUs in words like `gpu:a100:4(S:0-1),gpu:h100:2`."""
    found = _GRES.findall(re.sub(r"\([^)]*\)", "", text))
    return ",".join(dict.fromkeys(kind for kind, _ in found if kind)), sum(int(count) for _, count in found)


def _fields(line: str) -> dict[str, str]:
    """`Key=value` words; a value may hold spaces."""
    parts = re.split(r"(?:^|\s+)([A-Z][A-Za-z:/_]*)=", line)
    return dict(zip(parts[1::2], (value.strip() for value in parts[2::2]), strict=True))
