"""New SQLite databases of the tests: the first of a process is migrated, the others are copies of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection

from imgcls_lab.store import migrations
from imgcls_lab.store.database import Database

Upgrade = Callable[..., None]


def copying(upgrade: Upgrade, template: Path) -> Upgrade:
    """`migrations._upgrade`, which fills an empty database by a copy of the first one that it was called for."""

    def upgraded(database: Database, to: str = "head") -> None:
        if not database.is_sqlite or to != "head" or migrations.current(database) is not None:
            upgrade(database, to)
        elif template.exists():
            with database.engine.connect() as connection, sqlite3.connect(template) as source:
                source.backup(_sqlite(connection))
        else:
            upgrade(database, to)
            with database.engine.connect() as connection, sqlite3.connect(template) as target:
                _sqlite(connection).backup(target)

    return upgraded


def _sqlite(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
