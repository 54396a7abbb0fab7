"""Starts and ends this daemon's fork server (`forkserver.py`), and says how to ask it for a process.

Used by the local backend, and by papermill for its kernel. The fork server starts with the first run that can be forked
from it; that run waits for its imports, which are done once either way. Nothing here imports torch. If the fork server
does not come up or refuses, runs start cold.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from imgcls_lab import private_sockets, run_layout
from imgcls_lab.child_environment import child_environment
from imgcls_lab.entry_points import FORK_CLIENT, FORK_SERVER, FORKED
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.executor.run_secrets import withhold
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.private_folder import RuntimeFolder
from imgcls_lab.settings import Settings

log = logging.getLogger(__name__)

SOCKET = "IMGCLS_WARM_SOCKET"  # environment variable by which a run starts its own processes warm
MAX_FAILURES = 3  # ends with an error before no fork server is started any more
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
_TAG_PLACEHOLDER = "-" * 52  # longer than the tag of any run


def identity_path(settings: Settings) -> Path:
    """The file with the identity of the fork server's process."""
    return settings.executor_dir / f"warm-{host_name()}.json"


def warm_argv(socket_path: str, argv: list[str]) -> list[str]:
    """`PYTHON -m MODULE ...` as a command that has that process forked by the fork server behind a socket."""
    return FORK_CLIENT.argv(argv[0], socket_path, *argv[2:])


def same_python(python: str) -> bool:
    """Whether a Python is this process's own: `python`, `python3` and `python3.11` of one environment are.

    The folder of the name counts, and not the file behind it, which environments share: the folder's content makes the
    environment (`pyvenv.cfg` beside it).
    """
    if python == sys.executable:
        return True
    here, there = Path(sys.executable), Path(python)
    try:
        return there.is_absolute() and here.parent.samefile(there.parent) and here.samefile(there)
    except OSError:
        return False


class ForkServerManager:
    """The fork server of this daemon."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets = RuntimeFolder(settings.home_path, "fork")
        self._socket: Path | None = None  # of the newest fork server
        self._starts = 0
        self._failures = 0

    def socket_for(self, python: str) -> str | None:
        """The socket that forks runs of this Python; the fork server is started if need be. None: start cold."""
        if not self._settings.warm_start or not same_python(python) or not sys.platform.startswith("linux"):
            return None
        if self._process is not None and self._process.poll() is not None:
            log.info("The fork server has ended (%s).", self._process.returncode)
            self._failures += self._process.returncode != 0
            self._process = None
        if self._failures >= MAX_FAILURES:
            return None
        if self._process is None or not self._has_socket():  # without a socket it only waits for its children
            self._socket = self._start()
        return str(self._socket)

    def _has_socket(self) -> bool:
        """Whether the fork server can be asked: its socket is there, in a folder of this user alone."""
        if self._socket is None:
            return False
        try:
            private_sockets.require_socket(self._socket)
        except (OSError, UnsafeFolderError):
            return False
        return True

    def _start(self) -> Path:
        """Start a fork server; its socket. Raises OSError, UnsafeFolderError."""
        self._starts += 1
        path = self._sockets.socket(f"{self._starts}.sock")
        of_python = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONSAFEPATH": "1"}
        changes = {**_ONE_THREAD, **of_python, **withhold(self._settings), run_layout.RUN_TAG: _TAG_PLACEHOLDER}
        preloads = [f"{entry.module}={entry.preload}" for entry in FORKED]
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            private_sockets.bind(listener, path)
            listener.listen(64)
            self._process = subprocess.Popen(
                FORK_SERVER.argv(sys.executable, str(path), str(listener.fileno()), *preloads),
                cwd=self._settings.home_path,
                env=child_environment(self._settings, changes),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[listener.fileno()],
            )
        identity = ProcessIdentity.of(self._process.pid)
        if identity is not None:
            run_layout.write_atomic(identity_path(self._settings), identity.to_json())
        log.info("Runs are forked from the fork server, process %d.", self._process.pid)
        return path

    def close(self) -> None:
        """Let the fork server end, after the last of its children."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        self._sockets.remove()
        identity_path(self._settings).unlink(missing_ok=True)


def memory_used(settings: Settings) -> int | None:
    """Bytes that the fork server of this host holds; None if there is none."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        identity = ProcessIdentity.from_json(identity_path(settings).read_bytes())
        if identity.alive():
            return int(psutil.Process(identity.pid).memory_info().rss)
    return None


def status_sentence(settings: Settings) -> str:
    """How runs of this host start."""
    if not settings.warm_start:
        return "Warm start is off: each run does its own imports (IMGCLS_WARM_START=1 turns it on)."
    used = memory_used(settings)
    if used is None:
        return "Warm start: the fork server starts with the next run."
    return f"Warm start: runs are forked from a fork server with the imports done; they share its {used / 1e9:.1f} GB."
