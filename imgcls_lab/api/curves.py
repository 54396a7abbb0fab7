"""The points of a run's curves as its event files give them, read on from where the last look ended.

Called by `folder.py`. Reads each line once; never writes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from imgcls_lab.events import AnyEvent, EpochEnded, Metrics, Started, finite, read_events
from imgcls_lab.schemas import Cursor, MetricsBatch, Series, SeriesReply
from imgcls_lab.store.training_time import Leg, TrainingTime


class Point(NamedTuple):
    """One value of one tag; (attempt, seq) names the event that brought it."""

    step: int
    epoch: float
    stamp: float  # Unix seconds
    value: float | None
    attempt: int
    seq: int


@dataclass
class Curves:
    """All points of one run by tag, each sorted by step. Not for two threads at once."""

    run_id: str
    points: dict[str, list[Point]] = field(default_factory=dict)
    cursor: Cursor = field(default_factory=Cursor)
    starts: list[tuple[Cursor, int]] = field(default_factory=list)  # where each attempt went on from
    _began: dict[int, float] = field(default_factory=dict)  # stamps of `started`, by attempt
    _legs: dict[int, Leg] = field(default_factory=dict)  # by attempt
    _offsets: dict[str, int] = field(default_factory=dict)

    def read(self, folder: Path) -> list[AnyEvent]:
        """Take in what the folder's event files have grown by, and return it."""
        news: list[AnyEvent] = []
        for path in sorted(folder.glob("events-*.jsonl")):
            events, end = read_events(path, self._offsets.get(path.name, 0))
            self._offsets[path.name] = end
            for event in events:
                self._add(event)
            news += events
        return news

    def _add(self, event: AnyEvent) -> None:
        self.cursor = Cursor(attempt=event.attempt, seq=event.seq)
        if isinstance(event, Started):
            self.starts.append((self.cursor, event.resume_step))
            self._began[event.attempt] = event.t
            if event.attempt > 1:  # the resumed attempt walks these steps again
                for tag, points in self.points.items():
                    self.points[tag] = [p for p in points if p.step <= event.resume_step]
            self._legs = {}
            for point in sorted((p for points in self.points.values() for p in points), key=_moment):
                self._reach(point)
        elif isinstance(event, Metrics | EpochEnded):
            values = dict(event.values)
            if isinstance(event, EpochEnded):
                values.setdefault("time/epoch", event.seconds)
            for tag, value in finite(values).items():
                point = Point(event.step, float(event.epoch), event.t, value, event.attempt, event.seq)
                self.points.setdefault(tag, []).append(point)
                self._reach(point)

    def _reach(self, point: Point) -> None:
        """Count a point, in the order of events, into its attempt's stretch of training time."""
        leg = self._legs.get(point.attempt)
        step, first = (leg.step, leg.first) if leg else (point.step, point.stamp)
        self._legs[point.attempt] = Leg(self._began.get(point.attempt), step, first, point.stamp)

    def _series(self, tag: str, points: list[Point], max_points: int | None) -> Series:
        thinned = max_points is not None and len(points) > max_points
        if max_points is not None and thinned:
            points = _thin(points, max_points)
        clock = TrainingTime(leg for _attempt, leg in sorted(self._legs.items()))
        return Series(
            run_id=self.run_id,
            tag=tag,
            step=[p.step for p in points],
            epoch=[p.epoch for p in points],
            time=[clock.at(p.step, p.stamp) for p in points],
            value=[p.value for p in points],
            thinned=thinned,
        )

    def series(self, tags: Iterable[str] | None = None, max_points: int | None = None) -> SeriesReply:
        """The series of these tags (None: all). With `max_points` the lowest and highest of each stretch stay."""
        wanted = sorted(self.points) if tags is None else [tag for tag in tags if tag in self.points]
        series = [self._series(tag, self.points[tag], max_points) for tag in wanted]
        return SeriesReply(series=series, cursors={self.run_id: self.cursor})

    def since(self, cursor: Cursor) -> MetricsBatch:
        """The points behind a cursor, and the step behind which older ones no longer hold."""
        start = (cursor.attempt, cursor.seq)
        news = {tag: [p for p in points if (p.attempt, p.seq) > start] for tag, points in self.points.items()}
        back = [step for at, step in self.starts if at.attempt > 1 and (at.attempt, at.seq) > start]
        return MetricsBatch(
            series=[self._series(tag, points, None) for tag, points in news.items() if points],
            cursors={self.run_id: self.cursor},
            superseded={self.run_id: min(back)} if back else {},
        )


def _moment(point: Point) -> tuple[int, int]:
    return point.attempt, point.seq


def _thin(points: list[Point], max_points: int) -> list[Point]:
    """The lowest and highest point of each of `max_points / 2` equal stretches; first and last always stay."""
    stretches = max(1, (max_points - 2) // 2)
    kept = {0, len(points) - 1}
    for number in range(stretches):
        stretch = range(number * len(points) // stretches, (number + 1) * len(points) // stretches)
        known = [i for i in stretch if points[i].value is not None]
        if known:
            kept.add(min(known, key=lambda i: points[i].value or 0.0))
            kept.add(max(known, key=lambda i: points[i].value or 0.0))
    return [points[i] for i in sorted(kept)]
