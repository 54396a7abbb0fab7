"""A filled database of revision 0005: the rows that the version of that day wrote, on SQLite or PostgreSQL.

`filled_0005.json` holds every row of a home in which runs finished, failed, were stopped, were cancelled and wait, with
sweeps, a notebook run, trainings of plain Python processes, registries and alerts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, Table, inspect, text

from imgcls_lab.settings import Settings
from imgcls_lab.store import database as db
from imgcls_lab.store import migrations

REVISION = "0005"
HOME = "/home/anna/imgcls-lab/home-of-0005"  # as the rows and the files in the folders name it
PYTHON = "/home/anna/venv/bin/python"
HOST = "host-of-0005"

Rows = dict[str, list[dict[str, Any]]]


def read(**now: str) -> Rows:
    """The rows by table. now: by a name of this module, such as HOME, what stands there instead."""
    found: Rows = json.loads(as_of_now((Path(__file__).parent / "filled_0005.json").read_text(encoding="utf-8"), now))
    return found


def as_of_now(text: str, now: Mapping[str, str]) -> str:
    """JSON of that day with what it says of the machine as `now` has it."""
    for name, value in now.items():
        text = text.replace(globals()[name], json.dumps(value)[1:-1])
    return text


def fill(settings: Settings, rows: Rows) -> None:
    """Make a database of that revision which holds these rows and no others."""
    settings.make_home()
    database = db.Database(settings.db_url)
    migrations._upgrade(database, REVISION)
    tables = MetaData()
    with database.connection() as connection:
        tables.reflect(connection, only=list(rows))
        for table in reversed(tables.sorted_tables):
            connection.execute(table.delete())
        for table in tables.sorted_tables:
            if table.name != "run_counts" and rows[table.name]:
                connection.execute(table.insert(), rows[table.name])
        if not database.is_sqlite:
            for table in tables.sorted_tables:
                _number_after(connection, table)
    counts = tables.tables["run_counts"]
    with database.connection() as connection:  # triggers have counted the runs, on PostgreSQL at the commit
        connection.execute(counts.delete())
        connection.execute(counts.insert(), rows[counts.name])
    database.close()


def _number_after(connection: Connection, table: Table) -> None:
    """Let PostgreSQL number the next row after those that stand there."""
    key = next(column.name for column in table.primary_key)
    asked = text("SELECT pg_get_serial_sequence(:table, :key)")
    name = connection.execute(asked, {"table": table.name, "key": key}).scalar()
    if name:
        connection.execute(text(f"SELECT setval('{name}', (SELECT coalesce(max({key}), 0) + 1 FROM {table.name}))"))


def stored(settings: Settings) -> Rows:
    """All rows as the database has them now, whatever its columns are called."""
    database = db.Database(settings.db_url)
    tables = MetaData()
    with database.connection() as connection:
        names = inspect(connection).get_table_names()
        tables.reflect(connection, only=[name for name in names if name != migrations.VERSION_TABLE])
        found = {
            table.name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for table in tables.sorted_tables
        }
    database.close()
    return found


def in_order(rows: Rows) -> Rows:
    """Each table's rows in one order, since a database has none."""
    return {name: sorted(found, key=lambda row: json.dumps(row, sort_keys=True)) for name, found in rows.items()}
