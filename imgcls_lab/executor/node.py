"""The node agent: what a job of an outer scheduler starts on each of its nodes, `python -m imgcls_lab.executor.node`.

It reads the launch that came with the job, checks the node, and becomes the supervisor of the attempt. A node that does
not fit refuses the run with a sentence in the log of the job. Beside the supervisor lives a guard, which ends what is
left of the attempt when the supervisor dies by whatever hand: no daemon of ours can look into this node. Standard
library only. It never executes what a folder says.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from imgcls_lab import run_layout, run_paths
from imgcls_lab._version import __version__
from imgcls_lab.cpu import share_of_cores
from imgcls_lab.entry_points import NODE
from imgcls_lab.executor import processes
from imgcls_lab.executor.device_locks import shared_folder
from imgcls_lab.executor.nvml import Gpu, Nvml
from imgcls_lab.executor.supervisor import Supervisor

LAUNCH_VARIABLE = "IMGCLS_LAUNCH"  # in the environment of a job: its launch, as base64 of JSON
LOGICAL_GPUS = "IMGCLS_LOGICAL_GPUS"  # in that of a node: its GPUs are only counted, as in a trial cluster
# In that of a node: its name, where the host's is not the one that its scheduler uses. Slurm itself gives the second.
NODE_NAMES = ("IMGCLS_NODE_NAME", "SLURMD_NODENAME")
REFUSED = "imgcls-lab refuses: "  # begins the line by which an agent says why it did not start the run
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_PATIENCE = 15.0  # seconds in which a new folder may become visible on a shared file system
_GUARD = "--guard"


class RefusedError(Exception):
    """The run cannot start on this node; a sentence with the remedy."""


def encode(launch: str) -> str:
    """A launch as the environment of a job carries it."""
    return base64.b64encode(launch.encode()).decode()


def main(arguments: list[str]) -> int:
    """Supervise the attempt of this job until it ends. 1: the node refused it."""
    if arguments[:1] == [_GUARD]:
        return _guard(arguments[1])
    launch = json.loads(base64.b64decode(os.environ.pop(LAUNCH_VARIABLE)))
    try:
        launch = prepared(launch)
    except RefusedError as error:
        print(f"{REFUSED}{error}", flush=True)
        return 1
    tag = launch["environment"][run_layout.RUN_TAG]
    with start_guard(tag):
        Supervisor(Path(launch["folder"]), launch).run()
    return 0


# ── what this node is ───────────────────────────────────────────────────────────────────────────────────────────
def node_name() -> str:
    return next((os.environ[name] for name in NODE_NAMES if os.environ.get(name)), socket.gethostname())


def prepared(launch: dict[str, Any]) -> dict[str, Any]:
    """The launch with what this node adds: devices, their locks, threads. Raises RefusedError."""
    _check_version(launch)
    _check_home(launch)
    visible = visible_gpus()
    gpus = Nvml().gpus() if launch["gpus"] else []
    _check_isolation(launch, visible, gpus)
    values = {_VISIBLE: ",".join(visible), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if not launch["gpus"]:
        values["IMGCLS_THREADS"] = str(share_of_cores(launch["cpu_slots"]))
    environment = {**launch["environment"], **values}
    environment[run_layout.BEFORE] = json.dumps({name: os.environ.get(name) for name in environment})
    uuids = [gpu.uuid for name in visible for gpu in gpus if _names(name, gpu)]
    folder = shared_folder(environment.get("IMGCLS_HOST_LOCKS") or "") if uuids else None
    locks = [(str(folder), uuid) for uuid in uuids]
    place = {"node": node_name(), "devices": uuids or visible}
    return {**launch, "environment": environment, "locks": locks, "place": place}


def visible_gpus() -> list[str]:
    """The GPUs that the scheduler gave this job, as it names them."""
    return [name.strip() for name in os.environ.get(_VISIBLE, "").split(",") if name.strip()]


def _names(name: str, gpu: Gpu) -> bool:
    return name == str(gpu.index) or (not name.isdigit() and gpu.uuid.startswith(name))


def _check_version(launch: dict[str, Any]) -> None:
    if launch["version"] != __version__:
        raise RefusedError(
            f"The node {node_name()} has imgcls-lab {__version__}, the executor {launch['version']}. Install the same "
            "version on both."
        )


def _check_home(launch: dict[str, Any]) -> None:
    """That this node sees the very folder that the executor has written."""
    folder, name = Path(launch["folder"]), run_layout.launch_name(launch["attempt"])
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            if json.loads(run_paths.read_plain(folder, name)) == launch:
                return
            problem = f"{folder} is another folder there"
        except (OSError, ValueError) as error:
            problem = f"{folder} cannot be read there: {getattr(error, 'strerror', None) or error}"
        if time.monotonic() > until:
            raise RefusedError(
                f"The node {node_name()} does not share the executor's home: {problem}. Put IMGCLS_HOME on a file "
                f"system that all nodes mount at the same path, readable for user {os.geteuid()}."
            )
        time.sleep(0.5)


def _check_isolation(launch: dict[str, Any], visible: list[str], gpus: list[Gpu]) -> None:
    wanted = launch["gpus"]
    if len(visible) != wanted:
        raise RefusedError(
            f"The node {node_name()} shows {len(visible)} GPUs to a run that asked for {wanted} ({_VISIBLE}="
            f"{os.environ.get(_VISIBLE, '')!r}). The scheduler must give each job its own GPUs."
        )
    if wanted and not gpus and not os.environ.get(LOGICAL_GPUS):
        raise RefusedError(
            f"The scheduler gave the run {wanted} GPUs of the node {node_name()}, whose driver shows none. Correct "
            "the number of GPUs with which the node joined the cluster."
        )


# ── the guard ───────────────────────────────────────────────────────────────────────────────────────────────────
class start_guard:  # noqa: N801
    """A process that ends all processes of an attempt as soon as this one has gone. Used as a context.

    It holds the reading end of a pipe whose only other end is here. It is no part of the attempt and of its session, so
    that a signal to a whole group of processes does not meet it.
    """

    def __init__(self, tag: str) -> None:
        reading, self._writing = os.pipe()
        self._process = subprocess.Popen(
            NODE.argv(sys.executable, _GUARD, tag), stdin=reading, start_new_session=True, cwd="/"
        )
        os.close(reading)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        os.close(self._writing)
        self._process.wait()


def _guard(tag: str) -> int:
    while os.read(0, 1):
        pass
    processes.end_all(lambda: processes.tagged(tag), lambda pid: processes.has_tag(pid, tag), patience=60)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
