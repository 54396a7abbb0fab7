"""What the tests of `db rebuild` compare: all rows of a database, as a person would tell them apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select

from imgcls_lab.events import LIVE
from imgcls_lab.store import Store
from imgcls_lab.store.tables import Tag, metadata

Rows = dict[str, dict[tuple[Any, ...], dict[str, Any]]]

# What a rebuild from nothing cannot know, and does not make up. Keys that the database makes for itself are no facts.
PRESENT = {"executors", "devices", "homes"}  # a living executor, or the rebuild, says what there is, not what was
# A deleted run has no folder; no folder says who did what, or what a user has used and may use.
GONE = {"deleted_runs", "counters", "audit_events", "users"}
OWN_KEYS = {"tags": {"id"}, "artifacts": {"id"}, "runs": {"change"}}  # `change`: the order of news for open pages
WHILE_IT_WAITS = {"message", "revision", "updated_at"}  # for what it waits, the executor says again
WHILE_IT_LIVES = {"revision", "updated_at"}  # they move with every point


def dump(store: Store) -> Rows:
    """All tables, each row by its key; a tag is its name."""
    found: Rows = {}
    with store.database.read() as session:
        names = dict(session.execute(select(Tag.__table__.c.id, Tag.__table__.c.name)).all())
        for table in metadata.sorted_tables:
            rows = [dict(row) for row in session.execute(select(table)).mappings()]
            for row in rows:
                if "tag_id" in row:
                    row["tag_id"] = names[row["tag_id"]]
            keys = [column.name for column in table.primary_key]
            if table.name == "tags":
                keys = ["name"]
            if table.name == "artifacts":
                keys = ["run_id", "kind", "name"]
            found[table.name] = {tuple(row[key] for key in keys): row for row in rows}
    return found


def knowable(found: Rows) -> Rows:
    """Without what a rebuild from nothing cannot know."""
    kept: Rows = {}
    for name, rows in found.items():
        if name in PRESENT | GONE:
            continue
        kept[name] = {}
        for key, row in rows.items():
            hidden = set(OWN_KEYS.get(name, ()))
            if name == "runs":
                hidden |= WHILE_IT_WAITS if row["state"] == "queued" else set()
                hidden |= WHILE_IT_LIVES if row["state"] in set(LIVE) else set()
            if name == "run_counts" and row["count"] == 0:
                continue
            kept[name][key] = {column: value for column, value in row.items() if column not in hidden}
    return kept


def differences(before: Rows, after: Rows) -> list[str]:
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name, {}), after.get(name, {})
        for key in sorted(old.keys() | new.keys(), key=str):
            if key not in old or key not in new:
                found.append(f"{name} {key}: {'new' if key not in old else 'gone'}: {old.get(key) or new.get(key)}")
                continue
            changed = {
                column: (old[key][column], new[key].get(column))
                for column in old[key]
                if old[key][column] != new[key].get(column)
            }
            if changed:
                found.append(f"{name} {key}: {changed}")
    return found


def count(rows: Rows) -> int:
    return sum(map(len, rows.values()))


def told(what: str, before: Rows, after: Rows) -> list[str]:
    """Print the figure beside its target; the rows that differ."""
    found = differences(before, after)
    print(f"\n{what}: {count(before)} rows compared, {len(found)} different (target: 0)", *found, sep="\n  ")
    return found


def states(rows: Rows) -> Iterable[str]:
    return sorted(row["state"] for row in rows["runs"].values())
