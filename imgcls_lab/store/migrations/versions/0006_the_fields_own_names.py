"""Columns and fields of configs get the usual words. Revision 0006.

Columns are renamed where they stand. The JSON of saved configs, of runs' configs and of what a sweep was asked to do
is written anew, its values as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = {
    ("runs", "desired"): "desired_state",
    ("runs", "losses"): "lost_attempts",
    ("runs", "device_wanted"): "requested_device",
    ("runs", "gpus_wanted"): "requested_gpus",
    ("runs", "host_wanted"): "requested_host",
    ("alerts", "hook"): "webhook_state",
    ("datasets", "not_taken"): "skipped_files",
    ("devices", "holders"): "gpu_processes",
    ("executors", "beat"): "heartbeat",
    ("executors", "beat_at"): "heartbeat_at",
}
FIELDS = {
    "accumulate": "gradient_accumulation_steps",
    "board_evaluation": "tensorboard_evaluation",
    "board_graph": "tensorboard_graph",
    "board_histograms": "tensorboard_histograms",
    "decay_share": "decay_fraction",
    "early_stopping": "early_stopping_patience",
    "erase": "random_erasing",
    "processes": "num_processes",
    "workers": "num_workers",
}
_CHUNK = 500  # rows that are held at once


def upgrade() -> None:
    op.drop_index("ix_runs_state_host_wanted", "runs")
    op.drop_index("ix_alerts_hook", "alerts")
    _rename(COLUMNS)
    op.create_index("ix_runs_state_requested_host", "runs", ["state", "requested_host"])
    op.create_index("ix_alerts_webhook_state", "alerts", ["webhook_state"])
    _rewrite(FIELDS)


def downgrade() -> None:
    _rewrite({name: former for former, name in FIELDS.items()})
    op.drop_index("ix_runs_state_requested_host", "runs")
    op.drop_index("ix_alerts_webhook_state", "alerts")
    _rename({(table, name): former for (table, former), name in COLUMNS.items()})
    op.create_index("ix_runs_state_host_wanted", "runs", ["state", "host_wanted"])
    op.create_index("ix_alerts_hook", "alerts", ["hook"])


def _rename(columns: dict[tuple[str, str], str]) -> None:
    for (table, former), name in columns.items():
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {former} TO {name}")


def _rewrite(fields: dict[str, str]) -> None:
    def renamed(values: Any) -> Any:
        return {fields.get(name, name): value for name, value in values.items()} if isinstance(values, dict) else values

    def request(payload: Any) -> Any:
        asked = payload.get("request") if isinstance(payload, dict) else None
        if not isinstance(asked, dict) or asked.get("notebook"):  # the parameters of a notebook are its own
            return payload
        parts = {part: renamed(asked[part]) for part in ("base", "space") if part in asked}
        return {**payload, "request": {**asked, **parts}}

    for table, key, column, change in (
        ("configs", "id", "config", renamed),
        ("runs", "number", "config", renamed),
        ("runs", "number", "payload", request),
    ):
        rows = sa.table(table, sa.column(key, sa.Integer), sa.column(column, sa.JSON))
        update = rows.update().where(rows.c[key] == sa.bindparam("of")).values({column: sa.bindparam("new")})
        for chunk in _chunks(rows, key):
            news = [{"of": of, "new": change(old)} for of, old in chunk if change(old) != old]
            if news:
                op.get_bind().execute(update, news)


def _chunks(rows: sa.TableClause, key: str) -> Iterator[list[Any]]:
    """All rows in the order of their key, some at a time."""
    last = -1
    while (
        found := op.get_bind()
        .execute(sa.select(*rows.c).where(rows.c[key] > last).order_by(rows.c[key]).limit(_CHUNK))
        .fetchall()
    ):
        yield [tuple(row) for row in found]
        last = found[-1][0]
