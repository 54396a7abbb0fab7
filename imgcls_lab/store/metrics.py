"""Reading points: series thinned for a plot, and what is new for a live view. Called as `store.metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from sqlalchemy import and_, exists, or_
from sqlmodel import Session, col, select

from imgcls_lab.schemas import Cursor, MetricsBatch, Series, SeriesReply
from imgcls_lab.store.database import Database
from imgcls_lab.store.inherited import points_before
from imgcls_lab.store.pyramid import Axis, Curve
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import Attempt, Metric, Run, Tag
from imgcls_lab.thinning import thin
from imgcls_lab.training_time import Leg, TrainingTime

MAX_NEW_ROWS = 20_000  # of one run in one batch; the next call goes on
_NEW: Any = (
    col(Metric.tag_id), col(Metric.step), col(Metric.epoch), col(Metric.time), col(Metric.value), col(Metric.attempt),
    col(Metric.seq),
)  # fmt: skip


class MetricReader:
    """`store.metrics`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def series(
        self,
        run_ids: Iterable[str],
        tags: Iterable[str] | None = None,
        *,
        axis: Axis = "step",
        low: float | None = None,
        high: float | None = None,
        max_points: int = 2000,
    ) -> SeriesReply:
        """Points by run and tag, at most about `max_points` each: smallest and largest of each stretch are kept.

        low, high: range on the axis (steps, epochs or seconds of training), inclusive. Raises NotFoundError.
        """
        with self._database.read() as session:
            return series(session, run_ids, tags, axis=axis, low=low, high=high, max_points=max_points)

    def points_since(self, cursors: Mapping[str, Cursor]) -> MetricsBatch:
        """Points behind each cursor, and from which step on a reader must forget what it has."""
        with self._database.read() as session:
            return points_since(session, cursors)


def series(
    session: Session,
    run_ids: Iterable[str],
    tags: Iterable[str] | None,
    *,
    axis: Axis,
    low: float | None,
    high: float | None,
    max_points: int,
) -> SeriesReply:
    """As `MetricReader.series`."""
    wanted = None if tags is None else set(tags)
    reply = SeriesReply(series=[], cursors={})
    for text in run_ids:
        run = find_run(session, text)
        reply.cursors[run.id] = _cursor(session, run.id)
        clock = training_time(session, run.id, run.number or 0)
        first, last = clock.stamps(low, high) if axis == "time" else (low, high)
        for tag_id, name in tags_of(session, run, wanted):
            rows, thinned = Curve(session, run.number or 0, tag_id).points(axis, first, last, max_points)
            reply.series.append(_series(run.id, name, rows, clock, axis=axis, max_points=max_points, thinned=thinned))
        if run.fork_step is not None and axis != "time":
            reply.inherited += _past(session, run, wanted, axis=axis, low=low, high=high, max_points=max_points)
    return reply


def _past(
    session: Session,
    run: Run,
    wanted: set[str] | None,
    *,
    axis: Axis,
    low: float | None,
    high: float | None,
    max_points: int,
) -> list[Series]:
    """What a fork has from its ancestors. No clock of its own ran then: its times are 0."""
    tags = select(Tag.id, Tag.name)
    names: dict[int, str] = dict(session.exec(tags if wanted is None else tags.where(col(Tag.name).in_(wanted))).all())  # type: ignore[arg-type]
    found: dict[int, list[Any]] = {}
    for (tag, step), (epoch, time, value) in sorted(points_before(session, run, names).items()):
        place = epoch if axis == "epoch" else step
        if (low is None or place >= low) and (high is None or place <= high):
            found.setdefault(tag, []).append((step, epoch, time, value))
    clock = TrainingTime([])
    return [_series(run.id, names[tag], rows, clock, axis=axis, max_points=max_points) for tag, rows in found.items()]


