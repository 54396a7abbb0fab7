"""Hands jobs to Slurm by its commands, and reads what became of them: `sbatch`, `squeue`, `scontrol`, `scancel`.

`ClusterBackend` calls it. There is no library: the host of the daemon needs Slurm's client package alone. It asks for
no accounting, so what ended more than `MinJobAge` seconds ago is MISSING; the run's folder says what it came to.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from imgcls_lab import run_layout
from imgcls_lab.child_environment import child_environment
from imgcls_lab.errors import ExecutorError, SchedulerAwayError
from imgcls_lab.executor.backends.job_scheduler import Finding, Job, JobState, JobStatus, Node, run_of
from imgcls_lab.executor.backends.slurm_output import (
    JOB_FORMAT,
    Partition,
    SlurmJob,
    read_exit_code,
    read_jobs,
    read_nodes,
    read_partitions,
    status_of,
)
from imgcls_lab.executor.node import REFUSED
from imgcls_lab.settings import Settings

SLURM = "slurm"  # the value of IMGCLS_BACKEND
TIMEOUT = 60.0  # seconds for one command: a busy slurmctld takes its time
_AS_TEXT: dict[str, Any] = {"cwd": "/", "capture_output": True, "text": True, "errors": "replace"}
LOG_TAIL = 16_384  # bytes of a job's own output

# A daemon may itself run in a job. The variables of that job would change what it submits, or reach the runs.
_OF_A_JOB = ("SLURM_", "SLURMD_", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "TMPDIR")
# Slurm would keep these with the job, in files of its own. Each node brings its own (docs/cluster.md).
_CREDENTIALS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})
_OF_RAY = frozenset({"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"})  # of another backend
_OF_THE_CLUSTER = frozenset({"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"})
# What slurmctld says of a time that passes: the run waits. Everything else that it refuses, it will refuse again.
_AWAY = (
    "unable to contact slurm controller", "connection refused", "socket timed out", "communication connection failure",
    "zero bytes were transmitted", "unexpected message received", "slurmctld is", "temporarily unable to accept job",
    "resource temporarily unavailable", "temporarily unavailable", "job violates accounting/qos policy",
    "protocol authentication error", "controller is in standby", "server too busy",
)  # fmt: skip
_UNCONFIGURED = ("establish a configuration source", "unable to process configuration file")
# The address by which Slurm itself reaches the first node; the port is another one for each job. Below lie the ports of
# Ray's workers, above those that systems give to clients.
_RENDEZVOUS = '''\
address=$(scontrol --oneliner show node "$SLURMD_NODENAME" | sed -n 's/.* NodeAddr=\\([^ ]*\\).*/\\1/p')
rendezvous="${address:-$SLURMD_NODENAME}:$((20000 + SLURM_JOB_ID % 10000))"'''
_INSIDE = 'rendezvous=$1; shift; exec "$@" --node $((SLURM_NODEID + 1)) --rendezvous "$rendezvous"'
# An agent that fails has the first one save and end, since the nodes wait for one another. The job's end kills what is
# left of it, so the script gives the other agents a moment.
_SEVERAL = """\
{{ srun {options} sh -c {inside} sh "$rendezvous" {agent} || kill -TERM $$; }} &
further=$!
{agent} --node 0 --rendezvous "$rendezvous" &
first=$!
trap 'kill -TERM "$first"; interrupted=1' TERM
while interrupted=; wait "$first"; code=$?; [ -n "$interrupted" ]; do :; done
tries={tries}
while kill -0 "$further" 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
exit $code"""
LAST_WORDS = 15.0  # seconds
_SUBMIT_LIMIT = "maxsubmitjob"  # part of AssocMaxSubmitJobLimit, QOSMaxSubmitJobPerUserLimit and the like


class SlurmScheduler:
    """The jobs of this user on the cluster that `SLURM_CONF`, or the host's own configuration, names."""

    title = "Slurm"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cancel_at: dict[str, float] = {}  # by this process's monotonic clock: jobs that were asked to end
        self._hosts: dict[str, tuple[str, ...]] = {"": ()}

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────
    def submit(self, job: Job) -> None:
        """Hand a job over, unless there is one of its id. Raises ExecutorError, SchedulerAwayError.

        Two submissions of one job may cross when a daemon is killed in between. `singleton` lets Slurm run one after
        the other, and the second finds the attempt ended.
        """
        if self._jobs(job.id):
            return
        try:
            _run("sbatch", *self._options(job), *self._requested(job), script=_script(job, str(self._log_path(job.id))))
        except SchedulerAwayError:
            raise
        except ExecutorError as error:
            if (refusal := self._refusal_of_all()) is not None:  # not this run's fault: it waits, as all others do
                raise SchedulerAwayError(str(refusal), reason="refused") from error
            raise

    def _refusal_of_all(self) -> ExecutorError | None:
        """Why Slurm takes no job at all with these settings, not even the smallest."""
        job = Job("imgcls-lab-test", ("true",))
        try:
            _run("sbatch", "--test-only", *self._options(job), *self._requested(job), script=_script(job, os.devnull))
        except ExecutorError as error:
            return error
        return None

    def status(self, ids: Collection[str]) -> dict[str, JobStatus]:
        by_name: dict[str, list[SlurmJob]] = defaultdict(list)
        for job in self._jobs():
            by_name[job.name].append(job)
        self._cancel_overdue(by_name)
        wanted = {name: by_name[name] for name in ids}
        for abbreviation in {job.nodes for jobs in wanted.values() for job in jobs} - self._hosts.keys():
            self._hosts[abbreviation] = tuple(_run("scontrol", "show", "hostnames", abbreviation).split())
        found = {name: status_of(jobs, self._hosts) for name, jobs in wanted.items()}
        for name, status in found.items():
            if status.state is JobState.ENDED:
                numbers = [job.number for job in wanted[name] if job.state is JobState.ENDED]
                found[name] = replace(status, exit_code=self._exit_code(max(numbers)))
        return found

    def _exit_code(self, number: int) -> int | None:
        """Of a job's script; None if a signal ended it, or Slurm forgets the job just now."""
        try:
            return read_exit_code(_run("scontrol", "--oneliner", "show", "job", str(number)))
        except SchedulerAwayError:
            raise
        except ExecutorError:
            return None

    def cancel(self, job: str, grace: float) -> None:
        """SIGTERM for the job's own process, which has the run save; after `grace`, the next `status` cancels the job.

        A cancel is SIGTERM for all processes and, `KillWait` seconds later, SIGKILL.
        """
        now = time.monotonic()
        cancel_at = self._cancel_at[job] = min(self._cancel_at.get(job, now + grace), now + grace)
        if cancel_at <= now:
            _run("scancel", *self._mine(job))
            return
        _run("scancel", "--state=PENDING", *self._mine(job))
        # to the batch script alone, that is the node agent: the run's other processes must live until it has saved
        _run("scancel", "--signal=TERM", "--batch", *self._mine(job))

    def log(self, job: str) -> str:
        path = self._log_path(job)
        try:
            with path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return f"{REFUSED}The node could not write {path}. Put IMGCLS_HOME on a file system that all nodes mount."
        except OSError:
            return ""

    def _jobs(self, name: str = "") -> list[SlurmJob]:
        """The jobs of this user, or those of one name, as long as Slurm remembers them."""
        only = [f"--name={name}"] if name else []
        own = f"--user={os.geteuid()}"
        return read_jobs(_run("squeue", "--noheader", "--states=all", own, *only, f"--format={JOB_FORMAT}"))

    def _cancel_overdue(self, by_name: dict[str, list[SlurmJob]]) -> None:
        for name, at in [*self._cancel_at.items()]:
            if all(job.state is JobState.ENDED for job in by_name[name]):
                del self._cancel_at[name]
            elif at <= time.monotonic():
                _run("scancel", *self._mine(name))

    def _mine(self, name: str) -> tuple[str, ...]:
        return (f"--name={name}", f"--user={os.geteuid()}", "--quiet")

    # ── nodes and queue ─────────────────────────────────────────────────────────────────────────────────────
    def nodes(self) -> list[Node]:
        partition = self._partition()
        return read_nodes(_run("scontrol", "--details", "--oneliner", "show", "nodes"), partition)

    def queue_length(self) -> int:
        only = f"--partition={self._partition().name}"
        return len(_run("squeue", "--noheader", "--array", "--states=PENDING", only, "--format=%A").split())

    def _partition(self) -> Partition:
        """Where its jobs run. Raises ExecutorError where there is no such partition."""
        found = read_partitions(_run("scontrol", "--oneliner", "show", "partitions"))
        name = self._settings.slurm_partition
        if name in found:
            return found[name]
        default = next((each for each in found.values() if each.default), None)
        names = ", ".join(sorted(found)) or "none"
        if name:
            raise ExecutorError(
                f"Slurm has no partition “{name}”; it has {names}. Correct IMGCLS_SLURM_PARTITION and restart the "
                "executor.",
                reason="no_partition",
                partition=name,
            )
        if default is None:
            raise ExecutorError(
                f"Slurm has no default partition. Name one of {names} in IMGCLS_SLURM_PARTITION and restart the "
                "executor.",
                reason="no_partition",
            )
        return default

    # ── doctor ──────────────────────────────────────────────────────────────────────────────────────────────
    def check(self) -> list[Finding]:
        """Whether Slurm answers, has the partition and the nodes, and would take a job with these settings."""
        return [*self._findings()]

    def _findings(self) -> Iterator[Finding]:
        try:
            version = _run("sinfo", "--version").split()[-1]
            config = _configuration()
            cluster, controller = config.get("ClusterName", ""), config.get("SlurmctldHost[0]", "")
            yield Finding("slurm", True, f"version {version}, cluster {cluster}, slurmctld on {controller}")
            partition = self._partition()
            nodes = self.nodes()
        except ExecutorError as error:
            yield Finding("slurm", False, str(error))
            return
        alive = [node for node in nodes if node.alive]
        gpus, free = sum(node.gpus for node in alive), sum(node.free_gpus for node in alive)
        text = f"{partition.name}: {len(alive)} of {len(nodes)} nodes take jobs, {free} of {gpus} GPUs are free"
        closed = "; ".join(f"{node.name} is {node.reason}" for node in nodes if not node.alive)
        yield Finding("partition", bool(alive), f"{text}. {closed[:500]}" if closed else text)
        yield self._would_run(gpus > 0)
        yield self._kill_wait(config)

    def _would_run(self, has_gpus: bool) -> Finding:
        """`sbatch --test-only` knows about account, QOS, time limit and each further option."""
        job = Job("imgcls-lab-doctor", ("true",), gpus=int(has_gpus))
        try:
            _run(
                "sbatch",
                "--test-only",
                *self._options(job),
                *self._requested(job),
                script=_script(job, str(self._log_path(job.id))),
            )
        except ExecutorError as error:
            return Finding("job", False, str(error))
        return Finding("job", True, "Slurm would take a job with these settings")

    def _kill_wait(self, config: dict[str, str]) -> Finding:
        wait = int(config.get("KillWait", "0 sec").split()[0])
        grace = self._settings.stop_grace
        text = f"a job that somebody cancels has {wait} s to save a checkpoint (KillWait)"
        if wait < grace:
            text += f"; IMGCLS_STOP_GRACE allows {grace:g} s. A run that needs longer goes on from its last checkpoint"
        return Finding("kill wait", True, text)

    def close(self) -> None:
        """Nothing is open between two calls."""

    # ── what sbatch gets ────────────────────────────────────────────────────────────────────────────────────
    def _options(self, job: Job) -> list[str]:
        grace = max(1, round(self._settings.stop_grace))
        return [
            f"--job-name={job.id}",
            "--dependency=singleton",
            "--no-requeue",  # the run's own queue does it, from the checkpoint
            f"--signal=B:TERM@{grace}",  # so long before a time limit, to the node agent: the run saves and is queued
            f"--output={os.devnull}",  # the script writes its log itself, or its node does not share the home
            "--chdir=/",
            "--export=ALL",  # of `_environment`; NONE would run a login shell on the node, whose failure holds the job
            "--parsable",
            *_given("--partition", self._settings.slurm_partition),
            *_given("--account", self._settings.slurm_account),
            *_given("--qos", self._settings.slurm_qos),
            *_given("--time", self._settings.slurm_time),
            *shlex.split(self._settings.slurm_options),
        ]

    def _requested(self, job: Job) -> list[str]:
        return [f"--nodes={job.nodes}", "--ntasks-per-node=1", *_resources(job)]

    def _log_path(self, job: str) -> Path:
        found = run_of(job)
        if found is None:  # of `doctor`
            return self._settings.executor_dir / job / "job.log"
        return self._settings.run_dir(found[0]) / run_layout.job_log_name(found[1])


