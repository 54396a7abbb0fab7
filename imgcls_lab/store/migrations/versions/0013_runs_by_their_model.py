"""How many runs began with a model is counted for the list of models. Revision 0013."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_runs_model_flavour_archived"), "runs", ["model_flavour", "archived"])


def downgrade() -> None:
    op.drop_index(op.f("ix_runs_model_flavour_archived"), table_name="runs")
