"""Starts, watches and ends the processes of a run together. Called by `run.train` where the config says so.

The ranks run `python -m imgcls_lab.engine` in this process's group and session, with the variables that `torchrun`
sets. The main rank writes the events. This process forwards them, and writes the last one itself if no rank could.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from imgcls_lab import run_layout
from imgcls_lab.child_environment import child_environment
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.distributed import process_group
from imgcls_lab.engine.reporting.outcome import Outcome
from imgcls_lab.entry_points import TRAINING
from imgcls_lab.errors import ImgclsError, ProcessLostError, of_kind
from imgcls_lab.events import TERMINAL, Event, Failed, FailureKind, Finished, RunState, Stopped, read_events

FOLDER = (
    ".ranks"  # in the run's, while they live: where they meet, their config, `failed` events of those that write none
)
_POLL = 0.05  # seconds
_GRACE = 5.0  # seconds that the other processes have after one failed: they notice it and write what they can
_EXTERNAL_SIGNALS = (
    signal.SIGKILL,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
)  # by other signals a process crashes by itself


class Launcher:
    """The processes of one attempt. locations: as in `run.train`; step: of the last event."""

    def __init__(self, config: TrainConfig, folder: Path, attempt: int, locations: CacheLocations) -> None:
        self.folder = folder
        self.attempt = attempt
        self.step = 0
        self._last: Event | None = None
        self._locations = locations
        self._world_size = config.num_processes
        self._events = folder / run_layout.events_name(attempt)
        self._offset = self._events.stat().st_size if self._events.exists() else 0
        self._remove_folder()
        (folder / FOLDER).mkdir(mode=0o700)
        run_layout.write_atomic(folder / FOLDER / run_layout.CONFIG, config.model_dump_json())

    def train(self, stop: threading.Event, on_event: Callable[[Event], None] | None) -> Outcome:
        """Until all have ended. Raises the error that a process reported, or one that says how a process died."""
        try:
            with self._started() as processes:
                self._watch(processes, stop, on_event)
                codes = [process.poll() for process in processes]
            self._forward(on_event)
            return self._outcome([-code for code in codes if code is not None and code < 0])
        finally:
            self._remove_folder()

    def has_ended(self) -> bool:
        """Whether the main process wrote its last event."""
        self._read()
        return isinstance(self._last, TERMINAL)

    @contextlib.contextmanager
    def _started(self) -> Iterator[list[subprocess.Popen[bytes]]]:
        """The processes; none of them lives afterwards."""
        place = self.folder / FOLDER
        command = TRAINING.argv(sys.executable, os.fspath(self.folder), "--attempt", str(self.attempt))
        command += ["--config", os.fspath(place / run_layout.CONFIG)]
        command += ["--cache-locations", self._locations.to_json()]
        common = {"WORLD_SIZE": str(self._world_size), process_group.STORE: os.fspath(place / "store")}
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(self._world_size):
                environment = child_environment(changes={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
                processes.append(subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, bufsize=0))
            yield processes
        finally:
            for process in processes:
                process.kill()
            for process in processes:
                process.wait()
                if process.stdin:
                    process.stdin.close()

    def _watch(
        self,
        processes: list[subprocess.Popen[bytes]],
        stop: threading.Event,
        on_event: Callable[[Event], None] | None,
    ) -> None:
        """Until all have ended, or one has failed and the others had some seconds to notice."""
        stop_requested, failed_since = False, None
        while any(process.poll() is None for process in processes):
            self._forward(on_event)
            if stop.is_set() and not stop_requested:
                stop_requested = True
                for process in processes:
                    _request_stop(process)
            if failed_since is None and any(process.returncode for process in processes):
                failed_since = time.monotonic()
            if failed_since is not None and time.monotonic() - failed_since > _GRACE:
                return
            time.sleep(_POLL)

    def _outcome(self, killed: list[int]) -> Outcome:
        """killed: the signals that ended processes."""
        match self._last:
            case Finished(step=step, values=values):
                return Outcome(RunState.SUCCEEDED, step, self.folder, values)
            case Stopped(step=step):
                return Outcome(RunState.STOPPED, step, self.folder, {}, f"Stopped at step {step}; it can be resumed.")
            case Failed(kind=kind, message=message):
                raise of_kind(kind, message)
        for failed in self._failures():
            raise of_kind(failed.kind, failed.message)
        if not killed:
            raise ProcessLostError("A process of the run ended before it could report why; the log may show it.")
        name = signal.Signals(killed[0]).name
        if killed[0] not in _EXTERNAL_SIGNALS:
            raise ImgclsError(f"A process of the run crashed ({name}); the log may show why.")
        raise ProcessLostError(
            f"A process of the run was killed from outside ({name}), perhaps because memory ran out."
        )

    def _failures(self) -> list[Failed]:
        """Of the processes that do not write events: why they failed, the cause before what it caused."""
        paths = sorted(
            self.folder.glob(f"{FOLDER}/{process_group.FAILURE_FILE}*"), key=lambda path: path.stat().st_mtime_ns
        )
        failed = [Failed.model_validate_json(path.read_bytes()) for path in paths]
        return [event for event in failed if event.kind is not FailureKind.LOST]

    def _read(self) -> list[Event]:
        events, self._offset = read_events(self._events, self._offset)
        for event in events:
            self._last = event if isinstance(event, TERMINAL) else self._last
            self.step = getattr(event, "resume_step", getattr(event, "step", self.step))
        return list(events)

    def _forward(self, on_event: Callable[[Event], None] | None) -> None:
        for event in self._read():
            if on_event:
                on_event(event)

    def _remove_folder(self) -> None:
        shutil.rmtree(self.folder / FOLDER, ignore_errors=True)


def _request_stop(process: subprocess.Popen[bytes]) -> None:
    """By its standard input: a byte waits there while a process loads its libraries; a signal would kill it."""
    with contextlib.suppress(BrokenPipeError):
        if process.stdin:
            process.stdin.write(b"s")
