"""Long curves kept thinned, and indexes for long lists. Revision 0003."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LISTS = {
    "ix_runs_state_host_wanted": ["state", "host_wanted"],
    "ix_runs_external_state": ["external", "state"],
    "ix_runs_project_id_state": ["project_id", "state"],
    "ix_runs_best": ["best_value", "number", "state", "project_id"],
}


def upgrade() -> None:
    op.create_table(
        "thinned_metrics",
        sa.Column("run_number", sa.Integer(), nullable=False),
        sa.Column("tag_id", sa.Integer(), nullable=False),
        sa.Column("factor", sa.Integer(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Float(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_thinned_metrics_run_number_runs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_thinned_metrics_tag_id_tags")),
        sa.PrimaryKeyConstraint("run_number", "tag_id", "factor", "step", name=op.f("pk_thinned_metrics")),
        sqlite_with_rowid=False,
    )
    op.drop_index("ix_runs_queue", "runs")
    op.create_index("ix_runs_queue", "runs", ["state", sa.text("priority DESC"), "queued_at", "number"])
    for name, columns in _LISTS.items():
        op.create_index(name, "runs", columns)


def downgrade() -> None:
    for name in _LISTS:
        op.drop_index(name, "runs")
    op.drop_index("ix_runs_queue", "runs")
    op.create_index("ix_runs_queue", "runs", ["state", "priority", "queued_at", "number"])
    op.drop_table("thinned_metrics")
