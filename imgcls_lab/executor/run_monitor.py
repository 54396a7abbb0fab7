"""Watches one live run of a backend: finds what is new of it, passes on what users ask of it, and confirms its end.

Called by `run_checks`, which writes what was found of many runs together. It holds no state that matters: after a
restart the next daemon reads the same folders, owners and rows, and goes on. A run is given up only when the backend
confirms that its processes are dead.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from imgcls_lab import run_changes
from imgcls_lab.events import DesiredState, RunKind, RunState
from imgcls_lab.executor import processes, run_secrets
from imgcls_lab.executor.backends.base import Backend, OwnerState
from imgcls_lab.identity import Owner, owner_of
from imgcls_lab.run_layout import CHANGES, DESIRED, HEARTBEAT, events_name, exit_name, write_atomic
from imgcls_lab.run_paths import read_plain, size
from imgcls_lab.settings import Settings
from imgcls_lab.store.attempts import Noted, reported
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.locked_runs import Key
from imgcls_lab.store.run_folders import devices_of, read_written_owner
from imgcls_lab.store.tables import Attempt, Run
from imgcls_lab.store.verdict import read_end

log = logging.getLogger(__name__)

CLEAR_PATIENCE = 8.0  # seconds that what is left of an attempt may take to end before the run's page says so
MAX_STEP = 5.0  # seconds that one call adds at most: while the daemon itself was suspended, it saw nothing


class UnchangedTimer:
    """How long a value has not changed, as far as this process was awake to see it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._value: object = None
        self._last: float | None = None
        self._seconds = 0.0

    def update(self, value: object) -> float:
        """Seconds for which the value has been the same."""
        now = self._clock()
        if self._last is None or value != self._value:
            self._value, self._seconds = value, 0.0
        else:
            self._seconds += min(now - self._last, MAX_STEP)
        self._last = now
        return self._seconds


class Urgency(Enum):
    """How soon a live run needs a check."""

    ENDS = "it has ended, or is to"
    CHANGED = "its rows or its folder have changed"
    QUIET = "at any time"


