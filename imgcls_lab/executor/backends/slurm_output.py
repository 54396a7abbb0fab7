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
# https://slurm.schedmd.com/job_reason_codes.html: of a job that waits. Others are shown as Slurm spells them.
_OF_ACCOUNT = "Your account may not use it. Correct IMGCLS_SLURM_ACCOUNT or IMGCLS_SLURM_PARTITION"
_OF_QOS = "This QOS may not be used. Correct IMGCLS_SLURM_QOS"
_TOO_LONG = "IMGCLS_SLURM_TIME is longer than is allowed. Make it shorter"
_TOO_LARGE = "It asks for more than is allowed. Lower num_processes, num_nodes or IMGCLS_SLURM_OPTIONS"
_CLOSED_PARTITION = "Its partition takes no jobs. Set IMGCLS_SLURM_PARTITION to another one"
_NO_NODE = "No node has what it asks for. Correct IMGCLS_SLURM_OPTIONS"
_FOR_ALL = ", restart the executor, then stop and resume the run"
_WAITS = {
    "Resources": "It is next, and waits for what it asks for to be free.",
    "Priority": "Other jobs come before it.",
    "JobHeldUser": "Somebody holds it. Let it go: scontrol release, with the number of its job.",
    "JobHeldAdmin": "An administrator holds it. Ask for the reason.",
    "AccountNotAllowed": f"{_OF_ACCOUNT}{_FOR_ALL}.",
    "InvalidAccount": f"{_OF_ACCOUNT}{_FOR_ALL}.",
    "QOSNotAllowed": f"{_OF_QOS}{_FOR_ALL}.",
    "InvalidQOS": f"{_OF_QOS}{_FOR_ALL}.",
    "PartitionTimeLimit": f"{_TOO_LONG}{_FOR_ALL}.",
    "AssocMaxWallDurationPerJobLimit": f"{_TOO_LONG}{_FOR_ALL}.",
    "QOSMaxWallDurationPerJobLimit": f"{_TOO_LONG}{_FOR_ALL}.",
    "PartitionNodeLimit": f"{_TOO_LARGE}{_FOR_ALL}.",
    "PartitionConfig": f"{_TOO_LARGE}{_FOR_ALL}.",
    "PartitionDown": f"{_CLOSED_PARTITION}{_FOR_ALL}.",
    "PartitionInactive": f"{_CLOSED_PARTITION}{_FOR_ALL}.",
    "BadConstraints": f"{_NO_NODE}{_FOR_ALL}.",
}
_LIMIT = re.compile(r"(?:QOS|Assoc)(?:Grp|Max)\w*|MaxCpuPerAccount")
_LIMITED = "A limit of your account or QOS is reached. It starts once your other jobs have ended."
_NOT_THERE = re.compile(r"ReqNodeNotAvail.*|Nodes_required_for_job_are.*|Nodes required for job are.*")
_ABSENT = "Nodes that it needs are down, drained or reserved. It starts once they are back."
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
        elif state is JobState.WAITING:
            reason = why_it_waits(reason)
        jobs.append(SlurmJob(name, int(number), state, reason, nodes))
    return jobs


def why_it_waits(code: str) -> str:
    """A sentence about a job that waits, with the remedy where there is one, and Slurm's own word for it."""
    sentence = _WAITS.get(code)
    if sentence is None and _LIMIT.fullmatch(code):
        sentence = _LIMITED
    if sentence is None and _NOT_THERE.fullmatch(code):
        sentence = _ABSENT
    return f"{sentence} (Slurm: {code})" if sentence else code


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
    reason = "" if words & _TAKES_JOBS and not words & _CLOSED else state.lower().replace("_", " ").replace("+", ", ")
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