def _script(job: Job, log: str) -> str:
    """What runs on the first node. It becomes the node agent, or passes SIGTERM on to the first one of several.

    The agents of the other nodes are a step of the job.
    """
    lines = ["#!/bin/sh"]
    # Slurm starts it again where a site's prolog fails, or an operator insists: the run's own queue has the attempts
    lines.append('[ "${SLURM_RESTART_COUNT:-0}" = 0 ] || exit 0')
    lines.append("unset SLURM_JWT")  # sbatch needs this token, and no process of the run does
    lines.append(f"exec >>{shlex.quote(log)} 2>&1")
    lines += [f"export {name}={shlex.quote(value)}" for name, value in job.environment.items()]
    agent = shlex.join(job.argv)
    if job.nodes > 1:
        parts = {"options": shlex.join(_step(job)), "inside": shlex.quote(_INSIDE), "agent": agent}
        lines += [_RENDEZVOUS, _SEVERAL.format(**parts, tries=round(LAST_WORDS / 0.1))]
    else:
        lines.append(f"exec {agent}")
    return "\n".join(lines) + "\n"


def _step(job: Job) -> list[str]:
    """The step of all nodes but the first: one agent on each."""
    further = job.nodes - 1
    counts = [f"--nodes={further}", "--relative=1", f"--ntasks={further}", "--ntasks-per-node=1"]
    return [*counts, *_resources(job), "--kill-on-bad-exit=0", "--mpi=none"]


