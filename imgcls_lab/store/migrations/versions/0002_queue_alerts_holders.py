"""What a run asks for and waits for, limits of projects, alerts, and who else holds a device. Revision 0002."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # columns with a default are added in place: no table is copied, however long it is
    op.add_column("runs", sa.Column("payload", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("runs", sa.Column("device_wanted", sa.String(), nullable=False, server_default="auto"))
    op.add_column("runs", sa.Column("gpus_wanted", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("runs", sa.Column("host_wanted", sa.String(), nullable=True))
    op.add_column("projects", sa.Column("max_running", sa.Integer(), nullable=True))
    op.add_column("devices", sa.Column("holders", sa.JSON(), nullable=False, server_default="[]"))
    _keep_devices()
    op.create_table(
        "dependencies",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("after_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_dependencies_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "after_id", name=op.f("pk_dependencies")),
    )
    op.create_index(op.f("ix_dependencies_after_id"), "dependencies", ["after_id"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("run_id", sa.String(), nullable=True),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("hook", sa.String(), nullable=True),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_alerts_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_run_id"), "alerts", ["run_id"], unique=False)
    op.create_index(op.f("ix_alerts_change"), "alerts", ["change"], unique=False)
    op.create_index(op.f("ix_alerts_hook"), "alerts", ["hook"], unique=False)


def _keep_devices() -> None:
    """Runs that wait already go on to ask for the device of their config."""
    runs = sa.table("runs", sa.column("id", sa.String()), sa.column("config", sa.JSON()), sa.column("device_wanted"))
    connection = op.get_bind()
    waiting = sa.text("SELECT id FROM runs WHERE state IN ('queued', 'stopped', 'failed', 'starting', 'running')")
    for (run_id,) in connection.execute(waiting).all():
        config = connection.execute(sa.select(runs.c.config).where(runs.c.id == run_id)).scalar_one() or {}
        device = str(config.get("device", "auto"))
        if device != "auto":
            connection.execute(sa.update(runs).where(runs.c.id == run_id).values(device_wanted=device))


def downgrade() -> None:
    op.drop_table("alerts")
    op.drop_table("dependencies")
    for table, column in (
        ("devices", "holders"), ("projects", "max_running"), ("runs", "host_wanted"), ("runs", "gpus_wanted"),
        ("runs", "device_wanted"), ("runs", "payload"),
    ):  # fmt: skip
        op.drop_column(table, column)
