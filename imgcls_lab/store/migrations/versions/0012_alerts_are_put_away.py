"""A user puts alerts away. Revision 0012."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alert_dismissals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("alert_id", sa.String(), nullable=False),
        sa.Column("dismissed", sa.Boolean(), nullable=False),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_alert_dismissals_alert_id_alerts"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_dismissals")),
        sa.UniqueConstraint("user", "alert_id", name=op.f("uq_alert_dismissals_user_alert_id")),
    )
    op.create_index("ix_alert_dismissals_alert_id", "alert_dismissals", ["alert_id"])
    op.create_index("ix_alert_dismissals_change", "alert_dismissals", ["change"])


def downgrade() -> None:
    op.drop_table("alert_dismissals")
