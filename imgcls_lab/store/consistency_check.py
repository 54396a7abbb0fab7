"""`db check`: what is wrong between database and folders, in sentences. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text
from sqlmodel import Session, col, select

from imgcls_lab.events import ENDED, LIVE, left_out, scan_events
from imgcls_lab.run_layout import TRAININGS, event_files, events_name
from imgcls_lab.run_paths import is_folder, names_in, size
from imgcls_lab.settings import Settings
from imgcls_lab.store import homes, run_counts, run_folders
from imgcls_lab.store.database import Database
from imgcls_lab.store.states import texts
from imgcls_lab.store.tables import Attempt, DeviceClaim, Run


def check(database: Database, settings: Settings) -> list[str]:
    """A sentence for each thing that is wrong; empty when all is well. Raises StoreError."""
    with database.read() as session:
        problems = _sqlite(session) if database.is_sqlite else []
        problems += _rows(session)
        problems += _folders(session, settings)
    return problems


def _sqlite(session: Session) -> list[str]:
    answer = [row[0] for row in session.execute(text("PRAGMA integrity_check(10)"))]
    problems = [] if answer == ["ok"] else [f"The database file is damaged: {line}" for line in answer]
    dangling = session.execute(text("PRAGMA foreign_key_check")).all()
    problems += [f"A row of {row[0]} refers to a missing row of {row[2]}." for row in dangling[:10]]
    if problems:
        problems.append("Restore a backup, or move the file away and run `imgcls-lab db rebuild`.")
    return problems


def _rows(session: Session) -> list[str]:
    problems = []
    claims = select(DeviceClaim, Run).join(Run).where(col(Run.state).not_in(texts(LIVE)))
    for claim, run in session.exec(claims):
        problems.append(f"{claim.device} of {claim.host} is held by “{run.name}”, which is {run.state}.")
    present = (col(Attempt.run_id) == col(Run.id)) & (col(Attempt.number) == col(Run.attempt))
    orphans = select(Run).join(Attempt, present, isouter=True).where(col(Run.state).in_(texts(LIVE)))
    for run in session.exec(orphans.where(col(Attempt.number).is_(None))):
        problems.append(f"“{run.name}” is {run.state} but has no attempt; restart the executor.")
    if not run_counts.are_right(session):
        problems.append("The numbers of runs by state are not those of the runs; run `imgcls-lab db rebuild`.")
    return problems


def _folders(session: Session, settings: Settings) -> list[str]:
    problems = []
    present = (col(Attempt.run_id) == col(Run.id)) & (col(Attempt.number) == col(Run.attempt))
    for run, attempt in session.exec(
        select(Run, Attempt).join(Attempt, present).where(col(Run.state).in_(texts(ENDED)), homes.is_here(session))
    ):
        path = settings.run_dir(run.id) / events_name(attempt.number)
        if not path.parent.is_dir():
            problems.append(f"The folder {path.parent} of “{run.name}” is missing.")
        elif size(path.parent, path.name) > attempt.events_offset + 65_536:
            problems.append(f"Events of “{run.name}” are not indexed; run `imgcls-lab db rebuild`.")
    known = dict(session.exec(select(Run.id, Run.name).where(homes.is_here(session))).all())
    for run_id, name in known.items():
        problems += [f"“{name}”: {sentence}" for sentence in _damage(settings.run_dir(run_id))]
    folders = set(run_folders.all_folders(settings)) - known.keys()
    foreign = set(session.exec(select(Run.id).where(~homes.is_here(session)))) & folders
    problems += [f"{settings.run_dir(run_id)} is a copy: the run is one of another home." for run_id in sorted(foreign)]
    unknown = sorted(folders - foreign)
    if unknown:
        problems.append(
            f"{len(unknown)} run folders are not indexed, such as {unknown[0]}; run `imgcls-lab db rebuild`. "
            "Of those that train in a kernel or shell the executor sees to it."
        )
    return problems + run_folders.unindexed_folders(settings)


def _damage(folder: Path) -> Iterator[str]:
    """What is damaged in the events of a run, and of the trainings inside a notebook's."""
    trainings = folder / TRAININGS
    inside = [trainings / name for name in names_in(folder, TRAININGS) if is_folder(trainings, name)]
    for path in [path for place in (folder, *inside) if place.is_dir() for path in event_files(place)]:
        if damaged := len(scan_events(path).damaged):
            yield left_out(str(path), damaged)
