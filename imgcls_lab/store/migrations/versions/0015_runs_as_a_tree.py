"""Forks: the tree that a run belongs to, where it left its parent, and the curve that it has from it. Revision 0015."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("lineage", sa.String(), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("fork_step", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("fork_epoch", sa.Float(), nullable=True))
    op.create_index("ix_runs_lineage", "runs", ["lineage"])
    op.create_table(
        "inherited_metrics",
        sa.Column("run_number", sa.Integer(), nullable=False),
        sa.Column("tag_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Float(), nullable=False),
        sa.Column("time", sa.Float(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["run_number"], ["runs.number"], name=op.f("fk_inherited_metrics_run_number_runs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name=op.f("fk_inherited_metrics_tag_id_tags")),
        sa.PrimaryKeyConstraint("run_number", "tag_id", "step", name=op.f("pk_inherited_metrics")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("inherited_metrics")
    op.drop_index("ix_runs_lineage", "runs")
    op.drop_column("runs", "fork_epoch")
    op.drop_column("runs", "fork_step")
    op.drop_column("runs", "lineage")
