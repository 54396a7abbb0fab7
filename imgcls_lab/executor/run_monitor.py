"""Keeps one live run of this host true to its folder: ingests, passes on wishes, sees its end. Called by the daemon.

It holds no state that matters: after a restart the next daemon looks at the same folders, processes and rows and
goes on. A run is given up only when its processes are confirmed dead.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from sqlmodel import col

from imgcls_lab.events import DesiredState, RunKind, RunState
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.run_layout import DESIRED, HEARTBEAT, OWNER, events_name, read_plain, write_atomic
from imgcls_lab.store import Store, alerts, attempts, states
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.run_folders import follow
from imgcls_lab.store.tables import Attempt, Run
from imgcls_lab.store.verdict import ended_at, judge, last_line, read_end, unlaunched

log = logging.getLogger(__name__)

MAX_STEP = 5.0  # seconds one look may add to a wait: a daemon that was asleep itself accuses nobody


class Stillness:
    """How long something has not changed, as far as this process was awake to see it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._value: object = None
        self._last: float | None = None
        self._still = 0.0

    def look(self, value: object) -> float:
        """Seconds for which the value has been the same."""
        now = self._clock()
        if self._last is None or value != self._value:
            self._value, self._still = value, 0.0
        else:
            self._still += min(now - self._last, MAX_STEP)
        self._last = now
        return self._still


