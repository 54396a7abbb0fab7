"""A process of this package that serves a unix socket for one parent: a TensorBoard, or the inference process.

Used by `tensorboards/manager.py` and `inference_client.py`, which hold `lock` while they start or end one. Such a
process ends by itself when it is idle. Knows no run and no database.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from imgcls_lab import private_sockets
from imgcls_lab.child_environment import child_environment
from imgcls_lab.errors import ImgclsError, UnsafeFolderError
from imgcls_lab.patience import Patience, TooSlowError
from imgcls_lab.private_folder import RuntimeFolder

START_COMPUTING = 60.0  # seconds of the processor until it listens, however little of it the process gets
START_SECONDS = 600.0  # in all: by then it is stopped, or its disk gives nothing
END_SECONDS = 5.0
# What such a process needs of our environment; it gets no more than that.
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH")


class SocketProcess:
    """A process that serves a socket, or the place of one.

    name: of its unix socket in the folder `sockets`; title: what messages call it; failure: what `start` raises.
    """

    def __init__(self, sockets: RuntimeFolder, name: str, title: str, failure: type[ImgclsError]) -> None:
        self.lock = threading.Lock()
        self._sockets, self._name = sockets, name
        self._title, self._failure = title, failure
        self._socket: Path | None = None  # of the newest process
        self.popen: subprocess.Popen[bytes] | None = None
        self.started_at: float | None = None
        self._failed: str | None = None  # why it did not start

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def serving(self) -> Path | None:
        """The socket on which the process listens. A process that is about to end has removed its socket before."""
        return self._socket if self.alive and self._socket is not None and _listens(self._socket) else None

    @property
    def memory(self) -> int | None:
        """Bytes that it holds; None where it does not run."""
        if not self.alive or self.popen is None:
            return None
        try:
            return int(psutil.Process(self.popen.pid).memory_info().rss)
        except psutil.NoSuchProcess:  # it ended between the two calls
            return None

    @property
    def message(self) -> str | None:
        """What went wrong, as a sentence."""
        if self._failed is None and self.popen is not None and self.popen.poll():
            return f"{self._title} ended unexpectedly. Restart it; the runs are not touched."
        return self._failed

    def start(self, command: Callable[[Path], list[str]], log: Path, changes: Mapping[str, str] | None = None) -> Path:
        """Start and wait until it listens; its socket. Raises `failure`, with its last line, if it does not.

        command: of a socket, the command line that serves it; log: gets what it prints; changes: of its environment.
        """
        self._socket = path = self._sockets.socket(self._name)
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
            self.popen = subprocess.Popen(
                command(path),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=child_environment(
                    changes=changes, base={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                ),
                start_new_session=True,
            )
        self.started_at, self._failed = time.time(), None
        try:
            patience = Patience(self.popen.pid, computing=START_COMPUTING, clock=START_SECONDS)
            while not self.serving:
                if self.popen.poll() is not None:
                    raise EOFError
                patience.check()
                time.sleep(0.03)
        except (EOFError, TimeoutError, TooSlowError) as error:
            self.popen.kill()
            self.popen.wait()
            self._failed = f"{self._title} did not start{_why(error)}: {_last_line(log)}"
            raise self._failure(self._failed) from None
        return path

    def end(self) -> None:
        """End it, by force if it does not obey, and forget why it failed."""
        if self.popen is not None:
            self.popen.terminate()
            try:
                self.popen.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self.popen = self._failed = None
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it is gone
                self._socket.unlink()


def _why(error: Exception) -> str:
    if isinstance(error, TooSlowError):
        return f" within {START_COMPUTING:.0f} seconds of computing"
    if isinstance(error, TimeoutError):
        return f" within {START_SECONDS:.0f} seconds; the machine may be very busy, so try again"
    return ""


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            private_sockets.connect(connection, path)
        except (OSError, UnsafeFolderError):
            return False
    return True


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing."
