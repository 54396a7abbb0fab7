"""Long curves kept a second time, thinned, so that a plot of a million points reads a few thousand rows.

Of every 16, 64 and 256 points that follow each other in a series the smallest and the largest are kept. Ingest calls
`seal` as points come in and `reopen` when a run goes back; `metrics.py` reads with `Curve.points`. What lies behind the
last full stretch is read as it is, so a thinned row is never the only place of a point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sqlalchemy import ColumnElement, delete, func
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from imgcls_lab.store.database import insert_rows
from imgcls_lab.store.tables import Metric, ThinnedMetric
from imgcls_lab.thinning import stretch_extremes

Axis = Literal["step", "epoch", "time"]
FACTORS = (16, 64, 256)  # points a stretch
_COLUMNS = ("run_number", "tag_id", "factor", "step", "until", "epoch", "time", "value")
_FAR = 2**62  # a step behind all others
Point = tuple[int, float, float, float | None]


def seal(session: Session, run_number: int, tag_ids: list[int]) -> None:
    """Thin the full stretches of a run's curves that came in since the last call."""
    for tag_id in tag_ids:
        Curve(session, run_number, tag_id).seal()


def reopen(session: Session, run_number: int, step: int) -> None:
    """Forget a run's stretches that reach to a step or beyond it: their points change."""
    tags = select(ThinnedMetric.tag_id).where(ThinnedMetric.run_number == run_number).distinct()
    for tag_id in session.exec(tags).all():
        Curve(session, run_number, tag_id).reopen(step)


