"""Revisions of the run database, and the functions that apply them. Called by `Store.open` and `imgcls-lab db`."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from imgcls_lab.errors import RevisionError, StoreError
from imgcls_lab.store.backups import backup, default_name
from imgcls_lab.store.database import Database

log = logging.getLogger(__name__)

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
    """Raises RevisionError, with the remedy, unless the database is of this program's revision."""
    found = current(database)
    if found == head():
        return
    if found is None:
        raise RevisionError(f"The run database {database.shown} has no tables yet; run `imgcls-lab db migrate`.")
    if not _known(found):
        raise RevisionError(
            f"The run database {database.shown} was written by a newer imgcls-lab (revision {found}, this one knows "
            f"{head()}); upgrade imgcls-lab here."
        )
    raise RevisionError(
        f"The run database {database.shown} is of revision {found} and this imgcls-lab needs {head()}; "
        "run `imgcls-lab db migrate`."
    )


def migrate(database: Database, backups: Path) -> bool:
    """Bring the database to this program's revision; False when it is there already.

    Under a lock, so that a server and a command started together do it once. What holds data is copied into
    `backups` first; on PostgreSQL, where a migration happens as a whole or not at all, only if `pg_dump` can.
    Raises StoreError for a database of a newer program.
    """
    if current(database) == head():
        return False
    with _lock(database):
        found = current(database)
        if found == head():
            return False
        if found is not None and not _known(found):
            check_revision(database)
        if found is not None:
            _copy(database, backups, found)
        _upgrade(database)
    return True


def _copy(database: Database, backups: Path, revision: str) -> None:
    try:
        backup(database, backups / f"{default_name(database, revision)}")
    except StoreError as error:
        if database.is_sqlite:
            raise
        log.warning("No backup was made before the migration: %s", error)


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


@lru_cache(maxsize=1)
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
