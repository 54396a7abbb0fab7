"""An index from which the table of runs is folded, without the rows and their configs. Revision 0017."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_LISTED = [
    *("created_at", "number", "archived", "project_id", "state", "owner", "kind", "id", "parent_id", "repetition"),
    *("lineage", "name", "lr", "batch_size", "best_value"),
]


def upgrade() -> None:
    op.create_index("ix_runs_listed", "runs", _LISTED)
    op.drop_index("ix_runs_created_at", "runs")  # the other one begins with it


def downgrade() -> None:
    op.create_index("ix_runs_created_at", "runs", ["created_at"])
    op.drop_index("ix_runs_listed", "runs")
