"""Several processes of one run: started, watched and ended together. Called by `run.train` where the config says so.

The ranks run `python -m imgcls_lab.engine` in this process's group and session, with the variables that `torchrun`
sets. Events are the first rank's; this process passes them on, and writes the last one itself if no rank could.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from imgcls_lab import layout
from imgcls_lab.engine import ranks
from imgcls_lab.engine.outcome import Outcome
from imgcls_lab.errors import ProcessLostError, of_kind
from imgcls_lab.protocol import TERMINAL, Event, Failed, FailureKind, Finished, RunState, Stopped, read_events

FOLDER = ".ranks"  # in the run's: where the processes meet
_POLL = 0.05  # seconds
_GRACE = 5.0  # seconds that the others have after one ended badly: they notice it and write what they can


class Group:
    """The processes of one attempt. scans: as in `run.train`."""

    def __init__(self, processes: int, folder: Path, attempt: int, scans: Path | None) -> None:
        self.folder = folder
        self.attempt = attempt
        self.last: Event | None = None
        self._scans = scans
        self._count = processes
        self._on_event: Callable[[Event], None] | None = None
        self._events = folder / layout.events_name(attempt)
        self._offset = self._events.stat().st_size if self._events.exists() else 0
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
        (folder / FOLDER).mkdir(mode=0o700)

    def train(self, stop: threading.Event, on_event: Callable[[Event], None] | None) -> Outcome:
        """Until all have ended. Raises what the first process said when it failed, or ProcessLostError."""
        self._on_event = on_event
        with self._started() as processes:
            told, ended_badly = False, None
            while any(process.poll() is None for process in processes):
                self._pass_on()
                if stop.is_set() and not told:
                    told = True
                    for process in processes:
                        process.terminate()
                if ended_badly is None and any(process.returncode for process in processes):
                    ended_badly = time.monotonic()
                if ended_badly is not None and time.monotonic() - ended_badly > _GRACE:
                    break
                time.sleep(_POLL)
            killed = [process.returncode for process in processes if (process.returncode or 0) < 0]
        self._pass_on()
        if isinstance(self.last, Finished | Stopped):
            state = RunState.SUCCEEDED if isinstance(self.last, Finished) else RunState.STOPPED
            values = self.last.values if isinstance(self.last, Finished) else {}
            text = f"Stopped at step {self.last.step}; it can be resumed." if state is RunState.STOPPED else ""
            return Outcome(state, self.last.step, self.folder, values, text)
        if isinstance(self.last, Failed) and self.last.kind is not FailureKind.LOST:
            raise of_kind(self.last.kind, self.last.message)
        raise ProcessLostError(
            f"A process of the run was ended by signal {-killed[0]}, perhaps because memory ran out."
            if killed
            else "A process of the run ended before it could report why; the log may tell."
        )

    @property
    def said_failed(self) -> bool:
        """Whether the first process wrote its last event."""
        return isinstance(self.last, Failed)

    @contextlib.contextmanager
    def _started(self) -> Iterator[list[subprocess.Popen[bytes]]]:
        """The processes; none of them lives afterwards."""
        command = [sys.executable, "-m", "imgcls_lab.engine", os.fspath(self.folder), "--attempt", str(self.attempt)]
        if self._scans:
            command += ["--scans", os.fspath(self._scans)]
        common = {
            **os.environ,
            "WORLD_SIZE": str(self._count),
            ranks.STORE: os.fspath(self.folder / FOLDER / "store"),
        }
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(self._count):
                own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                processes.append(subprocess.Popen(command, env=common | own, stdin=subprocess.PIPE))
            yield processes
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait()
                if process.stdin:
                    process.stdin.close()

    def _pass_on(self) -> None:
        events, self._offset = read_events(self._events, self._offset)
        for event in events:
            self.last = event if isinstance(event, TERMINAL) else self.last
            if self._on_event:
                self._on_event(event)
