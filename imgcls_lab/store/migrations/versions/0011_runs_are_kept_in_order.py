"""Runs have tags and a size, are archived, and are told apart from their repetitions; saved views. Revision 0011.

`repetition` is the hash of what a config says of the result, without its seed, as `run_rows.repetition_of` makes it. A
copy of that stands here, since a revision stays as it was written.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_AT_ONCE = 500  # runs in one statement
_CHANGE_NO_RESULT = {
    "abstain_error", "cache", "checkpoint_every_minutes", "ckpt_dir", "eval_batch_size", "keep_best", "keep_last",
    "log_every", "log_indices", "min_processes", "num_nodes", "num_workers", "save_every_epochs", "tb_root",
    "tensorboard_evaluation", "tensorboard_graph", "tensorboard_histograms",
}  # fmt: skip
_BEFORE = ["project_id", "state", "number", "name", "lr", "batch_size", "kind", "started_at", "ended_at", "owner"]
_BEST_BEFORE = ["best_value", "number", "state", "project_id"]
_COUNTED = ("project_id", "state")


def upgrade() -> None:
    for name, kind, default in (
        ("tags", sa.JSON(), "[]"),
        ("archived", sa.Boolean(), sa.false()),
        ("best_values", sa.JSON(), "{}"),
        ("repetition", sa.String(), ""),
    ):
        op.add_column("runs", sa.Column(name, kind, nullable=False, server_default=default))
    op.add_column("runs", sa.Column("size", sa.BigInteger(), nullable=True))
    _note_repetitions()
    op.create_index("ix_runs_repetition", "runs", ["repetition"])
    _index([*_BEFORE, "archived", "size"], [*_BEST_BEFORE, "archived"])
    _count_by((*_COUNTED, "archived"))
    op.create_table(
        "saved_views",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("view", sa.JSON(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint("owner", "name", name=op.f("uq_saved_views_owner_name")),
    )


def downgrade() -> None:
    op.drop_table("saved_views")
    _count_by(_COUNTED)
    _index(_BEFORE, _BEST_BEFORE)
    op.drop_index("ix_runs_repetition", "runs")
    for name in ("size", "repetition", "best_values", "archived", "tags"):
        op.drop_column("runs", name)


def _note_repetitions() -> None:
    connection = op.get_bind()
    runs = sa.table("runs", sa.column("number", sa.Integer), sa.column("config", sa.JSON), sa.column("repetition"))
    last = 0
    while True:
        asked = sa.select(runs.c.number, runs.c.config).where(runs.c.number > last).order_by(runs.c.number)
        found = connection.execute(asked.limit(_AT_ONCE)).all()
        if not found:
            return
        last = found[-1].number
        values = [{"of": row.number, "hash": _hash(row.config)} for row in found if row.config]
        if values:
            mine = sa.update(runs).where(runs.c.number == sa.bindparam("of"))
            connection.execute(mine.values(repetition=sa.bindparam("hash")), values)


def _hash(config: dict[str, Any]) -> str:
    kept = {name: value for name, value in config.items() if name not in _CHANGE_NO_RESULT | {"seed"}}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _index(by_any: list[str], by_best: list[str]) -> None:
    for name, columns in (("ix_runs_sorted", by_any), ("ix_runs_best", by_best)):
        op.drop_index(name, "runs")
        op.create_index(name, "runs", columns)


def _count_by(columns: tuple[str, ...]) -> None:
    """Make the table of counts and its triggers anew; they hold nothing that the runs do not say."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for name in ("runs_counted_insert", "runs_counted_delete", "runs_counted_update") if sqlite else ():
        op.execute(f"DROP TRIGGER {name}")
    if not sqlite:
        op.execute("DROP TRIGGER runs_counted ON runs")
        op.execute("DROP FUNCTION imgcls_count_runs()")
    op.drop_table("run_counts")
    kinds: dict[str, Any] = {"project_id": sa.Integer(), "state": sa.String(), "archived": sa.Boolean()}
    op.create_table(
        "run_counts",
        *(sa.Column(name, kinds[name], nullable=False) for name in columns),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_run_counts_project_id_projects"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(*columns, name=op.f("pk_run_counts")),
    )
    names = ", ".join(columns)
    op.execute(f"INSERT INTO run_counts ({names}, count) SELECT {names}, count(*) FROM runs GROUP BY {names}")  # noqa: S608
    new, same = (", ".join(f"NEW.{name}" for name in columns), " AND ".join(f"{name} = OLD.{name}" for name in columns))
    add = (
        f"INSERT INTO run_counts ({names}, count) VALUES ({new}, 1) "  # noqa: S608
        f"ON CONFLICT ({names}) DO UPDATE SET count = run_counts.count + 1;"
    )
    take = f"UPDATE run_counts SET count = count - 1 WHERE {same};"  # noqa: S608
    if sqlite:
        op.execute(f"CREATE TRIGGER runs_counted_insert AFTER INSERT ON runs BEGIN {add} END")
        op.execute(f"CREATE TRIGGER runs_counted_delete AFTER DELETE ON runs BEGIN {take} END")
        op.execute(f"CREATE TRIGGER runs_counted_update AFTER UPDATE OF {names} ON runs BEGIN {take} {add} END")
        return
    op.execute(
        "CREATE FUNCTION imgcls_count_runs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP <> 'INSERT' THEN {take} END IF; IF TG_OP <> 'DELETE' THEN {add} END IF; RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE CONSTRAINT TRIGGER runs_counted AFTER INSERT OR DELETE OR UPDATE OF {names} ON runs "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION imgcls_count_runs()"
    )
