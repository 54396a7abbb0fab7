"""The end of runs: rows, metrics and folders, of one or of many, with the bytes that it frees. Called by `store.runs`.

It is final: nothing of a deleted run can be had back. A folder leaves under another name first, so that a scan of the
folders cannot bring the run back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete
from sqlmodel import Session, col

from imgcls_lab.errors import ConflictError
from imgcls_lab.events import ENDED, RunState
from imgcls_lab.schemas import Deletion, RefusedRun
from imgcls_lab.settings import Settings
from imgcls_lab.store import audit, inherited, rights, run_files, run_sizes, states
from imgcls_lab.store.database import Database, touch
from imgcls_lab.store.run_edits import ManyRuns, check_number
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import DeletedRun, Metric, Run


class Gone(NamedTuple):
    """A run whose row is deleted, or may be. here: its folder lies in this home."""

    run_id: str
    config: Mapping[str, Any]
    here: bool


def delete_many(database: Database, settings: Settings, runs: Sequence[str], *, dry_run: bool) -> Deletion:
    """Delete runs that have ended. dry_run: only say what would be deleted and freed. Raises InputError for too many.

    Those that are not to be deleted stay and are named with the reason.
    """
    check_number(len(runs))
    wanted = list(dict.fromkeys(runs))
    many = ManyRuns(database)
    if dry_run:
        with database.read() as session:
            gone = many.look(wanted, lambda text: _deletable(session, text)[1])
    else:
        gone = [found for _, found in many.apply(wanted, delete_row)]
    return remove(settings, gone, many.refused, dry_run=dry_run)


def remove(
    settings: Settings, gone: Sequence[Gone], refused: Sequence[RefusedRun] = (), *, dry_run: bool = False
) -> Deletion:
    """Remove the folders of runs whose rows are deleted, as far as they lie in this home, and say what that frees."""
    here = [one for one in gone if one.here]
    counted = run_sizes.freed_by(settings, [(one.run_id, one.config) for one in here])
    for one in () if dry_run else here:  # else a daemon of its home does it
        run_files.remove_folder(settings, one.run_id, one.config)
    return Deletion(
        deleted=[one.run_id for one in gone],
        refused=[*refused],
        freed=counted.freed,
        shared=counted.shared,
        elsewhere=[one.run_id for one in gone if not one.here],
        dry_run=dry_run,
    )


def delete_row(session: Session, text: str) -> Gone:
    """Delete row and metrics of a run. Raises NotFoundError, ForbiddenError; ConflictError while it waits or lives."""
    run, gone = _deletable(session, text)
    for fork in inherited.keep(session, run):
        touch(session, fork.id)
    number = session.execute(
        delete(Run)
        .where(col(Run.id) == run.id, col(Run.state).in_(states.texts(ENDED)))
        .execution_options(synchronize_session=False)
        .returning(col(Run.number))
    ).scalar_one_or_none()
    if number is None:
        raise _alive(run)
    audit.record(session, "deleted", run)
    session.execute(delete(Metric).where(col(Metric.run_number) == number))
    session.merge(DeletedRun(id=run.id, home=run.home, folder_left=not gone.here))
    session.flush()
    touch(session, run.id)
    session.expunge(run)
    return gone


def _deletable(session: Session, text: str) -> tuple[Run, Gone]:
    """A run that may be deleted. Raises NotFoundError, ForbiddenError, ConflictError."""
    run = find_run(session, text)
    rights.check(session, "deleted", run)
    if RunState(run.state) not in ENDED:
        raise _alive(run)
    config = {} if run.view_only else run.config  # a stranger's names no folder of ours
    return run, Gone(run.id, config, run.home in ("", session.info["home"]))


def _alive(run: Run) -> ConflictError:
    return ConflictError(f"The run “{run.name}” is {run.state}; stop it before you delete it.", reason="not_ended")