class RunMonitor:
    """One attempt of one run, as long as this daemon lives."""

    def __init__(self, store: ExecutorStore, settings: Settings, backend: Backend, clock: Callable[[], float]) -> None:
        self._store = store
        self._settings = settings
        self._backend = backend
        self._heartbeat = UnchangedTimer(clock)
        self._after_last_event = UnchangedTimer(clock)
        self._progress = UnchangedTimer(clock)
        self._remaining = UnchangedTimer(clock)
        self._size = self._seen_size = -1  # bytes of the events that are ingested, and that were seen last
        self._watched: Key | None = None  # while it lives
        self.noted: Noted | None = None  # what the last check found, and is to be written
        self.over = False  # whether the last check has confirmed that nothing of it lives
        self._told: str | None = None  # what it was asked to change, as its folder has it
        self._is_silent = False  # longer than the lease
        self._explained = False  # whether the run's message is what the backend said
        self._alerted_size = -2  # size of the events when the alert of a stalled run was added
        self._clock = clock
        self._checked: tuple[Run, Attempt, int] | None = None  # rows and folder's date at the last check
        self._folder = ""  # of its run, once known: a daemon of thousands asks for it three times a second
        self.checked_at = self.ingested_at = 0.0

    def urgency(self, run: Run, attempt: Attempt) -> Urgency:
        """How soon it needs a check."""
        folder = self._folder = self._folder or str(self._settings.run_dir(run.id))
        if self._checked is not None:
            known_run, known_attempt, date = self._checked
            if known_run is run and known_attempt is attempt and date == _date(folder):
                return Urgency.QUIET
        ends = run.desired_state != DesiredState.RUN.value or os.path.exists(f"{folder}/{exit_name(attempt.number)}")
        return Urgency.ENDS if ends else Urgency.CHANGED

    def check(self, run: Run, attempt: Attempt) -> None:
        """Check the run and its processes once. Raises StoreError, OSError."""
        folder = self._settings.run_dir(run.id)
        self._checked, date = None, _date(folder)
        self.over, self.noted = False, None
        self._check(run, attempt, folder)
        self._checked, self.checked_at = (run, attempt, date), self._clock()

    def check_again(self) -> None:
        """What the last check found could not be written: the next one is as urgent."""
        self._checked = None

    def _check(self, run: Run, attempt: Attempt, folder: Path) -> None:
        self._watched = None
        if run.external:
            self._watched = (run.id, attempt.number)
            self._write_desired(run, folder)
            self._pass_on_changes(run, folder)
            self._store.follow(run.id)
            return
        owner = self._owner(run, attempt, folder)
        silent = self._heartbeat.update(_text(folder, HEARTBEAT))
        if owner is None or read_end(folder, attempt.number) is not None:
            self._confirm_end(run, attempt)
            return
        status = self._backend.status(owner, silent)
        self._explain(run, status.reason)
        if status.state is OwnerState.GONE:
            self._confirm_end(run, attempt)
            return
        self._watched = (run.id, attempt.number)
        self._pass_on_desired(run, folder, owner)
        self._pass_on_changes(run, folder)
        if status.state is OwnerState.WAITING and run.desired_state != DesiredState.RUN.value:
            self._backend.clear(run.id, attempt.number)  # nothing has started that could save
        if status.state is OwnerState.RUNNING:
            self._check_heartbeat(run, attempt, silent)
        self._check_progress(run, attempt)
        self._check_after_end(run, attempt, folder)

    # ── while it lives ──────────────────────────────────────────────────────────────────────────────────────
    def _owner(self, run: Run, attempt: Attempt, folder: Path) -> Owner | None:
        owner = owner_of(attempt.owner) if attempt.owner else None
        written = read_written_owner(folder, attempt.number)
        trainer = _trainer_pid(written)
        if owner is None:  # the daemon that started it died before it could write it down
            owner = self._backend.find(run.id, attempt.number)
        # a claim of a cluster's device is a token; this is where it runs
        devices = devices_of(written) or attempt.devices
        if devices != attempt.devices or (owner is not None and (attempt.owner is None or trainer != attempt.pid)):
            self.noted = Noted(run.id, attempt.number, owner, trainer, devices)
        return owner

    def news(self) -> Key | None:
        """The attempt, if it lived at the last check and has written since it was ingested."""
        self.ingested_at = self._clock()
        if self._watched is None:
            return None
        run_id, attempt = self._watched
        self._seen_size = size(self._settings.run_dir(run_id), events_name(attempt))
        return self._watched if self.has_news else None

    @property
    def has_news(self) -> bool:
        """Whether `news` found something, and it is not ingested yet."""
        return self._watched is not None and self._seen_size != self._size

    def ingested(self) -> None:
        """What `news` found was ingested."""
        self._size = self._seen_size

    def _pass_on_desired(self, run: Run, folder: Path, owner: Owner) -> None:
        try:
            self._write_desired(run, folder)
        except OSError as error:  # a full disk must not keep a run from being stopped
            log.warning("%s: the request to %s could not be written: %s", run.id, run.desired_state, error)
            if run.desired_state == DesiredState.KILL.value:
                self._backend.clear(run.id, run.attempt)
            elif (refusal := self._backend.ask_to_stop(owner, processes.tag_of(run.id, run.attempt))) is not None:
                message = (
                    f"{refusal}, and its folder takes no request to stop ({error.strerror}). Kill the run to end its "
                    "own processes."
                )
                if run.message != message:
                    self._store.show_message(run.id, run.attempt, message)
        if run.desired_state != DesiredState.RUN.value and run.state == RunState.RUNNING.value:
            self._store.show_stopping(run.id, run.attempt)

    def _write_desired(self, run: Run, folder: Path) -> None:
        if run.desired_state != DesiredState.RUN.value and _text(folder, DESIRED) != run.desired_state:
            write_atomic(folder / DESIRED, run.desired_state)

    def _pass_on_changes(self, run: Run, folder: Path) -> None:
        """Write what the run was asked to change where its engine reads it. A full disk lets it wait."""
        text = run_changes.to_json(run_changes.asked(run.changes))
        if text == self._told or (self._told is None and not run.changes):
            return
        try:
            if _text(folder, CHANGES) != text:
                write_atomic(folder / CHANGES, text)
            self._told = text
        except OSError as error:
            log.warning("%s: what it is asked to change could not be written: %s", run.id, error)

    def _explain(self, run: Run, reason: str | None) -> None:
        """Show on the run's page what its backend says, as long as it says so."""
        if reason is not None and run.message != reason:
            self._store.show_message(run.id, run.attempt, reason)
        elif reason is None and self._explained:
            self._store.show_message(run.id, run.attempt, None)
        self._explained = reason is not None

    def _check_heartbeat(self, run: Run, attempt: Attempt, silent: float) -> None:
        """End an attempt whose supervisor does not beat any more."""
        was_silent, self._is_silent = self._is_silent, silent > self._settings.lease
        if self._is_silent:
            if not was_silent:  # a cluster takes several rounds to end its job
                log.warning("%s attempt %d has not beaten for %.0f s: ended", run.id, attempt.number, silent)
            self._backend.clear(run.id, attempt.number)

    def _check_after_end(self, run: Run, attempt: Attempt, folder: Path) -> None:
        """End an attempt whose trainer goes on after its last event."""
        over = reported(attempt) is not None
        if self._after_last_event.update(over) > self._settings.stop_grace and over:
            log.warning("%s attempt %d stays after its last event: ended", run.id, attempt.number)
            write_atomic(folder / DESIRED, DesiredState.KILL.value)

    def _check_progress(self, run: Run, attempt: Attempt) -> None:
        """Add an alert about a training that lives and writes nothing. A person decides whether to end it."""
        limit = self._settings.stall_minutes * 60
        unchanged = self._progress.update(self._size)
        if limit <= 0 or unchanged < limit or self._alerted_size == self._size or run.kind != RunKind.TRAIN.value:
            return
        self._alerted_size = self._size
        text = f"“{run.name}” has made no progress for {self._settings.stall_minutes:g} minutes; look at its log."
        self._store.add_alert(f"{run.id}-{attempt.number}-stalled-{attempt.seq}", "stalled", text, run_id=run.id)

    # ── its end ─────────────────────────────────────────────────────────────────────────────────────────────
    def _confirm_end(self, run: Run, attempt: Attempt) -> None:
        """Confirm that nothing of it lives, so that its end can be written."""
        remaining = self._backend.clear(run.id, attempt.number)
        if remaining and self._remaining.update(True) < CLEAR_PATIENCE:
            return
        if remaining:
            names, devices = ", ".join(remaining), ", ".join(attempt.devices)
            message = f"{names[0].upper()}{names[1:]} cannot be ended, so {devices} stays out of use until it is."
            if run.message != message:
                self._store.show_message(run.id, attempt.number, message)
            return
        run_secrets.take_back(self._settings, run.id)
        self.over = True


def _trainer_pid(written: dict[str, Any]) -> int | None:
    """Pid of the process that trains, as the supervisor wrote it."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return int(written["trainer"]["pid"])
    return None


def _date(folder: Path | str) -> int:
    """When a name in a folder came or went last; 0 for one that is not there."""
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def _text(folder: Path, name: str) -> str:
    try:
        return read_plain(folder, name).decode().strip()
    except (OSError, ValueError):
        return ""
