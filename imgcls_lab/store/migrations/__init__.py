"""Revisions of the run database, and the functions that apply them. Called by `Store.open` and `imgcls-lab db`."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from imgcls_lab.errors import StoreError
from imgcls_lab.store.database import Database

VERSION_TABLE = "imgcls_version"
_LOCK_KEY = 0x696D67636C73  # "imgcls", for PostgreSQL's advisory lock


def head() -> str:
    """The revision this program works with."""
    revision = _scripts().get_current_head()
    if revision is None:
        raise RuntimeError("The package holds no revision.")
    return revision


def current(database: Database) -> str | None:
    """The revision the database is of; None when it is empty."""
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()


def check_revision(database: Database) -> None:
    """Raises StoreError, with the remedy, unless the database is of this program's revision."""
    found = current(database)
    if found == head():
        return
    if found is None:
        raise StoreError(f"The run database {database.shown} has no tables yet; run `imgcls-lab db migrate`.")
    if not _known(found):
        raise StoreError(
            f"The run database {database.shown} was written by a newer imgcls-lab (revision {found}, this one knows "
            f"{head()}); upgrade imgcls-lab here."
        )
    raise StoreError(
        f"The run database {database.shown} is of revision {found} and this imgcls-lab needs {head()}; "
        "run `imgcls-lab db migrate`."
    )


def migrate(database: Database, backups: Path) -> bool:
    """Bring the database to this program's revision; False when it is there already.

    Under a lock, so that a server and a command started together do it once. A SQLite file that holds data is
    copied into `backups` first. Raises StoreError for a database of a newer program.
    """
    if current(database) == head():
        return False
    with _lock(database):
        found = current(database)
        if found == head():
            return False
        if found is not None and not _known(found):
            check_revision(database)
        if found is not None and database.is_sqlite:
            backup(database, backups / f"imgcls-{found}-{time.strftime('%Y%m%d-%H%M%S')}.db")
        _upgrade(database)
    return True


def backup(database: Database, target: Path) -> Path:
    """Copy a SQLite database, as of one moment, while it is in use. Raises StoreError on PostgreSQL."""
    import sqlite3

    source_file = database.file
    if target.exists():
        raise StoreError(f"{target} exists already; name another file for the backup.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    source, copy = sqlite3.connect(source_file, timeout=30), sqlite3.connect(target)
    try:
        source.backup(copy)
    except sqlite3.Error as error:
        target.unlink(missing_ok=True)
        raise StoreError(f"The backup to {target} failed: {error}. Check the disk and try again.") from error
    finally:
        copy.close()
        source.close()
    return target


def _upgrade(database: Database, to: str = "head") -> None:
    config = _config()
    with database.engine.connect() as connection:
        if database.is_sqlite:
            # batch mode recreates tables that others refer to; the pragma works outside a transaction only
            _driver(connection).execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                config.attributes["connection"] = connection
                command.upgrade(config, to)
        finally:
            if database.is_sqlite:
                _driver(connection).execute("PRAGMA foreign_keys=ON")


def _driver(connection: Connection):  # type: ignore[no-untyped-def]
    return connection.connection.driver_connection.cursor()  # type: ignore[union-attr]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _known(revision: str) -> bool:
    return any(script.revision == revision for script in _scripts().walk_revisions())


@contextmanager
def _lock(database: Database) -> Iterator[None]:
    if not database.is_sqlite:
        with database.engine.connect() as connection:
            connection.execute(text(f"SELECT pg_advisory_lock({_LOCK_KEY})"))
            try:
                yield
            finally:
                connection.execute(text(f"SELECT pg_advisory_unlock({_LOCK_KEY})"))
        return
    path = database.file.with_name(database.file.name + ".migrate.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
