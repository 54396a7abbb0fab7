"""Corrections of data sets as revisions, the revision that a run trained on, and the newest audit. Revision 0009."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COUNTS = ("files", "relabelled", "excluded", "restored", "total")


def upgrade() -> None:
    op.add_column("datasets", sa.Column("audit_run_id", sa.String(), nullable=True))
    op.add_column("datasets", sa.Column("scanned_at", sa.Float(), nullable=True))
    op.add_column("runs", sa.Column("data_revision", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("data_revision_digest", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "dataset_revisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("parent", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in _COUNTS),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=op.f("fk_dataset_revisions_dataset_id_datasets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_revisions")),
        sa.UniqueConstraint("dataset_id", "number", name=op.f("uq_dataset_revisions_dataset_id_number")),
    )


def downgrade() -> None:
    op.drop_table("dataset_revisions")
    for table, name in (
        ("runs", "data_revision_digest"),
        ("runs", "data_revision"),
        ("datasets", "scanned_at"),
        ("datasets", "audit_run_id"),
    ):
        op.drop_column(table, name)
