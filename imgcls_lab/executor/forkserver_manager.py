"""Keeps the process with the imports done (`executor/forkserver.py`) for runs of this Python. Used by the backend.

It is started with the first run that can be forked from it, which waits for it: the imports are done once either
way. Nothing here imports torch; where the process does not come up or refuses, runs start cold.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from imgcls_lab import run_layout
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.settings import Settings

log = logging.getLogger(__name__)

FORKED = "imgcls_lab.executor.fork_client"  # what stands in the place of a forked process
SOCKET = "IMGCLS_WARM_SOCKET"  # environment variable by which a run starts its own processes warm
TRIES = 3  # ends by an error before it is given up
_ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
_PREFIX = "imgcls-warm-"  # of the folders of sockets
_OWNER = "owner.json"  # in them: the daemon that they are of
_ROOM = "-" * 52  # for the tag of a run, longer than any


def note_path(settings: Settings) -> Path:
    """Where the daemon notes which process it is."""
    return settings.executor_dir / f"warm-{host_name()}.json"


def forked_argv(path: str, argv: list[str]) -> list[str]:
    """`PYTHON -m MODULE ...` as it is forked by the process behind a socket, or becomes that command itself."""
    return [argv[0], "-m", FORKED, path, *argv[2:]]


def same_python(python: str) -> bool:
    """Whether a Python is this process's own: `python`, `python3` and `python3.11` of one environment are.

    The folder of the name counts, not the file behind it, which environments share: what is in the folder is what
    makes the environment (`pyvenv.cfg` beside it).
    """
    if python == sys.executable:
        return True
    here, there = Path(sys.executable), Path(python)
    try:
        return there.is_absolute() and here.parent.samefile(there.parent) and here.samefile(there)
    except OSError:
        return False


def remove_left() -> None:
    """Remove the folders of daemons of this user that were killed, and had no time to."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        with contextlib.suppress(OSError, ValueError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            try:
                gone = ProcessIdentity.from_json(run_layout.read_plain(folder / _OWNER)).status() == "dead"
            except FileNotFoundError:  # of a version that noted no owner, or of a daemon that is about to
                pid = int(folder.name.removeprefix(_PREFIX).partition("-")[0])
                gone = not psutil.pid_exists(pid)
            if gone:
                shutil.rmtree(folder, ignore_errors=True)


class WarmStart:
    """The process, while this daemon lives."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._number = 0
        self._failures = 0

    def path(self, python: str) -> str | None:
        """The socket to ask for a run of this Python; None where it starts cold."""
        if not self._settings.warm_start or not same_python(python) or not sys.platform.startswith("linux"):
            return None
        if self._process is not None and self._process.poll() is not None:
            log.info("The process with the imports has ended (%s).", self._process.returncode)
            self._failures += self._process.returncode != 0
            self._process = None
        if self._failures >= TRIES:
            return None
        if self._process is None or not self._path.exists():  # without its socket it only waits for its children
            self._start()
        return str(self._path)

    @property
    def _path(self) -> Path:
        assert self._folder is not None  # noqa: S101
        return self._folder / f"{self._number}.sock"

    def _start(self) -> None:
        if self._folder is None:
            # a socket's path may have about 100 bytes, less than a home's path can have; mkdtemp gives a 0700 folder
            remove_left()
            self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
            run_layout.write_atomic(self._folder / _OWNER, ProcessIdentity.current().to_json())
        self._number += 1
        environment = {**os.environ, **self._settings.environment(), **_ONE_THREAD, run_layout.RUN_TAG: _ROOM}
        environment.pop("IMGCLS_DB_URL")
        environment |= {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONSAFEPATH": "1"}
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(self._path))
            os.chmod(self._path, 0o600)
            listener.listen(64)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "imgcls_lab.executor.forkserver", str(self._path), str(listener.fileno())],
                cwd=self._settings.home_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=[listener.fileno()],
            )
        identity = ProcessIdentity.of(self._process.pid)
        if identity is not None:
            run_layout.write_atomic(note_path(self._settings), identity.to_json())
        log.info("Runs are forked from process %d, which has the imports done.", self._process.pid)

    def close(self) -> None:
        """Let it end, after the last of its children."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        note_path(self._settings).unlink(missing_ok=True)


def memory(settings: Settings) -> int | None:
    """Bytes that the process holds on this host; None where there is none."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        identity = ProcessIdentity.from_json(note_path(settings).read_bytes())
        if identity.alive():
            return int(psutil.Process(identity.pid).memory_info().rss)
    return None


def sentence(settings: Settings) -> str:
    """How runs of this host start."""
    if not settings.warm_start:
        return "Warm start is off: each run does its own imports (IMGCLS_WARM_START=1 turns it on)."
    held = memory(settings)
    if held is None:
        return "Warm start comes with the next run: the process with the imports is not there yet."
    return f"Warm start: runs are forked from a process with the imports done, {held / 1e9:.1f} GB that they share."
