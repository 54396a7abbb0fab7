"""A collection: entries of one table, each with a name of its own. `registry.py` has the four kinds of it.

Called through `Store`, such as `store.projects.list()`. What is in use is not deleted; the error says by what.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, select

from imgcls_lab.errors import ConflictError, NotFoundError
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ConfigEdit, DatasetEdit, ModelEdit, ProjectEdit
from imgcls_lab.store import audit, rights
from imgcls_lab.store.database import Database
from imgcls_lab.store.tables import Config, Dataset, Model, Project

Row = TypeVar("Row", Project, Config, Dataset, Model)
Edit = TypeVar("Edit", ProjectEdit, ConfigEdit, DatasetEdit, ModelEdit)
View = TypeVar("View")


class Collection(ABC, Generic[Row, Edit, View]):
    """list, get, add, edit and delete the entries of a table. A subclass says what an entry is made of."""

    table: ClassVar[type[Any]]
    edit_type: ClassVar[type[Any]]  # what `add` and `edit` take
    noun: ClassVar[str]  # what messages call an entry
    used_by: ClassVar[dict[str, Any]] = {}  # noun -> column that refers to an entry

    def __init__(self, database: Database) -> None:
        self._database = database

    @abstractmethod
    def _views(self, session: Session, rows: Sequence[Row]) -> Sequence[View]:
        """Entries as lists show them, in the same order."""

    @abstractmethod
    def _apply(self, session: Session, row: Row, edit: Edit) -> None:
        """Set the columns of an entry. Raises InputError, ConflictError; then nothing is saved."""

    def list(self) -> Sequence[View]:
        """All entries by name."""
        with self._database.read() as session:
            rows = session.exec(select(self.table).order_by(func.lower(self.table.name))).all()
            return self._views(session, rows)

    def get(self, entry_id: int) -> View:
        """Raises NotFoundError."""
        with self._database.read() as session:
            return self._view(session, self._row(session, entry_id))

    def named(self, name: str) -> View | None:
        """The entry of this very name."""
        with self._database.read() as session:
            row = session.exec(select(self.table).where(self.table.name == name)).first()
            return None if row is None else self._view(session, row)

    def find(self, text: str) -> View:
        """The entry of a name, else of a number. Raises NotFoundError."""
        found = self.named(text)
        if found is not None:
            return found
        if text.isascii() and text.isdigit():
            return self.get(int(text))
        plural = self.table.__tablename__
        raise NotFoundError(f"There is no {self.noun} “{text}”. `imgcls-lab {plural} list` lists them.")

    def add(self, edit: Edit) -> View:
        """Raises InputError, ConflictError for a name that another entry has."""
        return self.get(self._save(edit, None))

    def edit(self, entry_id: int, edit: Edit) -> View:
        """Raises NotFoundError, ForbiddenError, InputError, ConflictError for a name that another entry has."""
        return self.get(self._save(edit, entry_id))

    def delete(self, entry_id: int) -> None:
        """Raises NotFoundError, ForbiddenError, ConflictError for an entry that is in use."""
        with self._database.write() as session:
            row = self._row(session, entry_id)
            self._check_rights(session, "deleted", row)
            self._check_deletable(session, row)
            audit.record(session, "deleted", row)
            session.delete(row)

    # ── for subclasses ──────────────────────────────────────────────────────────────────────────────────────
    def _row(self, session: Session, entry_id: int) -> Row:
        row: Row | None = session.get(self.table, entry_id)
        if row is None:
            raise NotFoundError(f"There is no {self.noun} {entry_id}.")
        return row

    def _saved(self, session: Session, row: Row) -> None:
        """Called when an entry was saved and has its id, before the transaction ends. Raises as `_apply` does."""

    def _check_rights(self, session: Session, action: str, row: Row) -> None:
        rights.check(session, action, row)

    def _view(self, session: Session, row: Row) -> View:
        return self._views(session, [row])[0]

    def _check_deletable(self, session: Session, row: Row) -> None:
        users = self._users(session, row)
        if users:
            raise ConflictError(f"The {self.noun} “{row.name}” is used by {users}; delete those first.")

    def _users(self, session: Session, row: Row) -> str:
        """What refers to an entry, such as “2 runs and 1 config”; empty where nothing does."""
        numbers = {
            noun: session.exec(select(func.count()).where(column == row.id)).one()
            for noun, column in self.used_by.items()
        }
        return " and ".join(counted(number, noun) for noun, number in numbers.items() if number)

    def _save(self, edit: Edit, entry_id: int | None) -> int:
        try:
            with self._database.write() as session:
                row, before = self._to_save(session, entry_id)
                self._apply(session, row, edit)
                session.add(row)
                session.flush()
                self._saved(session, row)
                changed = audit.changes(before, row.model_dump(include={*self.edit_type.model_fields}))
                if entry_id is None:
                    audit.record(session, "added", row)
                elif changed:
                    audit.record(session, "edited", row, changed=changed)
                if row.id is None:
                    raise RuntimeError("The database gave no id.")
                return row.id
        except IntegrityError as error:
            raise ConflictError(f"There is a {self.noun} named “{edit.name}” already; choose another name.") from error

    def _to_save(self, session: Session, entry_id: int | None) -> tuple[Row, dict[str, Any]]:
        """A new entry of the acting user, or one that the user may change; and what it held before."""
        if entry_id is None:
            new: Row = self.table(created_at=time.time(), owner=audit.actor_of(session).user)
            return new, {}
        row = self._row(session, entry_id)
        self._check_rights(session, "edited", row)
        return row, row.model_dump()
