"""Owners, members of projects, limits of users, and the record of who did what. Revision 0007.

A SQLite file is readable by one user alone, so all that it holds is this user's. The rows of a server, which several
users may have written, name nobody: they stay without an owner, and everybody may change them as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from imgcls_lab.identity import user_name

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OWNED = ("runs", "projects", "configs", "datasets", "models")
DEFAULT_PROJECT = "default"  # everybody's
_SORTED = ["project_id", "state", "number", "name", "lr", "batch_size", "kind", "started_at", "ended_at"]


def upgrade() -> None:
    for table in OWNED:
        op.add_column(table, sa.Column("owner", sa.String(), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("view_only", sa.Boolean(), nullable=False, server_default=sa.false()))
    if op.get_bind().dialect.name == "sqlite":
        for table in OWNED:
            rows = sa.table(table, sa.column("owner"), sa.column("name"))
            update = rows.update().values(owner=user_name())
            op.execute(update.where(rows.c.name != DEFAULT_PROJECT) if table == "projects" else update)
    op.drop_index("ix_runs_sorted", "runs")
    op.create_index("ix_runs_sorted", "runs", [*_SORTED, "owner"])
    op.create_index("ix_runs_owner_state_project_id", "runs", ["owner", "state", "project_id"])
    _create_tables()


def _create_tables() -> None:
    op.create_table(
        "project_members",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_project_members_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "user", name=op.f("pk_project_members")),
    )
    op.create_table(
        "users",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("max_devices", sa.Integer(), nullable=True),
        sa.Column("max_disk_gb", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("subject_name", sa.String(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_events_kind_subject_id", "audit_events", ["kind", "subject_id"])
    op.create_index("ix_audit_events_time", "audit_events", ["time"])
    op.create_index("ix_audit_events_user", "audit_events", ["user"])


def downgrade() -> None:
    for table in ("audit_events", "users", "project_members"):
        op.drop_table(table)
    op.drop_index("ix_runs_owner_state_project_id", "runs")
    op.drop_index("ix_runs_sorted", "runs")
    op.drop_column("runs", "view_only")
    for table in OWNED:
        op.drop_column(table, "owner")
    op.create_index("ix_runs_sorted", "runs", _SORTED)