@dataclass(frozen=True)
class Curve:
    """One series of one run."""

    session: Session
    run_number: int
    tag_id: int

    def points(self, axis: Axis, low: float | None, high: float | None, max_points: int) -> tuple[list[Point], bool]:
        """Points (step, epoch, time, value) in the order of steps, and whether they are thinned already.

        low, high: range on the axis, inclusive. Thinned points are taken only where they are more than `max_points`;
        both ends of the range are exact. max_points 0: all points.
        """
        first, last = (low, high) if axis == "step" else self._steps(axis, low, high)
        factor = self._factor(first, last, max_points)
        if factor is None:
            points = self._read(Metric, *_between(col(Metric.step), first, col(Metric.step), last))
        else:
            inside = _between(col(ThinnedMetric.step), first, col(ThinnedMetric.until), last)
            middle = self._read(ThinnedMetric, col(ThinnedMetric.factor) == factor, *inside)
            begin, end = middle[0][0], self._until(factor, middle[-1][0])
            # one bound at each end: of two, SQLite might walk from the wrong one
            before = _between(col(Metric.step), first, col(Metric.step), begin - 1)
            behind = _between(col(Metric.step), end + 1, col(Metric.step), last)
            points = self._read(Metric, *before) + middle + self._read(Metric, *behind)
        return points, factor is not None

    def seal(self) -> None:
        """Thin the full stretches that came in since the last call."""
        whole = max(FACTORS)
        rows = self._read(Metric, col(Metric.step) > self._sealed())
        count = (len(rows) - 1) // whole * whole
        while count > 0 and rows[count - 1][0] == rows[count][0]:  # a step belongs to one stretch
            count -= whole
        if count <= 0:
            return
        steps = np.array([row[0] for row in rows[:count]])
        values = np.array([row[3] for row in rows[:count]], dtype=np.float64)  # None: NaN
        made: list[tuple[Any, ...]] = []
        for factor in FACTORS:
            for place in stretch_extremes(steps, values, factor).tolist():
                step, epoch, time, value = rows[place]
                until = int(steps[(place // factor + 1) * factor - 1])
                made.append((self.run_number, self.tag_id, factor, step, until, epoch, time, value))
        insert_rows(self.session, ThinnedMetric, _COLUMNS, made)

    def reopen(self, step: int) -> None:
        """Forget the stretches that reach to a step or beyond it, and the shorter ones inside of them."""
        largest = col(ThinnedMetric.factor) == max(FACTORS)
        mine = col(ThinnedMetric.run_number) == self.run_number, col(ThinnedMetric.tag_id) == self.tag_id
        self.session.execute(delete(ThinnedMetric).where(*mine, largest, col(ThinnedMetric.until) >= step))
        self.session.execute(delete(ThinnedMetric).where(*mine, col(ThinnedMetric.step) > self._sealed()))

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _kept(self, factor: int) -> tuple[ColumnElement[bool], ...]:
        return (
            col(ThinnedMetric.run_number) == self.run_number,
            col(ThinnedMetric.tag_id) == self.tag_id,
            col(ThinnedMetric.factor) == factor,
        )

    def _steps(self, axis: Axis, low: float | None, high: float | None) -> tuple[int | None, int | None]:
        """The steps of a range of epochs or times: looked up among the kept points, then among all near by."""
        coarse = self._kept(max(FACTORS))
        kept, step = col(ThinnedMetric.step), col(Metric.step)
        kept_along, along = col(getattr(ThinnedMetric, axis)), col(getattr(Metric, axis))
        mine = select(Metric.step).where(Metric.run_number == self.run_number, Metric.tag_id == self.tag_id)
        first = last = None
        if low is not None:
            inside = select(func.min(kept)).where(*coarse, kept_along >= low).scalar_subquery()
            near = self.session.exec(select(func.max(kept)).where(*coarse, kept < func.coalesce(inside, _FAR))).one()
            exact = mine.where(step >= _or(near, 0), along >= low).order_by(step).limit(1)
            first = _or(self.session.exec(exact).first(), _FAR)
        if high is not None:
            inside = select(func.max(kept)).where(*coarse, kept_along <= high).scalar_subquery()
            near = self.session.exec(select(func.min(kept)).where(*coarse, kept > func.coalesce(inside, -1))).one()
            exact = mine.where(step <= _or(near, _FAR), along <= high).order_by(step.desc()).limit(1)
            last = _or(self.session.exec(exact).first(), -1)
        return first, last

    def _factor(self, first: float | None, last: float | None, max_points: int) -> int | None:
        """The longest stretches that still give more than `max_points` points; None: all points are few enough."""
        if max_points <= 0:
            return None
        largest = max(FACTORS)
        inside = _between(col(ThinnedMetric.step), first, col(ThinnedMetric.until), last)
        query = select(func.count()).select_from(ThinnedMetric).where(*self._kept(largest), *inside)
        kept = self.session.exec(query).one()
        return next((factor for factor in reversed(FACTORS) if kept * (largest // factor) > max_points), None)

    def _sealed(self) -> int:
        """The last step that lies in a full stretch; -1 where there is none."""
        ends = select(ThinnedMetric.until).where(*self._kept(max(FACTORS)))
        end = self.session.exec(ends.order_by(col(ThinnedMetric.step).desc()).limit(1)).first()
        return -1 if end is None else end

    def _until(self, factor: int, step: int) -> int:
        """Where the stretch of a kept point ends."""
        here = select(ThinnedMetric.until).where(*self._kept(factor), ThinnedMetric.step == step)
        return self.session.exec(here).one()

    def _read(self, table: type[Metric] | type[ThinnedMetric], *where: ColumnElement[bool]) -> list[Point]:
        """Points in the order of steps."""
        here: Any = table
        columns = here.__table__.c
        query: Any = sa_select(columns.step, columns.epoch, columns.time, columns.value)
        query = query.where(table.run_number == self.run_number, table.tag_id == self.tag_id, *where)
        order = (
            [col(table.step)] if table is ThinnedMetric else [col(Metric.step), col(Metric.attempt), col(Metric.seq)]
        )
        found: Any = self.session.connection().execute(query.order_by(*order)).all()  # no objects of the ORM
        return found  # type: ignore[no-any-return]


def _or(step: int | None, other: int) -> int:
    return other if step is None else step


def _between(above: Any, low: float | None, below: Any, high: float | None) -> list[ColumnElement[bool]]:
    return ([] if low is None else [above >= low]) + ([] if high is None else [below <= high])
