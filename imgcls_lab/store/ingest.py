"""From a run's events to rows, each exactly once. Called by the daemon's rounds and by `rebuild`.

What an event means is in `run_state.py`; here its rows are written. Rows and the offset that was reached are written in
one transaction, guarded by the offset it began from; whoever comes second writes nothing. The trainer is never waited
for, and never waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import delete, tuple_
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
from imgcls_lab.run_changes import change_results
from imgcls_lab.run_layout import CONFIG, events_name
from imgcls_lab.run_paths import read_plain, size
from imgcls_lab.run_state import AttemptState, Best, Monitor, RunProgress
from imgcls_lab.settings import Settings
from imgcls_lab.store import locked_runs, pyramid, run_sizes
from imgcls_lab.store.artifacts import Artifacts
from imgcls_lab.store.database import Database, insert_rows
from imgcls_lab.store.folder_rows import saved_config
from imgcls_lab.store.locked_runs import Key, LockedRun
from imgcls_lab.store.metric_tags import tag_ids
from imgcls_lab.store.metrics import tags_of
from imgcls_lab.store.run_rows import config_columns
from imgcls_lab.store.tables import Attempt, Metric, Run, Tag

CHUNK = 2**20  # bytes of events in one transaction
_COLUMNS = ("run_number", "attempt", "tag_id", "step", "seq", "epoch", "time", "value")
SEAL_EVERY = 2**18  # bytes of events after which long curves are thinned: what is left is read point by point


class _News(NamedTuple):
    """What an attempt has written since an offset. taken: bytes of the run's folder, if they have changed."""

    folder: Path
    key: Key
    offset: int
    scan: Scan
    taken: int | None = None


def ingest(database: Database, settings: Settings, run_id: str, attempt: int) -> bool:
    """Bring what an attempt has written until now into the database. False: the attempt is not the living one."""
    return (run_id, attempt) in ingest_all(database, settings, [(run_id, attempt)])


