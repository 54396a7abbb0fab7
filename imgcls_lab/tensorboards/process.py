"""The process of one board: started when it is asked for, ended on request; it ends by itself when it is idle.

Used by `keeper.py`, which holds `lock` while it starts or ends one. Knows no run and no database.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from imgcls_lab.entry_points import TENSORBOARD
from imgcls_lab.errors import ImgclsError
from imgcls_lab.tensorboards.address import Address, Target, answers

START_SECONDS = 30.0
END_SECONDS = 5.0
# What the process needs of our environment; nothing that may hold a secret.
_PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH",
    "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE",  # without which Python does not start on Windows
)  # fmt: skip


class BoardProcess:
    def __init__(self, address: Address) -> None:
        self.lock = threading.Lock()
        self.address = address
        self.popen: subprocess.Popen[bytes] | None = None
        self.started_at: float | None = None
        self._failed: str | None = None  # why it did not start

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def serving(self) -> bool:
        """Whether somebody listens. A process that is about to end has taken its socket away first."""
        return self.alive and answers(self.address)

    @property
    def target(self) -> Target:
        return self.address.target

    @property
    def memory(self) -> int | None:
        """Bytes that it holds; None where it does not run."""
        if not self.alive or self.popen is None:
            return None
        try:
            return int(psutil.Process(self.popen.pid).memory_info().rss)
        except psutil.NoSuchProcess:  # ended between the two questions
            return None

    @property
    def message(self) -> str | None:
        """What went wrong, as a sentence."""
        if self._failed is None and self.popen is not None and self.popen.poll():
            return "TensorBoard ended unexpectedly. Restart it; the runs are not touched."
        return self._failed

    def start(self, logdir: Path, log: Path, idle_seconds: float) -> None:
        """Start and wait until it listens. Raises ImgclsError, with its last line, when it does not."""
        folder = self.address.path.parent
        try:
            folder.mkdir(mode=0o700, exist_ok=True)  # the last process to end removes it
        except OSError as error:
            raise ImgclsError(f"TensorBoard's socket cannot be made in {folder}: {error.strerror}.") from error
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
            self.popen = subprocess.Popen(
                TENSORBOARD.argv(sys.executable, str(logdir), str(self.address.path), str(idle_seconds)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ} | self.address.environment,
                start_new_session=True,
            )
        self.started_at, self._failed = time.time(), None
        deadline = time.monotonic() + START_SECONDS
        while not self.serving:
            if self.popen.poll() is not None or time.monotonic() > deadline:
                self.popen.kill()
                self.popen.wait()
                self._failed = f"TensorBoard did not start: {_last_line(log)}"
                raise ImgclsError(self._failed)
            time.sleep(0.03)

    def end(self) -> None:
        """End it, by force if it does not listen; what went wrong is forgotten."""
        if self.popen is not None:
            self.popen.terminate()
            try:
                self.popen.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        self.popen = self._failed = None
        self.address.remove()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing."
