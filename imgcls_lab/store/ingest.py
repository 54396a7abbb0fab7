"""From a run's events to rows, each exactly once. Called by the daemon's rounds and by `rebuild`.

What an event means is in `run_state.py`; here its rows are written. Rows and the offset that was reached are written in
one transaction, guarded by the offset it began from; whoever comes second writes nothing. The trainer is never waited
for, and never waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, ConflictError
from imgcls_lab.events import (
    Began,
    CheckpointSaved,
    EpochEnded,
    Failed,
    FailureKind,
    Finished,
    Metrics,
    RunKind,
    RunState,
    Scan,
    Started,
    Stopped,
    scan_events,
)
from imgcls_lab.run_layout import CONFIG, events_name
from imgcls_lab.run_paths import read_plain, size
from imgcls_lab.run_state import AttemptState, Best, Monitor, RunProgress
from imgcls_lab.settings import Settings
from imgcls_lab.store import pyramid, run_sizes, states
from imgcls_lab.store.artifacts import Artifacts
from imgcls_lab.store.database import Database, insert_rows
from imgcls_lab.store.folder_rows import saved_config
from imgcls_lab.store.metrics import tags_of
from imgcls_lab.store.run_rows import config_columns
from imgcls_lab.store.tables import Attempt, Metric, Run, Tag

CHUNK = 2**20  # bytes of events in one transaction
_COLUMNS = ("run_number", "attempt", "tag_id", "step", "seq", "epoch", "time", "value")
SEAL_EVERY = 2**18  # bytes of events after which long curves are thinned: what is left is read point by point


class _StaleError(Exception):
    """Another process was first, or the attempt lives no more."""


def ingest(database: Database, settings: Settings, run_id: str, attempt: int) -> bool:
    """Bring what an attempt has written until now into the database. False: the attempt is not the living one."""
    folder = settings.run_dir(run_id)
    path = folder / events_name(attempt)
    # up to here, not "until nothing is new": a busy trainer would keep the daemon here for ever
    goal = size(folder, path.name)
    while True:
        with database.read() as session:
            row = session.get(Attempt, (run_id, attempt))
            if row is None:
                return False
            offset = row.events_offset
        scan = scan_events(path, offset, limit=CHUNK)
        if scan.end == offset:
            return True
        taken = run_sizes.of_folder(folder, saved_config(folder)) if _changes_size(scan) else None
        try:
            with database.write() as session:
                _Batch(session, folder, run_id, attempt, offset).apply(scan, taken)
        except _StaleError:
            return False
        if scan.end >= goal:
            return True


def replay(session: Session, folder: Path, run_id: str, attempt: int, *, until: int | None) -> None:
    """Bring the events of an attempt into the database in the caller's transaction, up to a byte or their end.

    The attempt must be the living one, and its offset the beginning. Raises ConflictError where another was first.
    """
    path = folder / events_name(attempt)
    goal = size(folder, path.name) if until is None else until
    offset = 0
    while offset < goal:
        scan = scan_events(path, offset, limit=min(CHUNK, goal - offset))
        if scan.end == offset:
            return
        try:
            _Batch(session, folder, run_id, attempt, offset).apply(scan)
        except _StaleError:
            raise ConflictError("Another process changed it meanwhile; do it again.") from None
        offset = scan.end


def _changes_size(scan: Scan) -> bool:
    """Whether a run's folder takes more or less than before these events: of its end, too, nothing comes after that."""
    changes = (CheckpointSaved, EpochEnded, Finished, Stopped, Failed)
    return any(isinstance(event, changes) for event in scan.events)


