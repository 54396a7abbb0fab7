"""What a look at a data set's folder had to say, and the files that it did not take. Revision 0005."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("notes", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("datasets", sa.Column("not_taken", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("datasets", "not_taken")
    op.drop_column("datasets", "notes")