def points_since(session: Session, cursors: Mapping[str, Cursor]) -> MetricsBatch:
    """Points behind each reader's cursor, and what a resume took back. Runs that are gone are left out."""
    batch = MetricsBatch(series=[], cursors={})
    names: dict[int, str] | None = None
    for run_id, since in cursors.items():
        number = session.exec(select(Run.number).where(Run.id == run_id)).first()
        if number is None:
            continue
        cursor = _cursor(session, run_id)
        if (cursor.attempt, cursor.seq) <= (since.attempt, since.seq):
            batch.cursors[run_id] = since
            continue
        newer = or_(
            col(Metric.attempt) > since.attempt,
            and_(col(Metric.attempt) == since.attempt, col(Metric.seq) > since.seq),
        )
        rows = session.exec(
            select(*_NEW)
            .where(Metric.run_number == number, newer)
            .order_by(col(Metric.attempt), col(Metric.seq))
            .limit(MAX_NEW_ROWS)
        ).all()
        if len(rows) == MAX_NEW_ROWS:  # the last event may be cut in two: leave it to the next call
            last = rows[-1][5:]
            rows = [row for row in rows if row[5:] != last]
            cursor = Cursor(attempt=rows[-1][5], seq=rows[-1][6])
        back = _taken_back(session, run_id, number, since, cursor)
        if back is not None:
            batch.superseded[run_id] = back
        batch.cursors[run_id] = cursor
        if names is None:
            names = {tag_id: name for tag_id, name in session.exec(select(Tag.id, Tag.name)) if tag_id is not None}
        clock = training_time(session, run_id, number)
        by_tag: dict[int, list[Any]] = {}
        for row in rows:
            by_tag.setdefault(row[0], []).append(row[1:5])
        batch.series += [_series(run_id, names[tag], sorted(points), clock) for tag, points in by_tag.items()]
    return batch


def _taken_back(session: Session, run_id: str, number: int, since: Cursor, until: Cursor) -> int | None:
    """The step behind which a reader's points no longer hold; None: all of them do.

    A reader may have seen the first events of an attempt and not yet its `started`. It has no point of that attempt
    beyond the step then, and all that it has beyond it are taken back.
    """
    if since.attempt == 0:
        return None
    begun = select(Attempt.number, Attempt.resume_step).where(
        Attempt.run_id == run_id, Attempt.number >= since.attempt, Attempt.number <= until.attempt
    )
    steps = {attempt: step for attempt, step in session.exec(begun) if step is not None}
    here = steps.get(since.attempt)
    if here is not None:
        seen = exists().where(
            col(Metric.run_number) == number, col(Metric.attempt) == since.attempt, col(Metric.seq) <= since.seq,
            col(Metric.step) > here,
        )  # fmt: skip
        if since.attempt == 1 or session.exec(select(seen)).one():
            del steps[since.attempt]
    return min(steps.values(), default=None)


def _cursor(session: Session, run_id: str) -> Cursor:
    """How far this run's events are in the database."""
    last = select(Attempt.number, Attempt.seq).where(Attempt.run_id == run_id, Attempt.seq > 0)
    row = session.exec(last.order_by(col(Attempt.number).desc()).limit(1)).first()
    return Cursor(attempt=row[0], seq=row[1]) if row else Cursor()


def training_time(session: Session, run_id: str, number: int) -> TrainingTime:
    """A run's clock: from the first and last point that each of its attempts still has."""
    legs: list[Leg] = []
    known = select(Attempt.number, Attempt.trains_since).where(Attempt.run_id == run_id, Attempt.seq > 0)
    for attempt, began in session.exec(known.order_by(col(Attempt.number))).all():
        mine = select(Metric.step, Metric.time).where(Metric.run_number == number, Metric.attempt == attempt)
        first = session.exec(mine.order_by(col(Metric.seq)).limit(1)).first()
        last = session.exec(mine.order_by(col(Metric.seq).desc()).limit(1)).first()
        if first and last:
            legs.append(Leg(began, first[0], first[1], last[1]))
    return TrainingTime(legs)


def tags_of(session: Session, run: Run, wanted: set[str] | None = None) -> list[tuple[int, str]]:
    """Tags of a run, of those that are wanted: one look into the index a tag, not a walk over its points."""
    points = exists().where(col(Metric.run_number) == run.number, col(Metric.tag_id) == col(Tag.id))
    query = select(Tag.id, Tag.name).where(points)
    if wanted is not None:
        query = query.where(col(Tag.name).in_(wanted))
    return [(tag_id, name) for tag_id, name in session.exec(query.order_by(Tag.name)) if tag_id is not None]


def _series(
    run_id: str,
    tag: str,
    rows: Any,
    clock: TrainingTime,
    *,
    axis: Axis = "step",
    max_points: int = 0,
    thinned: bool = False,
) -> Series:
    keep: list[int] | range = range(len(rows))
    if max_points and len(rows) > max_points:
        along = np.array(
            [clock.at(row[0], row[2]) if axis == "time" else row[axis == "epoch"] for row in rows], dtype=np.float64
        )
        values = np.array([np.nan if row[3] is None else row[3] for row in rows], dtype=np.float64)
        keep = thin(along, values, max_points).tolist()
    return Series(
        run_id=run_id,
        tag=tag,
        step=[rows[i][0] for i in keep],
        epoch=[rows[i][1] for i in keep],
        time=[clock.at(rows[i][0], rows[i][2]) for i in keep],
        value=[rows[i][3] for i in keep],
        thinned=thinned or len(keep) < len(rows),
    )
