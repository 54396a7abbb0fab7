"""The processes of one attempt on one node: started, told to stop and ended together. Called by the launchers alone.

They run `python -m imgcls_lab.engine` in the launcher's group and session, with the variables that `torchrun` sets. A
process whose launcher dies ends by itself: its standard input is a pipe from the launcher.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from imgcls_lab import run_layout
from imgcls_lab.child_environment import child_environment
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.distributed import join
from imgcls_lab.engine.distributed.nodes import Node
from imgcls_lab.entry_points import TRAINING
from imgcls_lab.errors import ImgclsError, ProcessLostError, of_kind
from imgcls_lab.events import Failed, FailureKind

FOLDER = ".ranks"  # in the run's, while they live: where they meet, their config, why they failed
_GRACE = 5.0  # seconds that the other processes have after one failed: they notice it and write what they can
_EXTERNAL_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # others are crashes


class RankProcesses:
    """The processes of one node. Inside `running` they live; afterwards none of them does."""

    def __init__(
        self, config: TrainConfig, folder: Path, attempt: int, *, node: Node, locations: CacheLocations
    ) -> None:
        self._folder = folder / (f"{FOLDER}-{node.number}" if node.number else FOLDER)
        self._run_folder, self._attempt, self._node, self._locations = folder, attempt, node, locations
        self._world_size = node.all_processes(config)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._signals: list[int] | None = None  # by which processes ended, before this launcher killed the others
        self._stop_requested = False
        self._failed_since: float | None = None
        self._remove_folder()
        self._folder.mkdir(mode=0o700)
        run_layout.write_atomic(self._folder / run_layout.CONFIG, config.model_dump_json())

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        own = self._world_size // self._node.count
        command = TRAINING.argv(sys.executable, os.fspath(self._run_folder), "--attempt", str(self._attempt))
        command += ["--config", os.fspath(self._folder / run_layout.CONFIG)]
        command += ["--cache-locations", self._locations.to_json()]
        common = self._environment() | {"WORLD_SIZE": str(self._world_size), "LOCAL_WORLD_SIZE": str(own)}
        try:
            for local_rank in range(own):
                rank = str(self._node.number * own + local_rank)
                environment = child_environment(changes={**common, "RANK": rank, "LOCAL_RANK": str(local_rank)})
                started = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, bufsize=0)
                self._processes.append(started)
            yield
        finally:
            self._signals = self._signals_now()
            for process in self._processes:
                process.kill()
            for process in self._processes:
                process.wait()
                if process.stdin:
                    process.stdin.close()

    def close(self) -> None:
        self._remove_folder()

    def _environment(self) -> dict[str, str]:
        """What all of them get, so that they find each other."""
        found = {join.FOLDER: os.fspath(self._folder)}
        meeting = self._node.rendezvous
        interface: str | None = "lo" if Path("/sys/class/net/lo").exists() else "lo0"
        if meeting is not None:
            found |= {join.RENDEZVOUS: str(meeting), join.ATTEMPT: str(self._attempt)}
            interface = meeting.interface()
        if interface is not None:
            found["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", interface)
        return found

    # ── while they live ─────────────────────────────────────────────────────────────────────────────────────
    @property
    def live(self) -> bool:
        """Whether one of them lives."""
        return any(process.poll() is None for process in self._processes)

    @property
    def failed(self) -> bool:
        """Whether one of them has failed."""
        return any(process.poll() for process in self._processes)

    def request_stop(self) -> None:
        """By their standard input: a byte waits there while a process loads its libraries; a signal would kill it."""
        if self._stop_requested:
            return
        self._stop_requested = True
        for process in self._processes:
            with contextlib.suppress(BrokenPipeError):
                if process.stdin:
                    process.stdin.write(b"s")

    def is_over(self, *, failed_elsewhere: bool = False) -> bool:
        """Whether all have ended, or one of the run has failed and the others had some seconds to notice."""
        if not self.live:
            return True
        if self._failed_since is None and (failed_elsewhere or self.failed):
            self._failed_since = time.monotonic()
        return self._failed_since is not None and time.monotonic() - self._failed_since > _GRACE

    # ── how they ended ──────────────────────────────────────────────────────────────────────────────────────
    def cause(self) -> ImgclsError | None:
        """The error that one of them reported, or how one was killed; None if none of them knows why it ended."""
        for failed in self._failures():
            return of_kind(failed.kind, failed.message)
        killed = self._signals_now() if self._signals is None else self._signals
        if not killed:
            return None
        where = f" on {self._node.shown}" if self._node.count > 1 else ""
        name = signal.Signals(killed[0]).name
        if killed[0] not in _EXTERNAL_SIGNALS:
            return ImgclsError(f"A process of the run{where} crashed ({name}); the log may show why.")
        return ProcessLostError(
            f"A process of the run{where} was killed from outside ({name}), perhaps because memory ran out."
        )

    def _signals_now(self) -> list[int]:
        codes = [process.poll() for process in self._processes]
        return [-code for code in codes if code is not None and code < 0]

    def _failures(self) -> list[Failed]:
        """Of the processes that do not write events: why they failed, the cause before what it caused."""
        paths = sorted(self._folder.glob(f"{join.FAILURE_FILE}*"), key=lambda path: path.stat().st_mtime_ns)
        failed = [Failed.model_validate_json(path.read_bytes()) for path in paths]
        return [event for event in failed if event.kind is not FailureKind.LOST]

    def _remove_folder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
