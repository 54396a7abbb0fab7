"""Revisions of the run database, and the functions that apply them. Called by `Store.open` and `imgcls-lab db`.

Alembic is imported by who migrates alone: server and daemon, which look at the revision, do without its 10 MB.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from imgcls_lab.errors import RevisionError, StoreError
from imgcls_lab.store.backups import backup, default_name
from imgcls_lab.store.database import Database

log = logging.getLogger(__name__)

VERSION_TABLE = "imgcls_version"
_LOCK_KEY = 0x696D67636C73  # "imgcls", for PostgreSQL's advisory lock


def head() -> str:
    """The revision this program works with."""
    return _revisions()[-1]


def current(database: Database) -> str | None:
    """The revision the database is of; None when it is empty."""
    with database.read() as session:
        if not inspect(session.connection()).has_table(VERSION_TABLE):
            return None
        found: str | None = session.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608
        return found


def check_revision(database: Database) -> None:
    """Raises RevisionError, with the remedy, unless the database is of this program's revision.

    An empty one is a StoreError alone: its tables may be on their way, as while a deleted database is made anew.
    """
    found = current(database)
    if found == head():
        return
    if found is None:
        raise StoreError(f"The run database {database.shown} has no tables yet; run `imgcls-lab db migrate`.")
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
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
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


@lru_cache(maxsize=1)
def _revisions() -> tuple[str, ...]:
    """All revisions, oldest first: each names its file, as `0001_the_first_tables.py`."""
    files = (Path(__file__).parent / "versions").glob("[0-9]*_*.py")
    return tuple(sorted(path.name.partition("_")[0] for path in files))


def _known(revision: str) -> bool:
    return revision in _revisions()


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
