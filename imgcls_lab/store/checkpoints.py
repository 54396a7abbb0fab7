"""`store.checkpoints`: deletes a checkpoint of a run that has ended. Called by the server.

What somebody still needs is refused with the reason: the best model, that which a resume would go on from, and one that
is registered as a model.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from sqlmodel import Session, col, select

from imgcls_lab.errors import ConflictError, NotFoundError
from imgcls_lab.events import ENDED, RunKind, RunState, is_resumable
from imgcls_lab.run_layout import BEST, CHECKPOINTS, LAST, elsewhere
from imgcls_lab.run_paths import names_in, real_path, remove, size
from imgcls_lab.schemas import FreedSpace
from imgcls_lab.settings import Settings
from imgcls_lab.store import audit, claims, homes, rights, states
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import Artifact, Model, Run


class Checkpoints:
    """The checkpoints of runs that lie in this home."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def delete(self, text: str, name: str) -> FreedSpace:
        """Delete a checkpoint by its name, and say how many bytes that freed.

        Raises NotFoundError, ForbiddenError; ConflictError for one that is still needed.
        """
        with self._database.write() as session:
            run = find_run(session, text)
            rights.check(session, "edited", run)
            claims.refuse_view_only(run)
            homes.check_here(session, run)
            row = session.exec(
                select(Artifact).where(Artifact.run_id == run.id, Artifact.kind == "checkpoint", Artifact.name == name)
            ).first()
            if row is None:
                raise NotFoundError(f"The run “{run.name}” has no checkpoint “{name[:60]}”.", reason="no_checkpoint")
            folder = self._settings.run_dir(run.id)
            place = _place(folder, run, row)
            _refuse_needed(session, run, row, place)
            freed = size(folder, row.path, elsewhere(run.config, folder))
            path = row.path
            audit.record(session, "edited", run, changed={"checkpoint": [name, None]})
            session.delete(row)
            states.change_run(session, run.id, size=None if run.size is None else max(0, run.size - freed))
            trash = None if place is None else _set_aside(place)
            _forget_links(folder, path)
        if trash is not None:  # long for a large one: nobody waits for the database meanwhile
            remove(trash)
        return FreedSpace(freed=freed)


def _place(folder: Path, run: Run, row: Artifact) -> Path | None:
    """The folder of a checkpoint, links resolved; None: it is gone already."""
    try:
        return real_path(folder, row.path, elsewhere(run.config, folder))
    except (OSError, ValueError):
        return None


def _refuse_needed(session: Session, run: Run, row: Artifact, place: Path | None) -> None:
    state = RunState(run.state)
    if state not in ENDED:
        raise ConflictError(
            f"The run “{run.name}” is {state.value} and removes old checkpoints by itself. Stop it first.",
            reason="live",
        )
    if BEST in row.links:
        raise ConflictError(
            f"“{row.name}” holds the best model of the run “{run.name}”. Delete the whole run if you need it no more.",
            reason="best",
        )
    if LAST in row.links and is_resumable(state, RunKind(run.kind), saved=True):
        raise ConflictError(
            f"The run “{run.name}” would go on from “{row.name}”. Delete the whole run if it is not to be resumed.",
            reason="last",
        )
    used = session.exec(select(Model.name, Model.flavour).order_by(col(Model.id))).all()
    by = [name for name, flavour in used if place is not None and os.path.realpath(flavour) == os.fspath(place)]
    if by:
        raise ConflictError(f"“{row.name}” is the registered model “{by[0]}”. Remove that model first.", reason="model")


def _set_aside(place: Path) -> Path:
    """It leaves under another name first, so that nobody finds half of it."""
    trash = place.with_name(f".deleted-{place.name}")
    remove(trash)  # of a deletion that was cut off
    place.rename(trash)
    return trash


def _forget_links(folder: Path, path: str) -> None:
    """Remove the links that lead to a checkpoint that is gone."""
    parent = os.path.dirname(path) or CHECKPOINTS
    for name in names_in(folder, parent):
        link = folder / parent / name
        if link.is_symlink() and os.path.basename(os.readlink(link)) == os.path.basename(path):
            with contextlib.suppress(FileNotFoundError):
                link.unlink()
