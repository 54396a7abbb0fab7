"""Long lists: one index that holds what they are sorted by, and runs counted as they change. Revision 0004.

The counts are kept by triggers, so that no statement can forget them. A later revision that has SQLite make `runs`
anew (alembic's batch mode) must make its triggers anew, too.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = ["project_id", "state", "number", "name", "lr", "batch_size", "kind", "started_at", "ended_at"]
_ADD = (
    "INSERT INTO run_counts (project_id, state, count) VALUES (NEW.project_id, NEW.state, 1) "
    "ON CONFLICT (project_id, state) DO UPDATE SET count = run_counts.count + 1;"
)
_TAKE = "UPDATE run_counts SET count = count - 1 WHERE project_id = OLD.project_id AND state = OLD.state;"
_SQLITE = {
    "runs_counted_insert": f"AFTER INSERT ON runs BEGIN {_ADD} END",
    "runs_counted_delete": f"AFTER DELETE ON runs BEGIN {_TAKE} END",
    "runs_counted_update": f"AFTER UPDATE OF state, project_id ON runs BEGIN {_TAKE} {_ADD} END",
}
# Deferred: at the commit every transaction that changed a run holds the row of the counter of changes, so that two
# never wait for each other's counts in turn.
_POSTGRES = (
    "CREATE FUNCTION imgcls_count_runs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    f"IF TG_OP <> 'INSERT' THEN {_TAKE} END IF; IF TG_OP <> 'DELETE' THEN {_ADD} END IF; RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER runs_counted AFTER INSERT OR DELETE OR UPDATE OF state, project_id ON runs "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION imgcls_count_runs()",
)


def upgrade() -> None:
    op.drop_index("ix_runs_project_id_state", "runs")
    op.create_index("ix_runs_sorted", "runs", _COLUMNS)
    op.create_table(
        "run_counts",
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_run_counts_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "state", name=op.f("pk_run_counts")),
    )
    op.execute(
        "INSERT INTO run_counts (project_id, state, count) "
        "SELECT project_id, state, count(*) FROM runs GROUP BY project_id, state"
    )
    if op.get_bind().dialect.name == "sqlite":
        for name, what in _SQLITE.items():
            op.execute(f"CREATE TRIGGER {name} {what}")
    else:
        for statement in _POSTGRES:
            op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name in _SQLITE:
            op.execute(f"DROP TRIGGER {name}")
    else:
        op.execute("DROP TRIGGER runs_counted ON runs")
        op.execute("DROP FUNCTION imgcls_count_runs()")
    op.drop_table("run_counts")
    op.drop_index("ix_runs_sorted", "runs")
    op.create_index("ix_runs_project_id_state", "runs", ["project_id", "state"])
