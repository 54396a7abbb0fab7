"""The past of a fork: the points of its ancestors, up to where it left them. Nothing of it is stored twice.

While the parent is there, they are read from it. When it is deleted, they are written to each of its forks in the same
transaction (`keep`). A rebuild takes them from the events in the fork's folder (`restore`), and so does whoever adds a
folder that came from elsewhere: a run here with the id of its parent proves nothing about its past.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from imgcls_lab import run_layout, run_paths
from imgcls_lab.events import AnyEvent, EpochEnded, Metrics, finite, scan_events
from imgcls_lab.forks import Fork
from imgcls_lab.store.database import insert_rows
from imgcls_lab.store.metric_tags import tag_ids
from imgcls_lab.store.tables import InheritedMetric, Metric, Run

Points = dict[tuple[int, int], tuple[float, float, float | None]]  # by tag and step: epoch, time and value
_COLUMNS = ("run_number", "tag_id", "step", "epoch", "time", "value")
_CHUNK = 2**20  # bytes of events in memory at once


def points_before(session: Session, run: Run, tags: Iterable[int] | None = None) -> Points:
    """The points of a fork's ancestors up to the fork, of some tags or of all; none of a run that is no fork."""
    if run.fork_step is None:
        return {}
    wanted = None if tags is None else set(tags)
    kept = _read(session, InheritedMetric, run, wanted, None)
    parent = _parent(session, run)
    if kept or parent is None:
        return kept
    before = points_before(session, parent, wanted)
    own = _read(session, Metric, parent, wanted, run.fork_step)
    return {key: point for key, point in {**before, **own}.items() if key[1] <= run.fork_step}


def has_past(session: Session, run: Run) -> bool:
    """Whether the points of a fork's past are its own."""
    count = select(func.count()).select_from(InheritedMetric).where(InheritedMetric.run_number == run.number)
    return session.exec(count).one() > 0


def keep(session: Session, parent: Run) -> list[Run]:
    """Write to each fork of a run what it has from it, before the run is deleted. Returns the forks."""
    forks = session.exec(select(Run).where(Run.parent_id == parent.id, col(Run.fork_step).is_not(None))).all()
    for fork in forks:
        if not has_past(session, fork):
            _write(session, fork, points_before(session, fork))
    return [*forks]


def restore(session: Session, folder: Path, run: Run) -> None:
    """Write a fork's past from the events in its folder, unless a parent of this home's own is in the database."""
    session.execute(delete(InheritedMetric).where(col(InheritedMetric.run_number) == run.number))
    is_read = run.fork_step is None or (_parent(session, run) is not None and not run.view_only)
    fork = None if is_read else Fork.of_folder(folder)
    if fork is None:
        return
    found: dict[tuple[str, int], tuple[float, float, float | None]] = {}
    for each in fork.history:
        for event in _events(folder, f"{run_layout.PARENT_FOLDER}/{each.file}"):
            if isinstance(event, Metrics | EpochEnded) and 0 <= event.step <= min(each.until, fork.step):
                seconds = {"time/epoch": event.seconds} if isinstance(event, EpochEnded) else {}
                for tag, value in finite({**event.values, **seconds}).items():
                    found[tag, event.step] = float(event.epoch), event.t, value
    ids = tag_ids(session, {tag for tag, _ in found})
    _write(session, run, {(ids[tag], step): point for (tag, step), point in found.items()})


def _events(folder: Path, name: str) -> Iterator[AnyEvent]:
    """The events of a file in a run's folder, a piece at a time; none where the name leads out of the folder.

    A folder may come from elsewhere, with a file of any size.
    """
    path, offset = folder / name, 0
    if not run_paths.is_folder(folder, name.rpartition("/")[0]):
        return
    while (scan := scan_events(path, offset, limit=_CHUNK)).end > offset:
        yield from scan.events
        offset = scan.end


def _parent(session: Session, run: Run) -> Run | None:
    """The run that a fork left; None where it was deleted."""
    if run.parent_id is None:
        return None
    return session.exec(select(Run).where(Run.id == run.parent_id)).first()


def _read(session: Session, table: Any, run: Run, tags: set[int] | None, last: int | None) -> Points:
    columns: Any = (table.tag_id, table.step, table.epoch, table.time, table.value)
    query: Any = select(*columns).where(table.run_number == run.number)
    if tags is not None:
        query = query.where(col(table.tag_id).in_(tags))
    if last is not None:
        query = query.where(table.step <= last)
    return {(tag, step): (epoch, time, value) for tag, step, epoch, time, value in session.exec(query)}


def _write(session: Session, run: Run, points: Points) -> None:
    rows = [(run.number, tag, step, *point) for (tag, step), point in sorted(points.items())]
    if rows:
        insert_rows(session, InheritedMetric, _COLUMNS, rows)