class _Batch:
    """The events of one transaction, gathered to few statements: the history behind a run's state in the database."""

    def __init__(self, session: Session, folder: Path, run_id: str, attempt: int, offset: int) -> None:
        self.session = session
        self.folder = folder
        self.run_id = run_id
        self.attempt = attempt
        self.offset = offset
        self.rows: list[tuple[str, int, int, float, float, float | None]] = []  # tag, then _COLUMNS[3:]
        self.values: dict[str, Any] = {}  # of the run
        self.highest = 0  # step until now
        self.back: int | None = None  # the earliest step that came after a later one
        self.added = False  # whether there are points

    def apply(self, scan: Scan, taken: int | None = None) -> None:
        """Write what the events of a scan come to. Raises _StaleError when another was first.

        taken: bytes of the run's folder, if they have changed.
        """
        self.values |= {} if taken is None else {"size": taken}
        here = col(Attempt.events_offset) == self.offset
        # first, since it locks the row: a second reader waits here, and then finds nothing to do
        if not states.change_attempt(self.session, self.run_id, self.attempt, here, events_offset=scan.end):
            raise _StaleError
        run = self.session.exec(select(Run).where(Run.id == self.run_id)).first()
        attempt = self.session.get(Attempt, (self.run_id, self.attempt))
        if run is None or attempt is None:
            raise _StaleError
        self.session.expunge(run)  # read only: every write below is fenced
        self.session.expunge(attempt)
        self.run, self.highest = run, run.step
        self.artifacts = Artifacts.read(self.session, self.folder, run, self.attempt, scan.events)
        progress = _progress(run, attempt, self)
        before, attempt_before = _run_columns(progress), _attempt_columns(progress.attempt)
        applied = [event for event in scan.in_order() if progress.apply(event)]
        self.artifacts.write()
        self._write_rows()
        if self.added:
            self._thin(scan.end)
        self.values |= _changed(before, _run_columns(progress))
        changed = _changed(attempt_before, _attempt_columns(progress.attempt))
        if run.external:  # no executor has written them
            self._set_start_and_device(progress.attempt, changed, began=attempt.seq > 0)
        if changed:
            states.change_attempt(self.session, self.run_id, self.attempt, **changed)
        if not states.change_live(self.session, self.run_id, self.attempt, recorded=False, **self.values):
            raise _StaleError
        if any(isinstance(event, Started | Began) for event in applied):
            states.move(self.session, self.run_id, RunState.RUNNING, attempt=self.attempt, recorded=False)

    # ── what the reducer asks ───────────────────────────────────────────────────────────────────────────────
    def add(self, event: Metrics | EpochEnded, values: Mapping[str, float | None]) -> None:
        self.added = True
        step, seq, epoch, stamp = event.step, event.seq, float(event.epoch), event.t
        self.rows += [(tag, step, seq, epoch, stamp, value) for tag, value in values.items()]
        if step < self.highest:  # a point that comes late
            self.back = step if self.back is None else min(self.back, step)
        self.highest = max(self.highest, step)

    def take_back(self, event: Started) -> bool:
        step = event.resume_step
        kept = [row for row in self.rows if row[1] <= step]
        of_batch, self.rows = len(self.rows) - len(kept), kept
        beyond = delete(Metric).where(col(Metric.run_number) == self.run.number, col(Metric.step) > step)
        gone = self.session.execute(beyond).rowcount  # type: ignore[attr-defined]
        self.highest = step
        if gone:
            pyramid.reopen(self.session, self.run.number or 0, step + 1)
        if gone + of_batch > 0:
            self._write_rows()  # they are looked at next
        return bool(gone + of_batch)

    def latest(self) -> dict[str, float | None]:
        found: dict[str, float | None] = {}
        order = col(Metric.step).desc(), col(Metric.attempt).desc(), col(Metric.seq).desc()
        for tag_id, name in tags_of(self.session, self.run):
            of_tag = select(Metric.value).where(Metric.run_number == self.run.number, Metric.tag_id == tag_id)
            found[name] = self.session.execute(of_tag.order_by(*order).limit(1)).scalar_one()
        return found

    def best(self, monitor: Monitor) -> Best | None:
        query = select(Metric.value, Metric.epoch, Metric.step).join(Tag, col(Tag.id) == col(Metric.tag_id))
        mine = Metric.run_number == self.run.number, Tag.name == monitor.tag, col(Metric.value).is_not(None)
        order = col(Metric.value).desc() if monitor.higher_is_better else col(Metric.value).asc()
        earliest = col(Metric.step), col(Metric.attempt), col(Metric.seq)
        found = self.session.exec(query.where(*mine).order_by(order, *earliest).limit(1)).first()
        return Best(found[0] or 0.0, round(found[1]), found[2]) if found else None

    def checkpoint(self, event: CheckpointSaved) -> None:
        self.artifacts.checkpoint(event)

    def report(self, event: EpochEnded) -> None:
        self.artifacts.report(event)

    def monitor(self) -> Monitor | None:
        """Only now is known what a notebook trains: its folder has the config."""
        try:
            config = TrainConfig.parse_saved(read_plain(self.folder, CONFIG))
        except (OSError, ConfigError):
            return None
        columns = config_columns(config)
        self.values |= {name: columns[name] for name in columns if name != "epochs"}  # the event counts those of all
        return Monitor.of(columns["config"])

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _set_start_and_device(self, attempt: AttemptState, changed: dict[str, Any], *, began: bool) -> None:
        """Start and device of an attempt outside the queue, from its own events."""
        if attempt.device is not None:
            self.values["devices"] = changed["devices"] = [attempt.device]
        if not began and attempt.first_event_at is not None:
            changed["started_at"] = attempt.first_event_at
            if self.run.started_at is None:
                self.values["started_at"] = attempt.first_event_at

    def _write_rows(self) -> None:
        if not self.rows:
            return
        tags = _tag_ids(self.session, {row[0] for row in self.rows})
        head = self.run.number, self.attempt
        insert_rows(self.session, Metric, _COLUMNS, [(*head, tags[tag], *point) for tag, *point in self.rows])
        self.rows = []

    def _thin(self, end: int) -> None:
        """Keep the thinned form of long curves in step with their points."""
        number = self.run.number or 0
        if self.back is not None:
            pyramid.reopen(self.session, number, self.back)
        if self.offset // SEAL_EVERY != end // SEAL_EVERY:
            pyramid.seal(self.session, number, [tag_id for tag_id, _ in tags_of(self.session, self.run)])


