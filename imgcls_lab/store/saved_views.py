"""`store.views`: the lists of runs that a user has saved under a name. Nobody else sees or changes them.

The home's `registry.json` has them, too, so that `db rebuild` brings them back.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from imgcls_lab import run_query
from imgcls_lab.errors import ConflictError, InputError, NotFoundError
from imgcls_lab.schemas import SavedViewCount, SavedViewEdit, SavedViewView
from imgcls_lab.schemas.limits import MAX_VIEWS
from imgcls_lab.store import audit, queries, run_columns
from imgcls_lab.store.database import Database
from imgcls_lab.store.tables import SavedView


class SavedViews:
    """The views of the user of this process."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> Sequence[SavedViewView]:
        """All of the user's, in the user's order."""
        with self._database.read() as session:
            rows = session.exec(_mine(session).order_by(col(SavedView.position), col(SavedView.id))).all()
            return [SavedViewView.model_validate(row, from_attributes=True) for row in rows]

    def counts(self) -> Sequence[SavedViewCount]:
        """How many runs each of the user's views finds, in the user's order."""
        with self._database.read() as session:
            return [SavedViewCount(id=row.id or 0, runs=_runs_of(session, row)) for row in mine(session)]

    def find(self, name: str) -> SavedViewView:
        """That of a name. Raises NotFoundError."""
        found = next((view for view in self.list() if view.name == name), None)
        if found is None:
            known = ", ".join(f"“{view.name}”" for view in self.list()[:8]) or "none"
            raise NotFoundError(f"You have saved no view “{name}” of runs; saved are: {known}.")
        return found

    def save(self, edit: SavedViewEdit, view_id: int | None = None) -> SavedViewView:
        """Add a view, or change one. Raises NotFoundError, ConflictError for a name that another has, InputError."""
        check(edit)
        try:
            with self._database.write() as session:
                row = _row(session, view_id) if view_id is not None else _new(session)
                row.name, row.view, row.updated_at = edit.name, edit.view.model_dump(mode="json"), time.time()
                if edit.position is not None:
                    row.position = edit.position
                session.add(row)
                session.flush()
                return SavedViewView.model_validate(row, from_attributes=True)
        except IntegrityError:
            raise ConflictError(f"You have saved a view “{edit.name}” already; choose another name.") from None

    def delete(self, view_id: int) -> None:
        """Raises NotFoundError."""
        with self._database.write() as session:
            session.delete(_row(session, view_id))


def _mine(session: Session) -> Any:
    """The user's own. All of a SQLite file are: its user may be called otherwise today, as under a hub."""
    wanted = select(SavedView)
    if session.get_bind().dialect.name == "sqlite":
        return wanted
    return wanted.where(SavedView.owner == audit.actor_of(session).user)


def mine(session: Session) -> list[SavedView]:
    """The rows of the acting user."""
    return [*session.exec(_mine(session).order_by(col(SavedView.position), col(SavedView.id)))]


def _runs_of(session: Session, row: SavedView) -> int | None:
    """None for a query of an older version that cannot be read any more; opening the view says why."""
    try:
        wanted = queries.filter_of(str(row.view.get("where", "")))
    except InputError:
        return None
    return queries.number_of_runs(session, wanted)


def restore(session: Session, row: dict[str, Any]) -> None:
    """Add a view as the home's file has it, unless there is one of its name. Raises KeyError, InputError."""
    session.info.setdefault("gone", set()).add(("views", row["id"], row["created_at"]))  # it comes back from its row
    if session.get_bind().dialect.name != "sqlite" and row["owner"] != audit.actor_of(session).user:
        return
    edit = SavedViewEdit.model_validate({"name": row["name"], "view": row["view"]})
    check(edit)
    if any(view.name == edit.name for view in mine(session)):
        return
    made = _new(session)
    made.name, made.view, made.position = edit.name, edit.view.model_dump(mode="json"), int(row["position"])
    made.owner, made.created_at, made.updated_at = str(row["owner"]), float(row["created_at"]), float(row["updated_at"])
    session.add(made)
    session.flush()


def check(edit: SavedViewEdit) -> None:
    """Raises InputError for a view that no list can show."""
    run_query.parse(edit.view.where)
    run_columns.checked(edit.view.columns)
    queries.sort_column(edit.view.sort)


def _row(session: Session, view_id: int) -> SavedView:
    row: SavedView | None = session.exec(_mine(session).where(SavedView.id == view_id)).first()
    if row is None:
        raise NotFoundError(f"You have saved no view {view_id} of runs.")
    return row


def _new(session: Session) -> SavedView:
    number, last = session.exec(
        select(func.count(), func.max(SavedView.position)).where(
            col(SavedView.id).in_(_mine(session).with_only_columns(col(SavedView.id)))
        )
    ).one()
    if number >= MAX_VIEWS:
        raise InputError(f"You have saved {MAX_VIEWS} views, which is the limit; delete one.", reason="many_views")
    position, now = 0 if last is None else last + 1, time.time()
    return SavedView(
        owner=audit.actor_of(session).user, name="", view={}, position=position, created_at=now, updated_at=now
    )
