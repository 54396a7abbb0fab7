"""The connection to the run database: engine, sessions, pragmas. Called by the store's modules; knows no run.

A write transaction on SQLite begins immediately: a deferred transaction that must be upgraded fails at once, whatever
the time-out. No connection crosses a fork. No message holds the password of a database URL.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import sqlite3
import stat
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, UnaryExpression, create_engine, event, make_url, update
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.operators import custom_op
from sqlmodel import Session, col

from imgcls_lab import private_folder
from imgcls_lab.errors import ForbiddenError, InputError, StoreError
from imgcls_lab.filesystems import network_filesystem
from imgcls_lab.store import audit
from imgcls_lab.store.folder_rows import FolderWriter, note_registry
from imgcls_lab.store.tables import Alert, AlertDismissal, Counter, DeletedRun, Run

log = logging.getLogger(__name__)

CACHE_KIB = 65_536  # of SQLite pages a connection keeps: the configs of some 15,000 runs, which a query looks through
BUSY_SECONDS = 30
LEAST_FREE = 2**18  # bytes of free disk below which a transaction may not fit
_POSTGRES = {"postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"}


def parse_url(text: str) -> URL:
    """The database URL with the driver this program has. A password in its query moves to the place that is hidden.

    Raises InputError.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # the second: a port that is no number
        raise InputError(
            "IMGCLS_DB_URL is not a database URL; write sqlite:////path/file.db or postgresql://user@host/name."
        ) from None
    password = url.query.get("password")
    if isinstance(password, str):
        url = url.difference_update_query(["password"])
        url = url if url.password else url.set(password=password)
    if url.drivername in _POSTGRES:
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in {"sqlite", "sqlite+pysqlite"} and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite")
    raise InputError(
        f"The run database cannot be {url.drivername!r}; use a SQLite file (sqlite:////path/file.db) or PostgreSQL."
    )


def _identity(file: Path) -> tuple[int, int] | None:
    """What distinguishes a file from another of the same name; None where there is no file."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite is free of the WAL-reset bug, which loses commits when several processes write."""
    return version > (3, 51, 2) or version in {(3, 44, 6), (3, 50, 7)}