# ── the state of a run as columns ───────────────────────────────────────────────────────────────────────────────
_SAME = (
    "step", "epoch", "total_steps", "epochs", "resumed_at_step", "phase", "message", "seconds_left", "latest",
    "saved_step", "best_values",
)  # fmt: skip
_OF_ATTEMPT = ("seq", "resume_step", "trains_since", "message")


def _progress(run: Run, attempt: Attempt, history: _Batch) -> RunProgress:
    """A run's state as the last transaction left it."""
    progress = RunProgress(history, RunKind(run.kind), Monitor.of(run.config))
    for name in _SAME:
        setattr(progress, name, getattr(run, name))
    progress.latest, progress.best_values = dict(run.latest), dict(run.best_values)
    if run.best_value is not None and run.best_epoch is not None and run.best_step is not None:
        progress.best = Best(run.best_value, run.best_epoch, run.best_step)
    now = AttemptState(attempt.number, entered=history.offset > 0, state=RunState(attempt.state))
    for name in _OF_ATTEMPT:
        setattr(now, name, getattr(attempt, name))
    now.failure = FailureKind(attempt.failure) if attempt.failure else None
    progress.attempts.append(now)
    return progress


def _run_columns(progress: RunProgress) -> dict[str, Any]:
    columns = {name: getattr(progress, name) for name in _SAME}
    best = progress.best
    columns["latest"], columns["best_values"] = dict(progress.latest), dict(progress.best_values)
    columns["best_value"], columns["best_epoch"], columns["best_step"] = best or (None, None, None)
    return columns


def _attempt_columns(attempt: AttemptState) -> dict[str, Any]:
    columns = {name: getattr(attempt, name) for name in _OF_ATTEMPT}
    return {**columns, "state": attempt.state.value, "failure": attempt.failure and attempt.failure.value}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in after.items() if value != before[name]}


def _tag_ids(session: Session, names: set[str]) -> dict[str, int]:
    query: Any = select(Tag.name, Tag.id).where(col(Tag.name).in_(names))
    found: dict[str, int] = dict(session.exec(query).all())
    missing = sorted(names - set(found))
    if missing:
        dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        table: Table = Tag.__table__  # type: ignore[attr-defined]
        session.execute(dialect.insert(table).on_conflict_do_nothing(), [{"name": name} for name in missing])
        found = dict(session.exec(query).all())
    return found
