"""Reads the rows of revisions: the newest number, what a revision says of all images, and what is told of each.

Called in a session by `store.revisions`, and by all that shows or submits a run or a data set. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func
from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.data_revision import CHANGES, Change, Overlay, flatten, revision_digest
from imgcls_lab.errors import NotFoundError, StoreError
from imgcls_lab.events import RunKind
from imgcls_lab.memory_cache import CACHE
from imgcls_lab.schemas import RevisionView
from imgcls_lab.store.tables import Dataset, DatasetRevision, Run

MOST_LATER = 20  # revisions that a run's page shows
_AT_ONCE = 8  # revisions in memory: all of a long chain would take gigabytes


def find_dataset(session: Session, dataset_id: int) -> Dataset:
    """Raises NotFoundError."""
    row = session.get(Dataset, dataset_id)
    if row is None:
        raise NotFoundError(f"There is no data set {dataset_id}.")
    return row


def newest_number(session: Session, dataset_id: int) -> int:
    """The number of the newest revision of a data set; 0: there is none."""
    newest = select(func.max(DatasetRevision.number)).where(DatasetRevision.dataset_id == dataset_id)
    return session.exec(newest).one() or 0


def later_revisions(session: Session, run: Run) -> list[RevisionView]:
    """The revisions of a run's data set that came after the run's own, newest first, no more than a page shows."""
    if run.dataset_id is None or run.kind != RunKind.TRAIN:
        return []
    return [view for view in revision_views(session, run.dataset_id) if view.number > (run.data_revision or 0)][
        :MOST_LATER
    ]


def overlay_of(session: Session, dataset_id: int, number: int) -> Overlay:
    """What a revision says of all images. Raises NotFoundError; StoreError for one that was altered since.

    A process reads and checks a chain once: its last digest holds for all changes, so what was checked stays true.
    """
    digest = _digest_of(session, dataset_id, number) if number else ""
    key = ("overlay", dataset_id, number, digest)
    return CACHE.get(key, lambda: _read_overlay(session, dataset_id, number, digest), lambda made: made.nbytes)


def _digest_of(session: Session, dataset_id: int, number: int) -> str:
    """The digest of a revision, all before which are there."""
    table = DatasetRevision
    wanted = select(table.number, table.parent, table.digest).where(table.dataset_id == dataset_id)
    chain = session.exec(wanted.where(col(table.number) <= number).order_by(col(table.number))).all()
    if len(chain) != number or chain[-1][0] != number:
        raise no_revision(session, dataset_id, number)
    if altered := next((own for place, (own, parent, _) in enumerate(chain) if parent != place), None):
        raise _altered(dataset_id, altered)
    return chain[-1][2]


def _read_overlay(session: Session, dataset_id: int, number: int, wanted_digest: str) -> Overlay:
    digest = ""

    def chain() -> Iterator[list[Change]]:
        nonlocal digest
        table = DatasetRevision
        wanted = select(table.number, table.digest, table.changes).where(table.dataset_id == dataset_id)
        ordered = wanted.where(col(table.number) <= number).order_by(col(table.number))
        for found, own, changes in session.exec(ordered.execution_options(yield_per=_AT_ONCE)):
            valid = _valid(changes, dataset_id, found)
            if revision_digest(digest, valid) != own:
                raise _altered(dataset_id, found)
            digest = own
            yield valid

    changes = flatten(chain())
    if digest != wanted_digest:  # rows went away meanwhile
        raise no_revision(session, dataset_id, number)
    return Overlay.of(number, digest, changes)


def overlay_for(session: Session, config: TrainConfig, dataset_id: int | None) -> Overlay | None:
    """The corrections that a config means, None where it names none. dataset_id: None if its folder is not registered.

    Raises NotFoundError, DataError for a file that holds none.
    """
    wanted = config.data_revision
    if isinstance(wanted, str):
        return Overlay.read(Path(wanted))
    if wanted is None:
        return None
    if dataset_id is None:
        raise NotFoundError(
            f"data_revision {wanted} is a number of a registered data set, and “{config.root}” is none. Register it "
            "(`imgcls-lab datasets add NAME FOLDER`), or name a file with corrections.",
            reason="not_registered",
        )
    return overlay_of(session, dataset_id, wanted)


def no_revision(session: Session, dataset_id: int, number: int) -> NotFoundError:
    name, newest = find_dataset(session, dataset_id).name, newest_number(session, dataset_id)
    there = f"its newest is {newest}" if newest else "it has none yet"
    return NotFoundError(
        f"The data set “{name}” has no revision {number}; {there}. `imgcls-lab datasets revisions {name!r}` lists all.",
        reason="no_revision",
        newest=newest,
    )


def changes_of(session: Session, dataset_id: int, number: int) -> list[Change]:
    found = select(DatasetRevision.changes).where(
        DatasetRevision.dataset_id == dataset_id, DatasetRevision.number == number
    )
    changes = session.exec(found).first()
    if changes is None:
        raise no_revision(session, dataset_id, number)
    return _valid(changes, dataset_id, number)


def _valid(changes: Any, dataset_id: int, number: int) -> list[Change]:
    """The changes in a row, which another user of the database may have written. Raises StoreError."""
    try:
        return CHANGES.validate_python(changes)
    except ValidationError:
        raise _altered(dataset_id, number) from None


def _altered(dataset_id: int, number: int) -> StoreError:
    return StoreError(
        f"Revision {number} of data set {dataset_id} is not as it was added: its changes or its digest are others. "
        "Restore the database from a backup, or run `imgcls-lab db rebuild` with a new one.",
        reason="altered",
    )


def revision_views(session: Session, dataset_id: int, number: int | None = None) -> list[RevisionView]:
    """All revisions of a data set, newest first, or one. Raises NotFoundError where that is not there."""
    runs = select(Run.data_revision, func.count()).where(Run.dataset_id == dataset_id).group_by(col(Run.data_revision))
    trained = dict(session.exec(runs).all())
    table = DatasetRevision.__table__  # type: ignore[attr-defined]  # rows without their changes, which may be long
    wanted = [table.c.dataset_id == dataset_id, *([] if number is None else [table.c.number == number])]
    names = [column for column in table.c if column.name not in ("id", "dataset_id", "changes")]
    rows = session.connection().execute(select(*names).where(*wanted).order_by(table.c.number.desc()))
    views = [RevisionView(**row, runs=trained.get(row["number"], 0)) for row in rows.mappings()]
    if number is not None and not views:
        raise no_revision(session, dataset_id, number)
    return views
