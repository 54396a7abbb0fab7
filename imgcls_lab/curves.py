"""All points of one run's curves in memory, as its event files give them: the history behind a run's folder.

Called by `api/run_folder.py`. The store keeps the same points as rows. Reads no file and never writes.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from imgcls_lab.events import EpochEnded, Metrics, Started
from imgcls_lab.run_state import Best, Monitor
from imgcls_lab.schemas import Cursor, MetricsBatch, Series, SeriesReply
from imgcls_lab.thinning import thin
from imgcls_lab.training_time import Leg, TrainingTime


class Point(NamedTuple):
    """One value of one tag; (attempt, seq) names the event that brought it."""

    step: int
    attempt: int
    seq: int
    epoch: float
    stamp: float  # Unix seconds
    value: float | None


@dataclass
class Curves:
    """All points of one run by tag, each sorted by step. Not for two threads at once."""

    run_id: str
    points: dict[str, list[Point]] = field(default_factory=dict)
    _starts: list[tuple[tuple[int, int], int]] = field(default_factory=list)  # (attempt, seq) -> step it resumes from
    _trains_since: dict[int, float] = field(default_factory=dict)  # stamps of the first `started`, by attempt
    _legs: dict[int, Leg] = field(default_factory=dict)  # by attempt

    # ── what the reducer asks ───────────────────────────────────────────────────────────────────────────────
    def add(self, event: Metrics | EpochEnded, values: Mapping[str, float | None]) -> None:
        for tag, value in values.items():
            point = Point(event.step, event.attempt, event.seq, float(event.epoch), event.t, value)
            known = self.points.setdefault(tag, [])
            if known and _place(known[-1]) > _place(point):
                insort(known, point, key=_place)
            else:
                known.append(point)
            self._extend_leg(point)

    def take_back(self, event: Started) -> bool:
        self._starts.append(((event.attempt, event.seq), event.resume_step))
        self._trains_since[event.attempt] = event.t
        before = sum(map(len, self.points.values()))
        kept = {tag: [p for p in points if p.step <= event.resume_step] for tag, points in self.points.items()}
        self.points = {tag: points for tag, points in kept.items() if points}
        self._legs = {}
        for point in sorted((p for points in self.points.values() for p in points), key=_moment):
            self._extend_leg(point)
        return sum(map(len, self.points.values())) < before

    def latest(self) -> dict[str, float | None]:
        return {tag: points[-1].value for tag, points in self.points.items()}

    def best(self, monitor: Monitor) -> Best | None:
        best: Best | None = None
        for point in self.points.get(monitor.tag, ()):
            if point.value is not None and (best is None or monitor.is_better(point.value, best.value)):
                best = Best(point.value, round(point.epoch), point.step)
        return best

    # ── what a view asks ────────────────────────────────────────────────────────────────────────────────────
    def series(self, cursor: Cursor, tags: Iterable[str] | None = None, max_points: int | None = None) -> SeriesReply:
        """The series of these tags (None: all), thinned to `max_points`. cursor: how far the run was read."""
        wanted = sorted(self.points) if tags is None else [tag for tag in tags if tag in self.points]
        series = [self._series(tag, self.points[tag], max_points) for tag in wanted]
        return SeriesReply(series=series, cursors={self.run_id: cursor})

    def since(self, since: Cursor, cursor: Cursor) -> MetricsBatch:
        """The points behind a reader's cursor, and the step behind which its older ones no longer hold."""
        start = (since.attempt, since.seq)
        news = {tag: [p for p in points if _moment(p) > start] for tag, points in self.points.items()}
        back = [step for at, step in self._starts if at > start and since.attempt > 0]
        return MetricsBatch(
            series=[self._series(tag, points, None) for tag, points in news.items() if points],
            cursors={self.run_id: cursor},
            superseded={self.run_id: min(back)} if back else {},
        )

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _extend_leg(self, point: Point) -> None:
        """Count a point, in the order of events, into its attempt's stretch of training time."""
        leg = self._legs.get(point.attempt)
        step, first = (leg.step, leg.first) if leg else (point.step, point.stamp)
        self._legs[point.attempt] = Leg(self._trains_since.get(point.attempt), step, first, point.stamp)

    def _series(self, tag: str, points: list[Point], max_points: int | None) -> Series:
        kept = points
        if max_points is not None and len(points) > max_points:
            steps = np.array([point.step for point in points], dtype=np.float64)
            values = np.array([np.nan if p.value is None else p.value for p in points], dtype=np.float64)
            kept = [points[place] for place in thin(steps, values, max_points).tolist()]
        clock = TrainingTime(leg for _attempt, leg in sorted(self._legs.items()))
        return Series(
            run_id=self.run_id,
            tag=tag,
            step=[p.step for p in kept],
            epoch=[p.epoch for p in kept],
            time=[clock.at(p.step, p.stamp) for p in kept],
            value=[p.value for p in kept],
            thinned=len(kept) < len(points),
        )


def _place(point: Point) -> tuple[int, int, int]:
    return point.step, point.attempt, point.seq


def _moment(point: Point) -> tuple[int, int]:
    return point.attempt, point.seq
