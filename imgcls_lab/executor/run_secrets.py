"""Hands the database's URL with its password to the runs that queue runs: in a file for their user alone.

The environment of such a run names the file, and `Settings` reads it. The daemon writes it before the start of an
attempt and removes it at its end. A training never gets one: it talks to no database.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from imgcls_lab.identity import host_name
from imgcls_lab.run_layout import write_atomic
from imgcls_lab.settings import Settings


def _folder(settings: Settings) -> Path:
    """Of this host: several hosts may share a home."""
    return settings.executor_dir / f"secrets-{host_name()}"


def give(settings: Settings, run_id: str) -> dict[str, str | None]:
    """The variables by which a run gets the database's URL. Raises OSError if the file cannot be written."""
    variable = settings.table()["db_url"]
    url = settings.secrets().get("db_url")
    if url is None or variable.file_variable is None:
        return {}
    folder = _folder(settings)
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / run_id
    write_atomic(path, url, settle=False)
    return {variable.variable: None, variable.file_variable: str(path)}


def withhold(settings: Settings) -> dict[str, str | None]:
    """The variables by which a run gets no database at all."""
    return {settings.table()["db_url"].variable: None}


def take_back(settings: Settings, run_id: str) -> None:
    """Remove a run's file; nothing happens where there is none."""
    with contextlib.suppress(OSError):
        (_folder(settings) / run_id).unlink(missing_ok=True)


def take_back_others(settings: Settings, live: Collection[str]) -> None:
    """Remove the files of all runs of this host but these: a daemon that was killed has left them."""
    folder = _folder(settings)
    if folder.is_dir():
        for path in [*folder.iterdir()]:
            if path.name not in live:
                take_back(settings, path.name)