def _resources(job: Job) -> list[str]:
    """Of each node. Slurm knows no task without a CPU."""
    kind = f":{job.kind}" if job.kind else ""
    return [f"--cpus-per-task={max(1, job.cpus)}", *([f"--gres=gpu{kind}:{job.gpus}"] if job.gpus else [])]


def _given(option: str, value: str) -> list[str]:
    return [f"{option}={value}"] if value else []


def _configuration() -> dict[str, str]:
    lines = [line.partition("=") for line in _run("scontrol", "show", "config").splitlines()]
    return {name.strip(): value.strip() for name, sign, value in lines if sign}


def _environment() -> dict[str, str]:
    """What a command of Slurm gets, and by `sbatch` the job: this process's environment without secrets."""
    kept = child_environment(changes=dict.fromkeys(_CREDENTIALS | _OF_RAY))
    return {name: kept[name] for name in kept if name in _OF_THE_CLUSTER or not name.startswith(_OF_A_JOB)}


def _run(program: str, *arguments: str, script: str = "") -> str:
    """The output of one of Slurm's commands. Raises SchedulerAwayError, or ExecutorError with what Slurm says."""
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [program, *arguments], check=False, input=script, env=_environment(), timeout=TIMEOUT, **_AS_TEXT
        )
    except FileNotFoundError:
        raise ExecutorError(
            f"There is no program {program} on this host. Install Slurm's client package here, or run the executor on "
            "a login node.",
            reason="no_slurm",
        ) from None
    except subprocess.TimeoutExpired:
        raise SchedulerAwayError(f"Slurm has not answered {program} for {TIMEOUT:g} s.") from None
    if done.returncode == 0:
        return done.stdout
    raise _refusal(program, done.stderr)


def _refusal(program: str, words: str) -> ExecutorError:
    """The error of a command that failed, with Slurm's own last words."""
    lines = [line.split("error: ")[-1].strip() for line in words.splitlines() if line.strip()]
    said = (lines[-1] if lines else f"{program} failed").rstrip(".")
    lowered = words.lower()
    if _SUBMIT_LIMIT in lowered or any(text in lowered for text in _AWAY):
        return SchedulerAwayError(f"Slurm does not answer, or takes no job now: {said}.", reason="away")
    if any(text in lowered for text in _UNCONFIGURED):
        return ExecutorError(
            f"Slurm's programs find no cluster on this host: {said}. Run the executor where `sinfo` shows the cluster, "
            "such as a login node, or set SLURM_CONF to the cluster's slurm.conf.",
            reason="no_slurm",
        )
    return ExecutorError(
        f"Slurm has refused: {said}. Correct the settings IMGCLS_SLURM_*, which `imgcls-lab doctor` tries, restart the "
        "executor, and resume what has failed.",
        reason="refused",
        said=said,
    )
