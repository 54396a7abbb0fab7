"""From a run's events to rows, each exactly once. Called by the daemon's rounds and by `rebuild`.

Rows and the offset that was reached are written in one transaction, guarded by the offset it began from; whoever
comes second writes nothing. The trainer is never waited for, and never waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, ConflictError
from imgcls_lab.events import (
    AnyEvent,
    Began,
    CheckpointSaved,
    EpochEnded,
    Failed,
    Finished,
    Metrics,
    Notice,
    Phase,
    RunKind,
    RunState,
    Started,
    Stopped,
    finite,
    scan_events,
)
from imgcls_lab.plurals import counted
from imgcls_lab.run_layout import CONFIG, events_name, read_plain
from imgcls_lab.settings import Settings
from imgcls_lab.store import pyramid, states
from imgcls_lab.store.artifacts import Artifacts
from imgcls_lab.store.database import Database, insert_rows
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
    goal = path.stat().st_size if path.exists() else 0
    while True:
        with database.read() as session:
            row = session.get(Attempt, (run_id, attempt))
            if row is None:
                return False
            offset, seq = row.events_offset, row.seq
        events, end, damaged = scan_events(path, offset, limit=CHUNK)
        if end == offset:
            return True
        try:
            with database.write() as session:
                batch = _Batch(session, folder, run_id, attempt, offset, end)
                batch.notice = left_out(path.name, len(damaged)) if damaged else None
                batch.apply([e for e in events if e.seq > seq])
        except _StaleError:
            return False
        if end >= goal:
            return True


def left_out(name: str, count: int) -> str:
    """The sentence on lines of a file that are damaged."""
    what = counted(count, "line is damaged and is", "lines are damaged and are")
    return f"{name}: {what} left out; what the others say is here."


def replay(session: Session, folder: Path, run_id: str, attempt: int, *, until: int | None) -> None:
    """Bring the events of an attempt into the database in the caller's transaction, up to a byte or their end.

    The attempt must be the living one, and its offset the beginning. Raises ConflictError where another was first.
    """
    path = folder / events_name(attempt)
    goal = path.stat().st_size if until is None else until
    offset = seq = 0
    while offset < goal:
        events, end, damaged = scan_events(path, offset, limit=min(CHUNK, goal - offset))
        if end == offset:
            return
        try:
            batch = _Batch(session, folder, run_id, attempt, offset, end)
            batch.notice = left_out(path.name, len(damaged)) if damaged else None
            batch.apply([event for event in events if event.seq > seq])
        except _StaleError:
            raise ConflictError("Another process changed it meanwhile; do it again.") from None
        offset, seq = end, events[-1].seq if events else seq


@dataclass
class _Batch:
    """The events of one transaction, gathered to few statements."""

    session: Session
    folder: Path
    run_id: str
    attempt: int
    offset: int
    end: int
    rows: list[tuple[str, int, int, float, float, float | None]] = field(default_factory=list)  # tag, then _COLUMNS[3:]
    values: dict[str, Any] = field(default_factory=dict)  # of the run
    progress: dict[str, Any] = field(default_factory=dict)  # of the attempt
    notice: str | None = None  # what is to be said of these events
    highest: int = 0  # step until now
    back: int | None = None  # the earliest step that came after a later one

    def apply(self, events: list[AnyEvent]) -> None:
        here = col(Attempt.events_offset) == self.offset
        reached: dict[str, Any] = {"events_offset": self.end} | ({"seq": events[-1].seq} if events else {})
        # first, since it locks the row: a second reader waits here, and then finds nothing to do
        if not states.change_attempt(self.session, self.run_id, self.attempt, here, **reached):
            raise _StaleError
        run = self.session.exec(select(Run).where(Run.id == self.run_id)).first()
        attempt = self.session.get(Attempt, (self.run_id, self.attempt))
        if run is None or attempt is None:
            raise _StaleError
        self.run, self.row = run, attempt
        self.session.expunge(run)  # read only: every write below is fenced
        self.session.expunge(attempt)
        self.monitor = _monitor(run)
        self.latest = dict(run.latest)
        self.highest = run.step
        self.artifacts = Artifacts.read(self.session, self.folder, self.run_id, self.attempt, events)
        for event in events:
            self._apply(event)
        self.artifacts.write()
        if self.notice is not None:
            self.values["message"] = self.notice
        if self.rows:
            self._write_rows()
            self._thin()
            self.values["latest"] = self.latest
            self._estimate()
        if self.progress:
            states.change_attempt(self.session, self.run_id, self.attempt, **self.progress)
        if not states.change_live(self.session, self.run_id, self.attempt, recorded=False, **self.values):
            raise _StaleError
        if any(isinstance(event, Started | Began) for event in events):
            states.move(self.session, self.run_id, RunState.RUNNING, attempt=self.attempt, recorded=False)

    def _apply(self, event: AnyEvent) -> None:
        match event:
            case Started():
                self._started(event)
            case Began():
                self.progress |= {"state": RunState.RUNNING.value, "resume_step": 0}
                self.values |= {"phase": None, "message": None}
            case Metrics():
                self._points(event.step, event.epoch, event.values, event)
            case EpochEnded():
                self._epoch(event)
            case CheckpointSaved():
                self.artifacts.checkpoint(event)
                self.values["saved_step"] = event.step
            case Phase():
                self.values["phase"] = event.name
                if self.run.kind == RunKind.SWEEP.value:  # its steps are its trials
                    self.values |= {"step": event.done or 0, "total_steps": event.total}
            case Notice():
                if event.level != "info":
                    self.values["message"] = event.text
            case Stopped():
                self.progress |= {"state": RunState.STOPPED.value, "message": None}
                self.values["step"] = event.step
            case Failed():
                failed = {"failure": event.kind.value, "message": event.message}
                self.progress |= {"state": RunState.FAILED.value, **failed}
            case Finished():
                self.progress |= {"state": RunState.SUCCEEDED.value, "message": None}
                self.latest |= event.test_values
                self.values |= {"step": event.step, "latest": self.latest}

    def _started(self, event: Started) -> None:
        self.progress |= {"state": RunState.RUNNING.value, "resume_step": event.resume_step, "trains_since": event.t}
        self.values |= {
            "total_steps": event.total_steps, "epochs": event.epochs, "phase": None, "step": event.resume_step,
            "epoch": event.resume_step / max(1, event.steps_per_epoch), "message": None,
            "resumed_at_step": event.resume_step if self.attempt > 1 else None,
        }  # fmt: skip
        if self.run.external:  # no executor gave it a device, so it says itself what it trains on
            self.values["devices"] = self.progress["devices"] = [event.device]
        if self.run.kind == RunKind.NOTEBOOK.value:
            self._look_inside()
        gone = self.session.execute(
            delete(Metric).where(
                col(Metric.run_number) == self.run.number,
                col(Metric.step) > event.resume_step,
                col(Metric.attempt) < self.attempt,
            )
        )
        self.highest = event.resume_step
        if gone.rowcount:  # type: ignore[attr-defined]
            pyramid.reopen(self.session, self.run.number or 0, event.resume_step + 1)
            self._look_back(event.resume_step)

    def _look_inside(self) -> None:
        """Only now is known what a notebook trains: its folder has the config."""
        try:
            config = TrainConfig.parse_saved(read_plain(self.folder / CONFIG))
        except (OSError, ConfigError):
            return
        for name, value in config_columns(config).items():
            if name != "epochs":  # the event counts those of all trainings inside
                self.values[name] = value
                setattr(self.run, name, value)
        self.monitor = _monitor(self.run)

    def _look_back(self, step: int) -> None:
        """Latest and best values as they were at the step that training goes on from."""
        self.latest = {}
        for tag_id, name in self.session.exec(select(Tag.id, Tag.name)).all():
            of_tag = select(Metric.value).where(Metric.run_number == self.run.number, Metric.tag_id == tag_id)
            last = self.session.execute(of_tag.order_by(col(Metric.step).desc()).limit(1)).first()
            if last is not None:
                self.latest[name] = last[0]
        self.values["latest"] = self.latest
        if self.run.best_step is not None and self.run.best_step > step:
            self.values |= {"best_value": None, "best_epoch": None, "best_step": None}
            tag, higher = self.monitor
            query = select(Metric.value, Metric.epoch, Metric.step).join(Tag, col(Tag.id) == col(Metric.tag_id))
            query = query.where(Metric.run_number == self.run.number, Tag.name == tag, col(Metric.value).is_not(None))
            order = col(Metric.value).desc() if higher else col(Metric.value).asc()
            best = self.session.exec(query.order_by(order, col(Metric.step)).limit(1)).first()
            if best is not None:
                self.values |= {"best_value": best[0], "best_epoch": round(best[1]), "best_step": best[2]}

    def _points(self, step: int, epoch: float, values: dict[str, float], event: AnyEvent) -> None:
        known = finite(values)
        self.rows += [(tag, step, event.seq, epoch, event.t, value) for tag, value in known.items()]
        if step < self.highest:  # a point that comes late
            self.back = step if self.back is None else min(self.back, step)
        self.highest = max(self.highest, step)
        self.latest |= known
        self.values |= {"step": step, "epoch": epoch, "phase": None}

    def _epoch(self, event: EpochEnded) -> None:
        self._points(event.step, float(event.epoch), {**event.values, "time/epoch": event.seconds}, event)
        value = finite(event.values).get(self.monitor[0])
        if event.best and value is not None:
            self.values |= {"best_value": value, "best_epoch": event.epoch, "best_step": event.step}
        if event.report:
            self.artifacts.report(event)

    def _write_rows(self) -> None:
        tags = _tag_ids(self.session, {row[0] for row in self.rows})
        head = self.run.number, self.attempt
        insert_rows(self.session, Metric, _COLUMNS, [(*head, tags[tag], *point) for tag, *point in self.rows])

    def _thin(self) -> None:
        """Keep the thinned form of long curves in step with their points."""
        number = self.run.number or 0
        if self.back is not None:
            pyramid.reopen(self.session, number, self.back)
        if self.offset // SEAL_EVERY != self.end // SEAL_EVERY:
            pyramid.seal(self.session, number, [tag_id for tag_id, _ in tags_of(self.session, self.run)])

    def _estimate(self) -> None:
        """Seconds left, from the pace of this attempt by its own stamps."""
        since = self.progress.get("trains_since", self.row.trains_since)
        begun = self.progress.get("resume_step", self.row.resume_step)
        total = self.values.get("total_steps", self.run.total_steps)
        _, step, _, _, now, _ = self.rows[-1]
        if since is not None and begun is not None and total and step > begun and now > since:
            self.values["seconds_left"] = max(0.0, (total - step) * (now - since) / (step - begun))


def _monitor(run: Run) -> tuple[str, bool]:
    """Tag of the figure that decides which checkpoint is the best, and whether more of it is better."""
    config = TrainConfig.model_construct(**run.config)
    return config.monitor_tag, config.higher_is_better


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
