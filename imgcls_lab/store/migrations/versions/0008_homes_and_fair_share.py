"""Several homes on one database, and what each user has had of the devices. Revision 0008.

The home of a run is not known here: `homes.place_runs` writes it as soon as a home opens the database.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NUMBERS = ("usage", "usage_runs", "usage_at", "held_until")


def upgrade() -> None:
    for table in ("runs", "executors", "alerts", "deleted_runs"):
        op.add_column(table, sa.Column("home", sa.String(), nullable=False, server_default=""))
    op.add_column("executors", sa.Column("user", sa.String(), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("record_behind", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("deleted_runs", sa.Column("folder_left", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("users", sa.Column("admin", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in _NUMBERS:
        op.add_column("users", sa.Column(name, sa.Float(), nullable=False, server_default="0"))
    op.drop_index("ix_runs_queue", "runs")
    op.create_index(
        "ix_runs_queue", "runs", ["state", "home", "owner", sa.text("priority DESC"), "queued_at", "number"]
    )
    behind = sa.text("record_behind")
    op.create_index("ix_runs_record_behind", "runs", ["home"], sqlite_where=behind, postgresql_where=behind)
    op.create_table(
        "homes",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("run_bytes", sa.BigInteger(), nullable=True),
        sa.Column("counted_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_homes")),
    )
    _make_devices_anew(sa.Column("home", sa.String(), nullable=False), home="")


def downgrade() -> None:
    _make_devices_anew()
    op.drop_table("homes")
    op.drop_index("ix_runs_record_behind", "runs")
    op.drop_index("ix_runs_queue", "runs")
    op.create_index("ix_runs_queue", "runs", ["state", sa.text("priority DESC"), "queued_at", "number"])
    for name in ("admin", *_NUMBERS):
        op.drop_column("users", name)
    for table, name in (("deleted_runs", "folder_left"), ("runs", "record_behind"), ("executors", "user")):
        op.drop_column(table, name)
    for table in ("runs", "executors", "alerts", "deleted_runs"):
        op.drop_column(table, "home")


def _make_devices_anew(*columns: sa.Column[str], **values: str) -> None:
    """The table of devices with other columns in its key, which SQLite cannot change; its few rows as they were."""
    names = [column.name for column in _devices() if not isinstance(column, sa.Constraint)]
    before = sa.table("devices", *(sa.column(name) for name in names if name != "gpu_processes"))
    before.append_column(sa.column("gpu_processes", sa.JSON))
    rows = [{**row, **values} for row in op.get_bind().execute(before.select()).mappings()]
    op.drop_table("devices")
    devices = op.create_table("devices", *_devices(*columns))
    if rows:
        op.bulk_insert(devices, rows)


def _devices(*columns: sa.Column[str]) -> list[Any]:
    return [
        sa.Column("host", sa.String(), nullable=False),
        *columns,
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("uuid", sa.String(), nullable=False),
        sa.Column("memory_total", sa.BigInteger(), nullable=True),
        sa.Column("memory_used", sa.BigInteger(), nullable=True),
        sa.Column("utilisation", sa.Float(), nullable=True),
        sa.Column("held_by", sa.String(), nullable=True),
        sa.Column("gpu_processes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("host", *(column.name for column in columns), "name", name=op.f("pk_devices")),
    ]
