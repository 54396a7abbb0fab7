"""Supervises one attempt of one run: holds its device locks, starts the trainer, beats, stops it, and writes its exit.

The daemon starts `python -m imgcls_lab.executor.supervisor FOLDER` in a session of its own, and writes what to start
into its standard input; `launch-001.json` in the folder is a note of that, which nothing executes. On a cluster it is
the process of the node agent (`node.py`). The supervisor survives the daemon. Standard library only; it opens no
database and reads no event. It ends after the trainer.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from imgcls_lab import locks, run_layout, run_paths
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.executor import processes
from imgcls_lab.executor.device_locks import DeviceLock, Holder
from imgcls_lab.identity import ProcessIdentity

LOCK = ".supervisor.lock"
POLL = 0.1  # seconds
AFTER_TERM = 2.0  # seconds between the last SIGTERM and SIGKILL
RESERVE = ".end-reserve"
FULL = 128 * 1024  # bytes: a disk with less free space than this is full, and that is why the trainer failed
LOG_HEAD = 2**20  # bytes of a log's beginning that stay when it is cut


class NotStartedError(Exception):
    """The trainer must not be started now."""


class TakenBackError(Exception):
    """The daemon has ended the attempt before it began: its exit is there."""


class Supervisor:
    """One attempt. `run` returns when nothing of it lives any more."""

    def __init__(self, folder: Path, data: dict[str, Any]) -> None:
        self.folder = folder
        self.attempt: int = data["attempt"]
        self.argv: list[str] = data["argv"]
        self.environment: dict[str, str | None] = data["environment"]
        self.device_locks: list[tuple[str, str]] = data["locks"]
        self.grace: float = data["grace"]
        self.deadline: float = data["deadline"]
        self.beat_every: float = data["beat_every"]
        self.log_cap: int = data["log_cap"]
        self.place: dict[str, Any] = data.get("place", {})  # node and devices, where a scheduler chose them
        self.scheduler: str | None = data.get("scheduler")  # whose signal is no wish of the user
        self.interrupted = False
        self.tag = processes.tag_of(data["run_id"], self.attempt)
        self.lock_handle: int | None = None  # of its folder
        self.device_handles: list[int] = []
        self.desired = "run"
        self.forced = False
        self.note: str | None = None
        self._beats = 0
        self._next_beat = 0.0
        self._desired_since = 0.0
        self._sigterm_sent = False

    def run(self) -> None:
        if self._is_over():
            return
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            self._take_locks()
        except TakenBackError:
            return
        except NotStartedError as error:
            self._write_exit(started=False, message=str(error))
            return
        self._write_owner(None)
        self._reserve_space()
        self._beat()
        try:
            child = self._start()
        except OSError as error:
            what = f"The Python {self.argv[0]} could not be started: {error.strerror}. Submit the run from another one."
            self._write_exit(code=127, message=what)
            return
        self._write_owner(child.pid)
        self._watch(child)
        left = self._end_all(child.pid, gently=AFTER_TERM if not self.forced else 0)
        code = child.wait()
        cut_log(self.folder / run_layout.OUTPUT_LOG, self.log_cap)
        if code < 0:
            self._write_exit(signal=-code, forced=self.forced, message=self.note, left=left)
        else:
            self._write_exit(code=code, forced=self.forced, left=left)

    # ── start ───────────────────────────────────────────────────────────────────────────────────────────────
    def _take_locks(self) -> None:
        """The run's own lock, then each device's. Raises NotStartedError."""
        until = time.monotonic() + 10
        while (own := locks.try_lock(self.folder / LOCK)) is None:
            if time.monotonic() > until:
                raise NotStartedError("An earlier attempt of it still holds the run's folder")
            time.sleep(POLL)
        self.lock_handle = own
        if self._is_replaced():
            raise NotStartedError("A newer attempt was started already")
        if self._is_over():
            raise TakenBackError
        for folder, device in self.device_locks:
            try:
                held = DeviceLock(Path(folder), device).take()
            except (OSError, UnsafeFolderError) as error:
                raise NotStartedError(f"Its device cannot be locked: {error}") from error
            if isinstance(held, Holder):
                raise NotStartedError(f"Its device was just taken by a run of another user or home: {held}")
            self.device_handles.append(held)

    def _start(self) -> subprocess.Popen[bytes]:
        environment = processes.changed_environment(self.environment)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        output = os.open(self.folder / run_layout.OUTPUT_LOG, flags | os.O_NOFOLLOW, 0o600)
        try:
            self._started_at = time.monotonic()
            return subprocess.Popen(
                self.argv,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        finally:
            os.close(output)

    # ── while it lives ──────────────────────────────────────────────────────────────────────────────────────
    def _watch(self, child: subprocess.Popen[bytes]) -> None:
        """Until the trainer has ended. It is not reaped yet, so that no other process gets its pid and session."""
        with processes.ProcessHandle(child.pid) as trainer:
            while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                self._beat()
                self._read_desired()
                self._check_start(child)
                self._stop(trainer)
                trainer.wait(POLL)

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + self.beat_every
        self._beats += 1
        cut_log(self.folder / run_layout.OUTPUT_LOG, self.log_cap)
        if self._is_replaced():  # this node was cut off, and was believed dead: it must not write any more
            self._set_desired("kill")
        for handle in self.device_handles:  # a system that removes old files from /tmp must see that it is in use
            with contextlib.suppress(OSError):
                os.utime(handle)
        # in place: it needs no space on a full disk, and a reader sees the old number or the new one
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self.folder / run_layout.HEARTBEAT, flags, 0o600)
            try:
                os.pwrite(descriptor, f"{self.attempt:06d} {self._beats:012d}\n".encode(), 0)
            finally:
                os.close(descriptor)

    def _is_over(self) -> bool:
        return (self.folder / run_layout.exit_name(self.attempt)).exists()

    def _is_replaced(self) -> bool:
        return (self.folder / run_layout.launch_name(self.attempt + 1)).exists()

    def _read_desired(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            desired = run_paths.read_plain(self.folder, run_layout.DESIRED).decode().strip()
            if desired == "kill" or (desired == "stop" and self.desired == "run"):
                self._set_desired(desired)

    def _set_desired(self, desired: str) -> None:
        if self.desired != desired:
            self.desired, self._desired_since = desired, time.monotonic()

    def _on_signal(self, _number: int, _frame: Any) -> None:
        """The machine shuts down, or somebody ends the supervisor: let the trainer write its checkpoint."""
        self.interrupt()

    def interrupt(self) -> None:
        """Have the trainer save and end, though no user has asked for it."""
        if self.desired == "run":
            self.interrupted = self.scheduler is not None
            self._set_desired("stop")

    def abandon(self, why: str) -> None:
        """End the attempt at once. Called from another thread; `run` finds it so."""
        self.note = why
        self._set_desired("kill")

    def _check_start(self, child: subprocess.Popen[bytes]) -> None:
        if self.note is not None or time.monotonic() - self._started_at < self.deadline:
            return
        events = self.folder / run_layout.events_name(self.attempt)
        if events.exists() and events.stat().st_size:
            self.deadline = float("inf")
            return
        self.note = f"It did not begin within {self.deadline:g} s and was killed"
        self._end_all(child.pid)

    def _stop(self, trainer: processes.ProcessHandle) -> None:
        """Signal the trainer to save and end; after the grace period end all its processes."""
        waited = time.monotonic() - self._desired_since
        if self.desired == "kill":
            self.forced = True
            self._end_all(trainer.pid)
        elif self.desired == "stop":
            if not self._sigterm_sent:
                self._sigterm_sent = True
                # the trainer alone: its loader processes must live until the checkpoint is written
                trainer.send(signal.SIGTERM)
                trainer.send(signal.SIGCONT)
            elif waited > self.grace:
                self.forced = True
                self._end_all(trainer.pid, gently=AFTER_TERM)

    def _end_all(self, leader: int, gently: float = 0) -> list[int]:
        """End all processes of the attempt. Returns those that cannot be ended."""
        return processes.end_all(
            lambda: sorted({*processes.tagged(self.tag), *processes.in_session(leader)}),
            lambda pid: processes.has_tag(pid, self.tag) or processes.is_in_session(pid, leader),
            gently=gently,
        )

    # ── what it leaves ──────────────────────────────────────────────────────────────────────────────────────
    def _write_owner(self, trainer: int | None) -> None:
        owner = json.loads(ProcessIdentity.current().to_json()) | {
            "attempt": self.attempt,
            "trainer": None,
            **self.place,
        }
        if trainer is not None and (identity := ProcessIdentity.of(trainer)) is not None:
            owner["trainer"] = json.loads(identity.to_json())
        with contextlib.suppress(OSError):  # the daemon knows this process anyway
            run_layout.write_atomic(self.folder / run_layout.OWNER, json.dumps(owner))

    def _reserve_space(self) -> None:
        """Keep some space of the disk for the exit file, which must be written on a full disk, too."""
        with contextlib.suppress(OSError):
            run_layout.write_atomic(self.folder / RESERVE, b" " * 4096)

    def _use_reserve(self, text: str) -> None:
        """Write the exit into the reserved file, and rename it; neither needs more of the disk."""
        descriptor = os.open(self.folder / RESERVE, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, text.encode().ljust(4096), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(self.folder / RESERVE, self.folder / run_layout.exit_name(self.attempt))
        run_layout.fsync_folder(self.folder)

    def _write_exit(self, **facts: Any) -> None:
        """Write how the trainer ended, with more tries if the disk refuses: nobody else knows."""
        full = shutil.disk_usage(self.folder).free < FULL
        known = {"attempt": self.attempt, "asked": self.desired, "t": time.time(), "full": full}
        text = json.dumps({**known, "interrupted": self.interrupted, **facts})
        with contextlib.suppress(OSError):
            self._use_reserve(text)
            return
        for wait in (0.2, 1, 5, 15, 30, None):
            try:
                run_layout.write_atomic(self.folder / run_layout.exit_name(self.attempt), text)
                return
            except OSError as error:
                print(f"supervisor: the exit could not be written: {error}", file=sys.stderr, flush=True)
            if wait is not None:
                time.sleep(wait)


def cut_log(path: Path, cap: int) -> None:
    """Keep a log below its cap: its beginning and its newest part stay."""
    with contextlib.suppress(OSError):
        size = path.lstat().st_size
        if size <= cap:
            return
        head, tail = min(LOG_HEAD, cap // 4), cap // 2
        with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b") as file:
            file.seek(size - tail)
            newest = file.read()
            gone = size - head - len(newest)
            file.seek(head)
            file.write(f"\n[{gone} bytes were cut out here: the log was too large]\n".encode() + newest)
            file.truncate()


if __name__ == "__main__":
    Supervisor(Path(sys.argv[1]), json.load(sys.stdin)).run()
