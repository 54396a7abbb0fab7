"""Saved configs have versions: a save under the same name keeps what was there. Revision 0014."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "config_versions",
        sa.Column("config_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["config_id"], ["configs.id"], name=op.f("fk_config_versions_config_id_configs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("config_id", "number", name=op.f("pk_config_versions")),
    )
    op.execute(
        "INSERT INTO config_versions (config_id, number, author, created_at, config) "
        "SELECT id, 1, owner, updated_at, config FROM configs"
    )


def downgrade() -> None:
    op.drop_table("config_versions")
