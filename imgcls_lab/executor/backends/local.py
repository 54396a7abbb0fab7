"""Starts an attempt as processes of this host, and ends its remaining processes. Called by the daemon alone."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence, Set
from pathlib import Path

from imgcls_lab import run_layout
from imgcls_lab.child_environment import child_environment
from imgcls_lab.entry_points import SUPERVISOR, TRAINING
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.events import RunKind
from imgcls_lab.executor import processes, run_secrets
from imgcls_lab.executor.backends.base import OwnerState, OwnerStatus
from imgcls_lab.executor.backends.launch import (
    ENTRY_POINTS,
    QUEUES_RUNS,
    Argv,
    check_own,
    launch_of,
    module_argv,
    prepare_folder,
    process_arguments,
)
from imgcls_lab.executor.devices import Device, DeviceProbe, HostProbe, device_environment
from imgcls_lab.executor.forkserver_manager import SOCKET, ForkServerManager, warm_argv
from imgcls_lab.identity import Owner, ProcessIdentity, host_name
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Run

log = logging.getLogger(__name__)


class LocalBackend:
    """Processes of this host. `argv` says what is started for an attempt; `probe` is a seam for tests.

    host: under which its runs stand, by default this one's name.
    """

    release_seconds = 3.0  # a supervisor holds the lock a moment longer than its run lives

    def __init__(
        self,
        settings: Settings,
        argv: Argv = module_argv,
        probe: DeviceProbe | None = None,
        *,
        host: str | None = None,
    ) -> None:
        self.host = host or host_name()
        self._settings = settings
        self._argv = argv
        self._probe = probe or HostProbe(settings.cpu_slots)
        self._usable: dict[str, bool] = {sys.executable: True}
        self._children: list[subprocess.Popen[bytes]] = []
        self._fork_server: ForkServerManager | None = None
        self._choosing = threading.Lock()  # of the Python and the fork server: runs are started side by side

    def devices(self, claimed: Set[str]) -> list[Device]:  # noqa: ARG002
        return self._probe.read()

    def holder(self, device: Device) -> str | None:
        """Who holds the device's lock, or why no lock can be had. None: a run may start."""
        try:
            holder = device.lock(self._settings).holder()
        except (OSError, UnsafeFolderError) as error:
            return f"no run can lock it. {error}"
        return None if holder is None else str(holder)

    def problem(self) -> str | None:
        return None

    def start(self, run: Run, attempt: int, devices: Sequence[Device]) -> ProcessIdentity | None:
        """Write the run's folder and start its supervisor. Raises OSError and ExecutorError, with nothing started."""
        check_own(run)
        settings, kind, folder = self._settings, RunKind(run.kind), self._settings.run_dir(run.id)
        with self._choosing:
            python = self._python(run.python)
            socket = self._fork_socket(kind, python)
        argv = self._argv(kind, python, folder, attempt) + process_arguments(run, devices)
        values = device_environment(devices, [device.name for device in devices], settings.cpu_slots)
        if socket is not None:
            argv, values = warm_argv(socket, argv), {**values, SOCKET: socket}
        launch = launch_of(settings, run, attempt, argv, values) | {"host": self.host}
        before = {name: os.environ.get(name) for name in launch["environment"]}
        launch["environment"][run_layout.BEFORE] = json.dumps(before)
        locks = [device.lock(settings) for device in devices]
        launch["locks"] = [(str(lock.folder), lock.device) for lock in locks]
        text = prepare_folder(settings, run, launch)
        child = _start_supervisor(settings, kind, folder, processes.tag_of(run.id, attempt))
        _hand_over(child, text)
        self._children.append(child)
        return ProcessIdentity.of(child.pid)

    def _fork_socket(self, kind: RunKind, python: str) -> str | None:
        """The socket of the fork server for a run of this kind; None if the run starts cold."""
        if self._argv is not module_argv or ENTRY_POINTS[kind].preload is None:
            return None
        self._fork_server = self._fork_server or ForkServerManager(self._settings)
        try:
            return self._fork_server.socket_for(python)
        except (OSError, UnsafeFolderError) as error:
            log.warning("No warm start: %s", error)
            return None

    def close(self) -> None:
        """The daemon ends; runs go on."""
        if self._fork_server is not None:
            self._fork_server.close()

    def find(self, run_id: str, attempt: int) -> ProcessIdentity | None:
        """The supervisor of an attempt whose start is not in the database, because a daemon died in between.

        It proves itself by the tag in its environment. What a folder says of its owner is no proof.
        """
        for pid in processes.tagged(processes.tag_of(run_id, attempt)):
            with contextlib.suppress(OSError):  # it has ended since
                ours = os.stat(f"/proc/{pid}").st_uid == os.geteuid()  # root can read what others' processes carry
                if ours and SUPERVISOR.module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return ProcessIdentity.of(pid)
        return None

    def status(self, owner: Owner, silent: float) -> OwnerStatus:  # noqa: ARG002
        """Whether the supervisor lives: this host knows. One that is silent and lives is for the monitor to end."""
        lives = isinstance(owner, ProcessIdentity) and owner.alive()
        return OwnerStatus(OwnerState.RUNNING if lives else OwnerState.GONE)

    def ask_to_stop(self, owner: Owner, tag: str) -> str | None:
        if not isinstance(owner, ProcessIdentity):
            return f"Job {owner.job} belongs to no process of this host, so nothing was signalled"
        if processes.send_to_owner(owner, signal.SIGTERM, tag):
            return None
        return f"Process {owner.pid} is not this run's supervisor, so nothing was signalled"

    def clear(self, run_id: str, attempt: int) -> list[str]:
        """End every process of an attempt. Returns those that cannot be ended because they hang in the kernel."""
        tag = processes.tag_of(run_id, attempt)
        left = processes.end_all(lambda: processes.tagged(tag), lambda pid: processes.has_tag(pid, tag))
        return [f"process {pid}" for pid in left]

    def reap(self) -> None:
        """Forget supervisors that have ended."""
        self._children = [child for child in self._children if child.poll() is None]

    def _python(self, python: str) -> str:
        """The Python that a run was submitted from if it has this package, else this one."""
        if python and python not in self._usable:
            self._usable[python] = _has_package(python)
            if not self._usable[python]:
                log.warning("%s cannot import imgcls_lab; its runs use %s", python, sys.executable)
        return python if self._usable.get(python) else sys.executable


def _start_supervisor(settings: Settings, kind: RunKind, folder: Path, tag: str) -> subprocess.Popen[bytes]:
    run_id = tag.partition("/")[0]
    of_database = run_secrets.give(settings, run_id) if kind in QUEUES_RUNS else run_secrets.withhold(settings)
    return subprocess.Popen(
        SUPERVISOR.argv(sys.executable, str(folder)),
        cwd=settings.home_path,
        env=child_environment(settings, {**of_database, run_layout.RUN_TAG: tag}),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _hand_over(supervisor: subprocess.Popen[bytes], launch: str) -> None:
    """Write what to start into the supervisor's standard input. One that has ended already leaves no exit: lost."""
    assert supervisor.stdin is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError), supervisor.stdin as pipe:
        pipe.write(launch.encode())


def _has_package(python: str) -> bool:
    question = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({TRAINING.module!r}) is None)"
    try:
        asked = subprocess.run(
            [python, "-c", question],
            env=child_environment(),
            capture_output=True,
            check=False,
            timeout=30,
            cwd="/",
        )
        return asked.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
