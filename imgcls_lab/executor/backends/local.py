"""Starts an attempt as processes of this host, and ends its remaining processes. Called by the daemon alone."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from imgcls_lab import run_layout, run_paths
from imgcls_lab.child_environment import child_environment
from imgcls_lab.entry_points import NOTEBOOK, SUPERVISOR, SWEEP, TASK, TRAINING, EntryPoint
from imgcls_lab.errors import ExecutorError, UnsafeFolderError
from imgcls_lab.events import DesiredState, RunKind
from imgcls_lab.executor import processes, run_secrets
from imgcls_lab.executor.device_locks import DeviceLock
from imgcls_lab.executor.forkserver_manager import SOCKET, ForkServerManager, warm_argv
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Run

log = logging.getLogger(__name__)

LOG_CAP = 64 * 2**20  # bytes of output.log
Argv = Callable[[RunKind, str, Path, int], list[str]]

# What does a run of each kind, as `python -m MODULE FOLDER --attempt N`.
ENTRY_POINTS: dict[RunKind, EntryPoint] = {
    RunKind.TRAIN: TRAINING,
    RunKind.NOTEBOOK: NOTEBOOK,
    RunKind.SWEEP: SWEEP,
    RunKind.TASK: TASK,
}
# These queue runs themselves. The others never talk to the database, so they do not learn which one there is.
QUEUES_RUNS = frozenset({RunKind.NOTEBOOK, RunKind.SWEEP})


def module_argv(kind: RunKind, python: str, folder: Path, attempt: int) -> list[str]:
    """The command line of a run's kind. Raises ExecutorError for a kind that this version cannot do."""
    if kind not in ENTRY_POINTS:
        raise ExecutorError(f"This version of imgcls-lab cannot do a {kind.value} run; upgrade it on this machine.")
    return ENTRY_POINTS[kind].argv(python, str(folder), "--attempt", str(attempt))


class LocalBackend:
    """Processes of this host. `argv` says what is started for an attempt."""

    def __init__(self, argv: Argv = module_argv) -> None:
        self._argv = argv
        self._usable: dict[str, bool] = {sys.executable: True}
        self._children: list[subprocess.Popen[bytes]] = []
        self._fork_server: ForkServerManager | None = None

    def start(
        self,
        settings: Settings,
        run: Run,
        *,
        attempt: int,
        locks: list[DeviceLock],
        values: dict[str, str],
    ) -> ProcessIdentity | None:
        """Write the run's folder and start its supervisor. Raises OSError and ExecutorError, with nothing started."""
        if run.view_only:
            raise ExecutorError(f"The run is view only: its folder came from elsewhere. `imgcls-lab claim {run.id}`")
        kind, folder = RunKind(run.kind), settings.run_dir(run.id)
        python = self._python(run.python)
        argv = self._argv(kind, python, folder, attempt)
        socket = self._fork_socket(settings, kind, python)
        if socket is not None:
            argv, values = warm_argv(socket, argv), {**values, SOCKET: socket}
        values = values | {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONSAFEPATH": "1"}
        before = {name: os.environ.get(name) for name in values}
        launch = {
            "run_id": run.id,
            "attempt": attempt,
            "argv": argv,
            "environment": {**values, run_layout.BEFORE: json.dumps(before)},
            "locks": [(str(lock.folder), lock.device) for lock in locks],
            "grace": settings.stop_grace,
            "deadline": settings.start_deadline,
            "beat_every": min(5.0, settings.lease / 6),
            "log_cap": LOG_CAP,
        }
        run_paths.make_folder(folder)
        # the folder of a resumed run holds its config before the resume
        run_layout.write_atomic(folder / run_layout.CONFIG, json.dumps(run.config, indent=1))
        run_layout.write_atomic(folder / run_layout.DESIRED, DesiredState.RUN.value)
        text = json.dumps(launch, indent=1)
        run_layout.write_atomic(folder / run_layout.launch_name(attempt), text)
        child = _start_supervisor(settings, kind, folder, processes.tag_of(run.id, attempt))
        _hand_over(child, text)
        self._children.append(child)
        return ProcessIdentity.of(child.pid)

    def _fork_socket(self, settings: Settings, kind: RunKind, python: str) -> str | None:
        """The socket of the fork server for a run of this kind; None if the run starts cold."""
        if self._argv is not module_argv or ENTRY_POINTS[kind].preload is None:
            return None
        self._fork_server = self._fork_server or ForkServerManager(settings)
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

    def clear(self, run_id: str, attempt: int) -> list[int]:
        """End every process of an attempt. Returns those that cannot be ended because they hang in the kernel."""
        tag = processes.tag_of(run_id, attempt)
        return processes.end_all(lambda: processes.tagged(tag), lambda pid: processes.has_tag(pid, tag))

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
