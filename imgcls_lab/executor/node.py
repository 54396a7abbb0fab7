"""The node agent: what a job of an outer scheduler starts on each of its nodes, `python -m imgcls_lab.executor.node`.

It reads the launch that came with the job, checks the node, and starts the supervisor of the attempt. A node that does
not fit refuses the run with a sentence in the log of the job. Agent and supervisor watch one another by two pipes: when
one dies by whatever hand, the other ends all that is left of the attempt, since no daemon of ours can look into this
node. Standard library only. It never executes what a folder says.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Protocol

from imgcls_lab import run_layout, run_paths
from imgcls_lab._version import __version__
from imgcls_lab.cpu import share_of_cores
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.executor import node_folder, processes
from imgcls_lab.executor.device_locks import shared_folder
from imgcls_lab.executor.nvml import Gpu, Nvml
from imgcls_lab.executor.supervisor import Supervisor, cut_log

LAUNCH_VARIABLE = "IMGCLS_LAUNCH"  # in the environment of a job: its launch, as base64 of JSON
LOGICAL_GPUS = "IMGCLS_LOGICAL_GPUS"  # in that of a node: its GPUs are only counted, as in a trial cluster
# In that of a node: its name, where the host's is not the one that its scheduler uses. Slurm itself gives the second.
NODE_NAMES = ("IMGCLS_NODE_NAME", "SLURMD_NODENAME")
REFUSED = "imgcls-lab refuses: "  # begins the line by which an agent says why it did not start the run
FULL = "[disk full] "  # may follow it
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_PATIENCE = 15.0  # seconds in which a new folder may become visible on a shared file system
TIED = "--tied"  # option of an agent whose parent holds the other end of its standard input
INTERRUPT = b"i"  # a word to an agent, and from it to the supervisor: the scheduler ends the job
AFTER_END = 10.0  # seconds that the processes of further nodes have to end after the run


class RefusedError(Exception):
    """The run cannot start on this node; a sentence with the remedy. full: for want of space on its disk."""

    def __init__(self, text: str, *, full: bool = False) -> None:
        super().__init__(text)
        self.full = full


def encode(launch: str) -> str:
    """A launch as the environment of a job carries it."""
    return base64.b64encode(launch.encode()).decode()


def main(arguments: list[str]) -> int:
    """Run this node's part of the attempt until it ends. 1: the node refused it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--node", type=int, default=0)
    parser.add_argument("--rendezvous", help="HOST:PORT where the nodes of a run meet")
    parser.add_argument(TIED, action="store_true", help="end when the standard input ends")
    given = parser.parse_args(arguments)
    launch = json.loads(base64.b64decode(os.environ.pop(LAUNCH_VARIABLE)))
    if node_folder.is_mirrored(launch):
        launch[node_folder.STORE_KEY] = os.environ.pop(node_folder.STORE_KEY, "")
    try:
        launch = prepared(launch, given.node)
    except RefusedError as error:
        print(f"{REFUSED}{FULL if error.full else ''}{error}", flush=True)
        return 1
    if launch["nodes"] > 1:
        own = ["--node", str(given.node), "--nodes", str(launch["nodes"]), "--rendezvous", given.rendezvous]
        launch["argv"] = [*launch["argv"], *own]
    part: Part = Supervised(launch) if given.node == 0 else Further(launch, given.node)
    if node_folder.is_mirrored(launch):
        part = Mirrored(part, launch, given.node)
    return run_apart(part, launch["environment"][run_layout.RUN_TAG], tied=given.tied)


# ── what this node is ───────────────────────────────────────────────────────────────────────────────────────────
def node_name() -> str:
    return next((os.environ[name] for name in NODE_NAMES if os.environ.get(name)), socket.gethostname())


def prepared(launch: dict[str, Any], node: int) -> dict[str, Any]:
    """The launch with what this node adds: devices, their locks, threads. Raises RefusedError."""
    _check_version(launch)
    if node_folder.is_mirrored(launch):
        launch = _restored(launch, node)
    else:
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


def _restored(launch: dict[str, Any], node: int) -> dict[str, Any]:
    try:
        return node_folder.restored(launch, node)
    except node_folder.NotRestoredError as error:
        raise RefusedError(str(error), full=error.full) from error
    except UnsafeFolderError as error:
        raise RefusedError(str(error)) from error
    except OSError as error:
        text = f"The node {node_name()} has no place for the run: {error}. Set {node_folder.NODE_HOME} there."
        raise RefusedError(text, full=error.errno in (errno.ENOSPC, errno.EDQUOT)) from error


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