class Database:
    """One engine, and transactions on it. `url` never shows its password when printed."""

    def __init__(self, url: str, actor: audit.Actor | None = None) -> None:
        """actor: who changes something through it; by default the user of this process, in Python."""
        self.url = parse_url(url)
        self.actor = actor or audit.Actor.current("python")
        self.audit_kept: int | None = None  # events of the record of who did what; None: all
        self.webhook_state: str | None = None  # how a new alert stands with the webhook: pending, where there is one
        self.home = ""  # id of the home whose program this is: `homes.py`
        self.folder_writer: FolderWriter | None = None  # writes what is to be committed into the folders
        self.is_sqlite = self.url.drivername == "sqlite"
        if self.is_sqlite:
            _prepare_file(self.file)
            # no pool limit that a busy server could wait on: SQLite serialises by itself
            self.engine = create_engine(
                self.url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, max_overflow=-1
            )
            event.listen(self.engine, "connect", _set_pragmas)
            event.listen(self.engine, "connect", self._note_file)
            event.listen(self.engine, "checkout", self._same_file)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            options = "-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s"
            self.engine = create_engine(
                self.url,
                pool_pre_ping=True,
                connect_args={
                    "connect_timeout": 10,
                    "options": options,
                    "application_name": "imgcls-lab",
                    "keepalives_idle": 10,
                    "keepalives_interval": 5,
                    "keepalives_count": 3,
                    "tcp_user_timeout": 20_000,
                },
            )
        self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ", imgcls_begin="DEFERRED")
        if self.is_sqlite:
            self._reader = self.engine.execution_options(imgcls_begin="DEFERRED")
        _forget_after_fork(self.engine)

    @property
    def file(self) -> Path:
        """The SQLite file. Raises StoreError on PostgreSQL, which has none."""
        if not self.is_sqlite:
            raise StoreError("This database is a PostgreSQL server; use its own tools, such as pg_dump.")
        return Path(str(self.url.database)).expanduser().absolute()

    def _note_file(self, _connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["file"] = _identity(self.file)

    def _same_file(self, _connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        """Open a connection anew when its file was replaced, as by a restore.

        A connection to a deleted file is kept: opening the file again would make an empty database.
        """
        found = _identity(self.file)
        if found is not None and found != record.info["file"]:
            raise DisconnectionError  # the pool then connects again

    @property
    def shown(self) -> str:
        return self.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing. Raises StoreError."""
        with self._translated(), Session(self._reader, autoflush=False) as session:
            session.info["actor"] = self.actor
            session.info["home"] = self.home
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A write transaction, committed when the block ends without an error. Raises StoreError.

        The counter of changes is increased last and stays locked until the commit. So its values appear in order, and a
        reader that remembers the highest value misses nothing. One transaction should touch few runs.

        Folders are written while the counter is locked, so that a folder holds the later of two changes. A process that
        dies before the commit leaves a folder that is one change ahead; the next change of the run corrects it.

        What was refused to a user (ForbiddenError) is recorded in a transaction of its own.
        """
        try:
            with self._transaction() as session:
                yield session
        except ForbiddenError as error:
            if isinstance(act := error.data.get("act"), audit.Act):
                with self._transaction() as session:
                    audit.record_refusal(session, act)
            raise

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        with self._translated(), Session(self.engine, expire_on_commit=False) as session:
            undo: Callable[[], None] | None = None
            event.listen(session, "after_flush", note_registry)
            try:
                session.info["home"] = self.home
                with session.begin():
                    session.info["webhook_state"] = self.webhook_state
                    session.info["actor"], session.info["audit_kept"] = self.actor, self.audit_kept
                    yield session
                    session.flush()
                    _count_changes(session)
                    undo = self.folder_writer.write(session) if self.folder_writer is not None else None
            except BaseException:
                if undo is not None:
                    undo()
                raise

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A bare connection in a write transaction: migrations."""
        with self._translated(), self.engine.begin() as connection:
            yield connection

    def full(self) -> str | None:
        """A sentence where the disk of a SQLite file is full, so that nothing new can be saved."""
        try:
            if not self.is_sqlite or shutil.disk_usage(self.file.parent).free >= LEAST_FREE:
                return None
        except OSError:
            return None
        return self._full

    @property
    def _full(self) -> str:
        return (
            f"The disk of the run database {self.shown} is full: no progress of runs is saved, and nothing can be "
            "queued. Free some space; runs go on."
        )

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError, InternalError) as error:  # the last: a session that the server ended
            raise StoreError(self._sentence(error)) from error

    def _sentence(self, error: DBAPIError) -> str:
        cause = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
        if self.url.password:
            cause = cause.replace(self.url.password, "***")
        if "locked" in cause or "lock timeout" in cause:
            return (
                f"The run database {self.shown} was locked by another process for {BUSY_SECONDS} s. "
                "Runs go on; try again, and close programs that hold it open."
            )
        if "no such table" in cause or "does not exist" in cause:
            return f"The run database {self.shown} has no tables yet; run `imgcls-lab db migrate`."
        if "full" in cause:
            return self._full
        return f"The run database {self.shown} cannot be used: {cause}. Check IMGCLS_DB_URL and that it is up."


def touch(session: Session, run_id: str, *, recorded: bool = True) -> None:
    """Note that a run was changed in this transaction.

    recorded: the run's folder must be written too. False where the folder has the change already, or a daemon can find
    it again.
    """
    session.info.setdefault("touched", set()).add(run_id)
    if recorded:
        to_folder(session, run_id)


def to_folder(session: Session, run_id: str) -> None:
    """Note that a run's folder must be written, for a change that no list of runs shows."""
    session.info.setdefault("recorded", set()).add(run_id)


def touch_alert(session: Session, alert_id: str) -> None:
    """Note that an alert was added in this transaction."""
    session.info.setdefault("alerts", set()).add(alert_id)


def touch_dismissal(session: Session, row_id: int) -> None:
    """Note that a user has put an alert away, or taken that back, in this transaction."""
    session.info.setdefault("dismissals", set()).add(row_id)


def insert_rows(session: Session, table: Any, names: Sequence[str], rows: list[tuple[Any, ...]]) -> None:
    """Insert many rows by the driver itself: SQLAlchemy would take as long for each row as SQLite does.

    rows: one at least. names: of columns whose values need no conversion, in the order of the tuples.
    """
    mark = "?" if session.get_bind().dialect.name == "sqlite" else "%s"
    values = ", ".join(mark for _ in names)
    statement = f"INSERT INTO {table.__tablename__} ({', '.join(names)}) VALUES ({values})"  # noqa: S608
    session.connection().exec_driver_sql(statement, rows)


def no_index(session: Session, column: Any) -> ColumnElement[Any]:
    """A column for whose condition SQLite takes no index: it tests each row while it reads another index.

    SQLite keeps no statistics, so it would take the index even for a state that half of all runs have. PostgreSQL
    has statistics, and chooses by itself.
    """
    if session.get_bind().dialect.name != "sqlite":
        return column  # type: ignore[no-any-return]
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def _count_changes(session: Session) -> None:
    names = ("touched", "alerts", "dismissals")
    touched, alerts, dismissals = (sorted(session.info.pop(name, ())) for name in names)
    if not touched and not alerts and not dismissals:
        return
    counter = update(Counter).where(col(Counter.name) == "changes").values(value=col(Counter.value) + 1)
    change = session.execute(counter.returning(col(Counter.value))).scalar_one()
    found = _stamp(session, Run, touched, change)
    if found < len(touched):
        _stamp(session, DeletedRun, touched, change)
    _stamp(session, Alert, alerts, change)
    _stamp(session, AlertDismissal, dismissals, change)


def _stamp(session: Session, table: Any, ids: Sequence[Any], change: int) -> int:
    """Note when rows changed; how many there are."""
    if not ids:
        return 0
    stamped = update(table).where(col(table.id).in_(ids)).values(change=change)
    return int(session.execute(stamped.execution_options(synchronize_session=False)).rowcount)  # type: ignore[attr-defined]


def _prepare_file(file: Path) -> None:
    private_folder.make(file.parent)
    kind = network_filesystem(file.parent)
    if kind:
        raise StoreError(
            f"The run database {file} lies on a network file system ({kind}), where SQLite loses data. "
            "Set IMGCLS_DB_URL to a PostgreSQL database (postgresql://...) or to a file on a local disk."
        )
    if file.parent.stat().st_mode & stat.S_IWOTH:  # also a sticky one: SQLite applies a journal that it finds
        raise StoreError(
            f"The run database {file} lies in a folder where every user can put a journal beside it. Set IMGCLS_DB_URL "
            "to a file in a folder of yours.",
            reason="open_folder",
        )
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"The run database {file} cannot be opened: {error.strerror}. Check its folder.") from None


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours
    mode = "WAL" if wal_is_safe(sqlite3.sqlite_version_info) else "DELETE"
    cursor = connection.cursor()
    if cursor.execute("PRAGMA journal_mode").fetchone()[0].upper() != mode:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:  # the switch does not wait for others by itself
                cursor.execute(f"PRAGMA journal_mode={mode}")
                break
            except sqlite3.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
    cursor.execute(f"PRAGMA synchronous={'NORMAL' if mode == 'WAL' else 'FULL'}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size={-CACHE_KIB}")
    cursor.execute("PRAGMA trusted_schema=OFF")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('imgcls_begin', 'IMMEDIATE')}")


def _forget_after_fork(engine: Engine) -> None:
    """Leave inherited connections to the parent: a child opens its own."""
    reference = weakref.ref(engine)

    def forget() -> None:
        living = reference()
        if living is not None:
            living.dispose(close=False)

    os.register_at_fork(after_in_child=forget)


def set_aside_if_damaged(url: str) -> Path | None:
    """Rename a SQLite file that is no readable database; its new name. None: it can be read, or there is none."""
    parsed = parse_url(url)
    file = Path(str(parsed.database)).expanduser().absolute()
    if parsed.drivername != "sqlite" or not file.exists():
        return None
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS)
    try:
        if connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok":
            return None
    except sqlite3.OperationalError:
        return None  # locked or unreadable, which is not damaged
    except sqlite3.DatabaseError:
        log.warning("%s is damaged", file)
    finally:
        connection.close()
    aside = file.with_name(f"{file.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("", "-wal", "-shm", "-journal"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
