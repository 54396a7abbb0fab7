"""With how many GPUs a run may start, and on how many nodes it runs. Revision 0010."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("min_gpus", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("requested_nodes", sa.Integer(), nullable=False, server_default="1"))


def downgrade() -> None:
    op.drop_column("runs", "requested_nodes")
    op.drop_column("runs", "min_gpus")
