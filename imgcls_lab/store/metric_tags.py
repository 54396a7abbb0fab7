"""Numbers of the tags of metrics, which are made as they come. Called by all that writes points."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from imgcls_lab.store.tables import Tag


def tag_ids(session: Session, names: set[str]) -> dict[str, int]:
    """The numbers of tags by their names; new ones are added."""
    query: Any = select(Tag.name, Tag.id).where(col(Tag.name).in_(names))
    found: dict[str, int] = dict(session.exec(query).all())
    missing = sorted(names - set(found))
    if missing:
        dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        table: Table = Tag.__table__  # type: ignore[attr-defined]
        session.execute(dialect.insert(table).on_conflict_do_nothing(), [{"name": name} for name in missing])
        found = dict(session.exec(query).all())
    return found
