"""A Slurm of its own for the tests: munged, slurmctld and two slurmd of one host, in a temporary folder, as this user.

There is no slurmdbd: what ended is known from slurmctld for MinJobAge seconds, as on a site without accounting. A GPU
is a link to /dev/null with a number, which is enough for Slurm to count it and to set CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgcls_lab.executor.node import LOGICAL_GPUS, NODE_NAMES
from imgcls_lab.executor.node_folder import NODE_HOME
from tests.waiting import free_port, until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
PATH = f"{os.environ['PATH']}:/usr/sbin"  # where Debian has the daemons
NODES = ("node1", "node2")
GPUS = 2  # of each node
NODE_TIMEOUT = 5  # seconds without an answer after which slurmctld gives up a node and its jobs
# A process with a pdeathsig ends with the thread that started it, and this one lives as long as the test run.
STARTER = ThreadPoolExecutor(1)

CONFIGURATION = """\
ClusterName=imgcls
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=1,sched_min_interval=50000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MinJobAge=600
KillWait=5
SlurmdTimeout={timeout}
SlurmctldTimeout=5
MessageTimeout=5
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
TaskProlog={folder}/prolog
SlurmdParameters=config_overrides
{nodes}
PartitionName=gpu Nodes=ALL Default=YES PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF
PartitionName=closed Nodes=ALL State=DOWN
"""


class SlurmCluster:
    """Two nodes with two GPUs each. `configuration` is the file that SLURM_CONF names; environment: of all nodes."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None, cpus: int = 8) -> None:
        self.folder = folder
        self.environment = dict(environment or {})
        self._cpus = cpus  # of each node
        self.configuration = folder / "slurm.conf"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self._write_files()
        self._start("munged", self._munged())
        until((self.folder / "munge.socket").is_socket, 20, lambda: self.log("munged"))
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.wait_for_nodes(*NODES)

    # ── its daemons ─────────────────────────────────────────────────────────────────────────────────────────
    def start_controller(self) -> None:
        self._start("slurmctld", ["slurmctld", "-D"])

    def start_node(self, node: str) -> None:
        self._start(node, ["slurmd", "-D", "-N", node])

    def kill_controller(self) -> None:
        """As `kill -9` of slurmctld."""
        self._kill("slurmctld")

    def kill_slurmd(self, node: str) -> None:
        """As `kill -9` of a slurmd: its jobs go on."""
        self._kill(node)

    def crash_node(self, node: str) -> None:
        """As if the node lost its power: nothing on it lives on."""
        self._kill(node)
        for pid in self.processes(node):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def lost(self) -> list[str]:
        """Nodes that have no slurmd."""
        return [node for node in NODES if node not in self._processes]

    def wait_for_nodes(self, *nodes: str, seconds: float = 40) -> None:
        """Until these nodes answer; one that still ends a job of its former slurmd is COMPLETING, and takes others."""
        up = {"IDLE", "MIXED", "ALLOCATED", "COMPLETING"}
        until(lambda: all(self.state(node) in up for node in nodes), seconds, self.about)

    # ── what it says ────────────────────────────────────────────────────────────────────────────────────────
    def ask(self, *command: str) -> str:
        """The output of one of Slurm's commands; empty while slurmctld does not answer."""
        environment = {**os.environ, "SLURM_CONF": str(self.configuration), "PATH": PATH}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        return done.stdout.strip() if done.returncode == 0 else ""

    def state(self, node: str) -> str:
        return self.ask("sinfo", "-h", "-n", node, "-o", "%T").partition("\n")[0].upper()

    def about(self) -> str:
        return f"{self.ask('sinfo', '-Nl')}\n{self.ask('squeue', '-t', 'all')}\n{self.log('slurmctld')[-3000:]}"

    def log(self, daemon: str) -> str:
        return (self.folder / f"{daemon}.out").read_text(errors="replace")

    def processes(self, node: str | None = None) -> list[int]:
        """Living processes of jobs and their slurmstepd, of one node or all."""
        nodes = {f"SLURMD_NODENAME={name}".encode() for name in ([node] if node else NODES)}
        cluster = f"SLURM_CONF={self.configuration}".encode()
        own = {os.getpid(), *(process.pid for process in self._processes.values())}
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in own:
                with contextlib.suppress(OSError):
                    environment = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                    if cluster in environment and not nodes.isdisjoint(environment):
                        found.append(int(name))
        return found

    def end_jobs(self) -> None:
        """Cancel all jobs, and wait until nothing of them is left."""
        self.ask("scancel", f"--user={os.geteuid()}")
        until(lambda: not self.ask("squeue", "-h") and not self.processes(), 40, self.about)

    def close(self) -> None:
        """End the cluster and all of its jobs."""
        for name in [*reversed(self._processes)]:
            self._kill(name)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # ── how it is made ──────────────────────────────────────────────────────────────────────────────────────
    def _write_files(self) -> None:
        for name in ("state", *NODES):
            (self.folder / name).mkdir()
        for number in range(GPUS):
            (self.folder / f"gpu{number}").symlink_to("/dev/null")
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(64))
        nodes = [
            f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={free_port()} "
            f"CPUs={self._cpus} RealMemory=4000 Gres=gpu:{GPUS}"
            for node in NODES
        ]
        text = CONFIGURATION.format(
            folder=self.folder,
            user=pwd.getpwuid(os.geteuid()).pw_name,
            controller_port=free_port(),
            timeout=NODE_TIMEOUT,
            nodes="\n".join(nodes),
        )
        self.configuration.write_text(text)
        prolog = self.folder / "prolog"  # what it prints, the tasks get
        node = "$SLURMD_NODENAME"
        own = {LOGICAL_GPUS: "1", NODE_NAMES[0]: node, NODE_HOME: f"{self.folder}/homes/{node}", **self.environment}
        prolog.write_text("#!/bin/sh\n" + "".join(f'echo "export {name}={value}"\n' for name, value in own.items()))
        prolog.chmod(0o755)
        names = ",".join(NODES)
        files = f"{self.folder}/gpu[0-{GPUS - 1}]"
        (self.folder / "gres.conf").write_text(f"NodeName={names} Name=gpu File={files}\n")

    def _munged(self) -> list[str]:
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
        files |= {"log-file": "munged.log", "seed-file": "munged.seed"}
        return ["munged", "-F", "--num-threads=2", *(f"--{key}={self.folder}/{name}" for key, name in files.items())]

    def _start(self, name: str, command: Sequence[str]) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "IMGCLS_"))}
        environment |= {"SLURM_CONF": str(self.configuration), "PATH": PATH}
        if name in NODES:
            environment["SLURMD_NODENAME"] = name  # so that its slurmstepd can be told from those of the other node
        # setpriv: the daemon does not outlive a test run that is itself killed
        with (self.folder / f"{name}.out").open("ab") as log:
            starting = STARTER.submit(
                subprocess.Popen,
                ["setpriv", "--pdeathsig=KILL", *command],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            self._processes[name] = starting.result()

    def _kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait(20)


@contextmanager
def running(environment: Mapping[str, str] | None = None, *, cpus: int = 8) -> Iterator[SlurmCluster]:
    """A cluster for as long as the block lasts; cpus: of each node. A host without Slurm is a failure."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    if missing:
        pytest.fail(f"{', '.join(missing)} is missing; `make system` installs it.")
    folder = Path(tempfile.mkdtemp(prefix="imgcls-slurm-"))
    folder.chmod(0o711)  # munged wants its socket to be reachable
    cluster = SlurmCluster(folder, environment, cpus)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
        shutil.rmtree(folder, ignore_errors=True)
