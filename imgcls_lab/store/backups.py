"""Copies of the run database while it is in use: SQLite by its own backup, PostgreSQL by `pg_dump`.

Called before a migration and by `imgcls-lab db backup`. The folders of runs are not part of a backup: they are the
truth, and the database is an index of them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from imgcls_lab.child_environment import child_environment
from imgcls_lab.errors import StoreError
from imgcls_lab.run_layout import write_atomic
from imgcls_lab.store.database import Database

DUMP_WITHIN = 600.0  # seconds


def default_name(database: Database, mark: str = "") -> str:
    """A file name by date."""
    stem = "-".join(part for part in ("imgcls", mark, time.strftime("%Y%m%d-%H%M%S")) if part)
    return stem + (".db" if database.is_sqlite else ".dump")


def backup(database: Database, target: Path) -> Path:
    """Copy the database as of one moment into a file that is complete or absent, for its owner alone.

    The copy of a PostgreSQL database is an archive for `pg_restore`. Raises StoreError.
    """
    if target.exists():
        raise StoreError(f"{target} exists already; name another file for the backup.")
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        if database.is_sqlite:
            _copy_sqlite(database.file, partial)
        else:
            _dump_postgresql(database, partial)
        os.link(partial, target)  # as a rename, but never over another file
    except (OSError, sqlite3.Error, subprocess.SubprocessError) as error:
        raise StoreError(f"The backup to {target} failed: {_cause(error)}. Check the disk and try again.") from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _copy_sqlite(file: Path, target: Path) -> None:
    source, copy = sqlite3.connect(file, timeout=30), sqlite3.connect(target)
    try:
        source.backup(copy)
    finally:
        copy.close()
        source.close()


def _dump_postgresql(database: Database, target: Path) -> None:
    program = shutil.which("pg_dump")
    if program is None:
        raise StoreError(
            "A backup of PostgreSQL needs its program pg_dump, which is not installed here; install PostgreSQL's "
            "client programs, or let the server's administrator make it."
        )
    address = database.url.set(drivername="postgresql")._replace(password=None).render_as_string()
    with _password_file(target.parent, database.url.password) as file:
        subprocess.run(
            [program, "--format=custom", f"--file={target}", "--no-password", f"--dbname={address}"],
            env=child_environment(changes={"PGPASSFILE": str(file)} if file else {}),
            check=True,
            capture_output=True,
            text=True,
            timeout=DUMP_WITHIN,
        )


@contextmanager
def _password_file(folder: Path, password: str | None) -> Iterator[Path | None]:
    """A file from which pg_dump reads the password: others can see neither its content nor, in /proc, the password."""
    if password is None:
        yield None
        return
    file = folder / f".pgpass-{os.getpid()}-{token_hex(4)}"
    try:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        write_atomic(file, f"*:*:*:*:{escaped}\n", settle=False)
        yield file
    finally:
        file.unlink(missing_ok=True)


def _cause(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = str(error.stderr).strip().splitlines()
        return lines[-1] if lines else f"pg_dump ended with code {error.returncode}"
    return str(error).rstrip(".")