class Keeper:
    """One attempt of one run, as long as this daemon lives."""

    def __init__(self, store: Store, backend: LocalBackend, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._settings = store.settings
        self._backend = backend
        self._heartbeat = Stillness(clock)
        self._after_last_event = Stillness(clock)
        self._progress = Stillness(clock)
        self._size = -1
        self._watched: tuple[str, int] | None = None  # run and attempt, while it lives
        self._told_at = -2  # size of the events at which a standstill was told

    def look(self, run: Run, attempt: Attempt) -> None:
        """One look at a run and its processes. Raises StoreError, OSError."""
        folder = self._settings.run_dir(run.id)
        self._watched = None
        if run.external:
            self._watched = (run.id, attempt.number)
            self._write_wish(run, folder)
            follow(self._store.database, self._settings, run.id)
            return
        owner = self._owner(run, attempt, folder)
        alive = owner is not None and owner.alive()
        end = read_end(folder, attempt.number)
        if owner is not None and alive and end is None:
            self._watched = (run.id, attempt.number)
            self.glance()
            self._pass_on(run, folder, owner)
            self._check_pulse(run, attempt, folder)
            return
        self._close(run, attempt, folder)

    # ── while it lives ──────────────────────────────────────────────────────────────────────────────────────
    def _owner(self, run: Run, attempt: Attempt, folder: Path) -> ProcessIdentity | None:
        owner = ProcessIdentity.from_json(json.dumps(attempt.owner)) if attempt.owner else None
        trainer = _trainer(folder, attempt.number)
        if owner is None:  # the daemon that started it died before it could note it
            owner = self._backend.find(folder, run.id, attempt.number)
        if owner is not None and (attempt.owner is None or trainer != attempt.pid):
            with self._store.write() as session:
                attempts.set_owner(session, run.id, attempt.number, json.loads(owner.to_json()), trainer)
        return owner

    def glance(self) -> None:
        """Take in what the run has written since, if it lived at the last look. Raises StoreError."""
        if self._watched is None:
            return
        run_id, attempt = self._watched
        size = _size(self._settings.run_dir(run_id), attempt)
        if size != self._size:
            ingest(self._store.database, self._settings, run_id, attempt)
            self._size = size

    def _pass_on(self, run: Run, folder: Path, owner: ProcessIdentity) -> None:
        try:
            self._write_wish(run, folder)
        except OSError as error:  # a full disk must not keep a run from being stopped
            log.warning("%s: the wish to %s could not be written: %s", run.id, run.desired, error)
            if run.desired == DesiredState.KILL.value:
                self._backend.clear(run.id, run.attempt)
            elif owner.alive():
                os.kill(owner.pid, signal.SIGTERM)
        if run.desired != DesiredState.RUN.value and run.state == RunState.RUNNING.value:
            with self._store.write() as session:
                attempts.show_stopping(session, run.id, run.attempt)

    def _write_wish(self, run: Run, folder: Path) -> None:
        if run.desired != DesiredState.RUN.value and _text(folder / DESIRED) != run.desired:
            write_atomic(folder / DESIRED, run.desired)

    def _check_pulse(self, run: Run, attempt: Attempt, folder: Path) -> None:
        """End an attempt whose supervisor does not beat any more, or whose trainer stays after its last event."""
        silent = self._heartbeat.look(_text(folder / HEARTBEAT))
        if silent > self._settings.lease:
            log.warning("%s attempt %d has not beaten for %.0f s: ended", run.id, attempt.number, silent)
            self._backend.clear(run.id, attempt.number)
        self._check_progress(run, attempt)
        over = attempts.said(attempt) is not None
        if self._after_last_event.look(over) > self._settings.stop_grace and over:
            log.warning("%s attempt %d stays after its last event: ended", run.id, attempt.number)
            write_atomic(folder / DESIRED, DesiredState.KILL.value)

    def _check_progress(self, run: Run, attempt: Attempt) -> None:
        """Tell of a training that lives and writes nothing; whether to end it is for a person to say."""
        limit = self._settings.stall_minutes * 60
        still = self._progress.look(self._size)
        if limit <= 0 or still < limit or self._told_at == self._size or run.kind != RunKind.TRAIN.value:
            return
        self._told_at = self._size
        text = f"“{run.name}” has made no progress for {self._settings.stall_minutes:g} minutes; look at its log."
        with self._store.write() as session:
            alert_id = f"{run.id}-{attempt.number}-stalled-{attempt.seq}"
            alerts.add(session, alert_id, "stalled", text, host=run.host, run_id=run.id)

    # ── its end ─────────────────────────────────────────────────────────────────────────────────────────────
    def _close(self, run: Run, attempt: Attempt, folder: Path) -> None:
        """Confirm that nothing of it lives, read the rest of its events, write what it came to."""
        left = self._backend.clear(run.id, attempt.number)
        if left:
            names = ", ".join(map(str, left))
            message = f"Process {names} cannot be ended, so {', '.join(attempt.devices)} stays out of use until it is."
            if run.message != message:
                with self._store.write() as session:
                    states.change_run(session, run.id, col(Run.attempt) == attempt.number, message=message)
            return
        if not ingest(self._store.database, self._settings, run.id, attempt.number):
            return  # another process was first
        end = read_end(folder, attempt.number) or unlaunched(folder, attempt.number)
        with self._store.write() as session:
            now = session.get(Attempt, (run.id, attempt.number))
            fresh = session.get(Run, run.number)
            if now is None or fresh is None:
                return
            verdict = judge(
                attempts.said(now),
                end,
                DesiredState(fresh.desired),
                saved_step=fresh.saved_step,
                trained=now.resume_step is not None,
                last_line=last_line(folder),
            )
            session.expunge_all()  # what follows is fenced, not tracked
            # a machine that was off meanwhile adds no hours to the run
            ended = ended_at(folder, attempt.number, end)
            state = attempts.finish(session, run.id, attempt.number, verdict, end, at=ended, seen=time.time())
        if state is not None:
            log.info("%s attempt %d: %s, now %s", run.id, attempt.number, verdict.state.value, state.value)


def _trainer(folder: Path, attempt: int) -> int | None:
    """Pid of the process that trains, as the supervisor wrote it."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        data = json.loads(read_plain(folder / OWNER))
        if data["attempt"] == attempt:
            return int(data["trainer"]["pid"])
    return None


def _text(path: Path) -> str:
    try:
        return read_plain(path).decode().strip()
    except (OSError, ValueError):
        return ""


def _size(folder: Path, attempt: int) -> int:
    try:
        return (folder / events_name(attempt)).stat().st_size
    except OSError:
        return 0
