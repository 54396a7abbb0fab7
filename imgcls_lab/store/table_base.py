"""What all tables of the run database share: the base class, the names of their constraints, columns of JSON.

Called by `tables` and `user_tables` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import JSON, Column, MetaData
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(SQLModel, registry=registry(metadata=MetaData(naming_convention=CONVENTION))):
    """Base of all tables; its `metadata` is ours alone."""


def json_column(*, nullable: bool = False, made: Callable[[], Any] | None = None) -> Any:
    """made: what a new row has by default."""
    column = Column(JSON, nullable=nullable)
    return Field(default_factory=made, sa_column=column) if made else Field(default=None, sa_column=column)