# ── agent and supervisor ────────────────────────────────────────────────────────────────────────────────────────
class Part(Protocol):
    """What one node does of an attempt. `abandon` is called by another thread than `run`."""

    def run(self) -> None: ...

    def interrupt(self) -> None: ...

    def abandon(self) -> None: ...


class Supervised:
    """The attempt with its supervisor: one node, or the first of several."""

    def __init__(self, launch: dict[str, Any]) -> None:
        self._supervisor = Supervisor(Path(launch["folder"]), launch)

    def run(self) -> None:
        self._supervisor.run()

    def interrupt(self) -> None:
        self._supervisor.interrupt()

    def abandon(self) -> None:
        self._supervisor.abandon("The cluster ended its job at once")


class Further:
    """The processes of a run on another node than its first. They end with the run, and nobody supervises them."""

    def __init__(self, launch: dict[str, Any], node: int) -> None:
        self._launch, self._node = launch, node
        self._folder = Path(launch["folder"])

    def run(self) -> None:
        place = json.dumps({**self._launch["place"], "attempt": self._launch["attempt"]})
        run_layout.write_atomic(self._folder / run_layout.node_name(self._node), place)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        log = self._folder / run_layout.node_log_name(self._node)
        output = os.open(log, flags, 0o600)
        environment = processes.changed_environment(self._launch["environment"])
        child = subprocess.Popen(
            self._launch["argv"], cwd=self._folder, env=environment, stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, start_new_session=True,
        )  # fmt: skip
        over = self._folder / run_layout.exit_name(self._launch["attempt"])
        newer = self._folder / run_layout.launch_name(self._launch["attempt"] + 1)
        ended_at: float | None = None
        while child.poll() is None and not newer.exists():
            if ended_at is None and over.exists():
                ended_at = time.monotonic()
            if ended_at is not None and time.monotonic() - ended_at > AFTER_END:
                break
            cut_log(log, self._launch["log_cap"])
            time.sleep(0.5)
        cut_log(log, self._launch["log_cap"])

    def interrupt(self) -> None:
        """The first node is told, too, and saves for all."""

    def abandon(self) -> None:
        """Its processes are ended by whoever found that the agent has died."""


class Mirrored:
    """A part whose folder comes and goes by an object store."""

    def __init__(self, part: Part, launch: dict[str, Any], node: int) -> None:
        self._part, self._launch, self._node = part, launch, node

    def run(self) -> None:
        with node_folder.mirrored(self._launch, self._node):
            self._part.run()

    def interrupt(self) -> None:
        self._part.interrupt()

    def abandon(self) -> None:
        self._part.abandon()


def run_apart(part: Part, tag: str, *, tied: bool = False) -> int:
    """Run it in a process outside the scheduler's process tree, whose signals would meet each process of the run.

    This process stays as the scheduler's child. SIGTERM is passed on as a word; the death of either is noticed by the
    other, which then ends all processes with the tag.
    """
    life, own_life = os.pipe()
    their_life, over = os.pipe()
    sys.stdout.flush()
    if (first := os.fork()) == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.close(own_life)
        os.close(their_life)
        os._exit(_inside(part, tag, life, over))
    os.waitpid(first, 0)
    os.close(life)
    os.close(over)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(own_life, INTERRUPT))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if tied:
        threading.Thread(target=_follow_parent, args=(own_life,), daemon=True).start()
    word = b""
    while (read := os.read(their_life, 1)) != b"":
        word = read
    end_tagged(tag)
    return 0 if word else 1


def _follow_parent(own_life: int) -> None:
    """Pass on what the parent says, and die with it: the supervisor then ends all that is left."""
    while (word := os.read(0, 1)) != b"":
        os.write(own_life, word)
    os._exit(1)


def _inside(part: Part, tag: str, life: int, over: int) -> int:
    def listen() -> None:
        while os.read(life, 1) != b"":
            part.interrupt()
        part.abandon()
        end_tagged(tag)

    threading.Thread(target=listen, daemon=True).start()
    try:
        part.run()
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        end_tagged(tag)
    with contextlib.suppress(BrokenPipeError):  # nobody listens where the agent was killed
        os.write(over, b".")
    return 0


def end_tagged(tag: str) -> None:
    processes.end_all(lambda: processes.tagged(tag), lambda pid: processes.has_tag(pid, tag), patience=60)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