def ingest_all(database: Database, settings: Settings, wanted: Sequence[Key]) -> set[Key]:
    """The same of several attempts, of different runs, in one transaction. Returns those that live."""
    folders = {key: settings.run_dir(key[0]) for key in wanted}
    # up to here, not "until nothing is new": a busy trainer would keep the daemon here for ever
    goals = {key: size(folder, events_name(key[1])) for key, folder in folders.items()}
    living: set[Key] = set()
    left = list(wanted)
    while left:
        news = [
            _News(folder, key, offset, scan_events(folder / events_name(key[1]), offset, limit=CHUNK // len(left)))
            for key, offset in _offsets(database, left).items()
            for folder in (folders[key],)
        ]
        living |= {one.key for one in news if one.scan.end == one.offset}
        news = [
            one._replace(taken=run_sizes.of_folder(one.folder, saved_config(one.folder)))
            if _changes_size(one.scan)
            else one
            for one in news
            if one.scan.end > one.offset
        ]
        applied: set[Key] = set()
        if news:
            with database.write() as session:
                applied = _apply(session, news)
        left = [one.key for one in news if one.key in applied and one.scan.end < goals[one.key]]
        living |= applied - set(left)
    return living


def _offsets(database: Database, keys: Sequence[Key]) -> dict[Key, int]:
    """How far the events of attempts are in the database; of those that there are."""
    columns: Any = (Attempt.run_id, Attempt.number, Attempt.events_offset)
    here = tuple_(col(Attempt.run_id), col(Attempt.number)).in_(keys)
    with database.read() as session:
        return {(run_id, number): offset for run_id, number, offset in session.exec(select(*columns).where(here))}


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
        taken = run_sizes.of_folder(folder, saved_config(folder)) if _changes_size(scan) else None
        if not _apply(session, [_News(folder, (run_id, attempt), offset, scan, taken)]):
            raise ConflictError("Another process changed it meanwhile; do it again.")
        offset = scan.end


def _changes_size(scan: Scan) -> bool:
    """Whether a run's folder takes more or less than before these events: of its end, too, nothing comes after that."""
    changes = (CheckpointSaved, EpochEnded, Finished, Stopped, Failed)
    return any(isinstance(event, changes) for event in scan.events)


def _apply(session: Session, news: Sequence[_News]) -> set[Key]:
    """Write what is new of several attempts; of which: the others live no more, or another process was first."""
    locked = locked_runs.lock(session, [one.key for one in news])
    batches: list[_Batch] = []
    for one in news:
        row = locked.get(one.key)
        if row is not None and row.lives and _is_next(row, one):
            batches.append(_Batch(session, one.folder, row, one.offset))
            batches[-1].reduce(one.scan, one.taken)
    _write_rows(session, batches)
    for batch in batches:
        batch.thin()
    locked_runs.write(session, [batch.locked for batch in batches], recorded=False)
    return {batch.locked.key for batch in batches}


def _is_next(locked: LockedRun, news: _News) -> bool:
    """Whether nobody has ingested it meanwhile: a second reader has waited for the lock, and finds nothing to do."""
    return locked.attempt.events_offset == news.offset


def _write_rows(session: Session, batches: Sequence[_Batch]) -> None:
    """Write the points that batches have gathered, of all of them together."""
    names = {row[0] for batch in batches for row in batch.rows}
    if not names:
        return
    tags = tag_ids(session, names)
    rows = [(*batch.head, tags[tag], *point) for batch in batches for tag, *point in batch.rows]
    insert_rows(session, Metric, _COLUMNS, rows)
    for batch in batches:
        batch.rows = []


class _Batch:
    """The new events of one attempt: the history behind a run's state in the database. Changes its locked rows."""

    def __init__(self, session: Session, folder: Path, locked: LockedRun, offset: int) -> None:
        self.session = session
        self.folder = folder
        self.locked = locked
        self.run = locked.run
        self.head = locked.run.number, locked.attempt.number
        self.offset = offset
        self.end = offset
        self.rows: list[tuple[str, int, int, float, float, float | None]] = []  # tag, then _COLUMNS[3:]
        self.values: dict[str, Any] = {}  # of the run
        self.highest = locked.run.step  # step until now
        self.back: int | None = None  # the earliest step that came after a later one
        self.added = False  # whether there are points

    def reduce(self, scan: Scan, taken: int | None) -> None:
        """Set what the events of a scan come to. The points are gathered. taken: as in `_News`."""
        self.values |= {} if taken is None else {"size": taken}
        run, attempt = self.run, self.locked.attempt
        self.end = scan.end
        self.artifacts = Artifacts.read(self.session, self.folder, run, attempt.number, scan.events)
        progress = _progress(run, attempt, self)
        before, attempt_before = _run_columns(progress), _attempt_columns(progress.attempt)
        applied = [event for event in scan.in_order() if progress.apply(event)]
        self.artifacts.write()
        self.values |= _changed(before, _run_columns(progress))
        if "changes" in self.values and change_results(self.values["changes"]):
            self.values["repetition"] = ""  # here for a run of an archive: no database but another one was asked
        changed = _changed(attempt_before, _attempt_columns(progress.attempt))
        if run.external:  # no executor has written them
            self._set_start_and_device(progress.attempt, changed, began=attempt.seq > 0)
        self.locked.set_attempt(events_offset=scan.end, **changed)
        self.locked.set_run(**self.values)
        if any(isinstance(event, Started | Began) for event in applied):
            self.locked.move(RunState.RUNNING)

    def thin(self) -> None:
        """Keep the thinned form of long curves in step with their points."""
        if not self.added:
            return
        number = self.run.number or 0
        if self.back is not None:
            pyramid.reopen(self.session, number, self.back)
        if self.offset // SEAL_EVERY != self.end // SEAL_EVERY:
            pyramid.seal(self.session, number, [tag_id for tag_id, _ in tags_of(self.session, self.run)])

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
        gone = 0
        if self.run.latest:  # else no point of the run is there
            beyond = delete(Metric).where(col(Metric.run_number) == self.run.number, col(Metric.step) > step)
            gone = self.session.execute(beyond).rowcount  # type: ignore[attr-defined]
        kept = [row for row in self.rows if row[1] <= step]
        of_batch, self.rows = len(self.rows) - len(kept), kept
        self.highest = step
        if gone:
            pyramid.reopen(self.session, self.run.number or 0, step + 1)
        if gone + of_batch > 0:
            _write_rows(self.session, [self])  # they are looked at next
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


# ── the state of a run as columns ───────────────────────────────────────────────────────────────────────────────
_SAME = (
    "step", "epoch", "total_steps", "epochs", "resumed_at_step", "phase", "message", "seconds_left", "latest",
    "saved_step", "best_values", "changes", "lr",
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
