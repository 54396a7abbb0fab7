"""Alembic's entry: runs the revisions on the connection that `migrations.migrate` hands over. Never run alone."""

from __future__ import annotations

from typing import Any

from alembic import context

from imgcls_lab.store.migrations import VERSION_TABLE
from imgcls_lab.store.tables import metadata


def ours(_item: Any, name: str | None, kind: str, _reflected: bool, _compare: Any) -> bool:
    """Leave alone what other programs keep in the same database."""
    return kind != "table" or name in metadata.tables


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_object=ours,
    render_as_batch=True,
    transaction_per_migration=False,
)
context.run_migrations()
