"""Copies of revisions in the home, one file each: `db rebuild` brings corrections back from them.

Written just before a commit, as `registry.json` is (`folder_rows.py`). A revision never changes, so its file is left
alone. The files of other revisions of the same data set are written too, if another home added them. A process that
died before its commit leaves the file of a revision that never was: the next revision of that number replaces it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, select

from imgcls_lab.data_revision import CHANGES, revision_digest
from imgcls_lab.run_layout import write_atomic
from imgcls_lab.run_paths import read_json
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Dataset, DatasetRevision

FOLDER = "revisions"
MAX_FILE = 64_000_000  # bytes
_COLUMNS = (
    "number", "parent", "digest", "author", "created_at", "message", "files", "relabelled", "excluded", "restored",
    "total", "changes",
)  # fmt: skip


def folder_of(settings: Settings, dataset: Dataset) -> Path:
    """The files of a data set, by when it was added: a new database gives other ids, and the same to others."""
    return settings.home_path / FOLDER / str(round(dataset.created_at * 1e6))


def write_missing(session: Session, settings: Settings, dataset_id: int) -> list[Path]:
    """Write the revisions of a data set that have no file of theirs yet. Returns what was written. Raises OSError."""
    dataset = session.get_one(Dataset, dataset_id)
    folder = folder_of(settings, dataset)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = {entry.name for entry in os.scandir(folder)}
    table = DatasetRevision
    known = session.exec(select(table.number, table.digest).where(table.dataset_id == dataset_id)).all()
    written = []
    unsure = True  # a digest covers all revisions before: below the newest file that has the right one, all have
    for number, digest in sorted(known, reverse=True):
        unsure = unsure and _digest_in(folder, _name(number)) != digest
        if not unsure and _name(number) in there:
            continue
        row = session.exec(select(table).where(table.dataset_id == dataset_id, table.number == number)).one()
        content = {"dataset": {"name": dataset.name, "created_at": dataset.created_at}}
        content |= {name: getattr(row, name) for name in _COLUMNS}
        write_atomic(folder / _name(number), json.dumps(content, ensure_ascii=False), settle=False)
        written.append(folder / _name(number))
    return written


def remove(settings: Settings, dataset: Dataset) -> None:
    """Remove the files of a data set that was deleted."""
    shutil.rmtree(folder_of(settings, dataset), ignore_errors=True)


def restore(session: Session, settings: Settings, report: Callable[[str], None]) -> None:
    """Add the revisions in the home's files that the database lacks. report: gets a sentence for each damaged one."""
    home = settings.home_path / FOLDER
    for folder in sorted(path for path in home.iterdir() if path.is_dir()) if home.is_dir() else ():
        rows = list(_read(folder, report))
        if rows:
            _restore_dataset(session, folder, rows, report)


def _restore_dataset(session: Session, folder: Path, rows: list[dict[str, Any]], report: Callable[[str], None]) -> None:
    made = rows[0]["dataset"]["created_at"]
    dataset_id = session.exec(select(Dataset.id).where(Dataset.created_at == made)).first()
    if dataset_id is None:
        return  # it was deleted
    table = DatasetRevision
    known = session.exec(select(table.number, table.digest).where(table.dataset_id == dataset_id)).all()
    digests: dict[int, str] = {0: "", **dict(known)}
    for row in rows:
        number, parent = row["number"], row["parent"]
        if number in digests:
            if digests[number] != row["digest"]:
                report(f"{folder / _name(number)} is another revision {number} than the database has; it is left out.")
            continue
        if parent not in digests or revision_digest(digests[parent], row["changes"]) != row["digest"]:
            report(f"{folder / _name(number)} does not continue the revision {parent}, so it is not restored.")
            return
        values = {name: row[name] for name in _COLUMNS} | {"changes": [change.facts() for change in row["changes"]]}
        session.execute(insert(table).values(dataset_id=dataset_id, **values))
        digests[number] = row["digest"]


def _read(folder: Path, report: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """The revisions of a folder by number, their changes as `Change`."""
    names = {int(path.stem): path for path in folder.glob("*.json") if path.stem.isdecimal()}
    for number in sorted(names):
        path = names[number]
        try:
            if path.stat().st_size > MAX_FILE:
                raise ValueError("it is too large")
            row = read_json(folder, path.name)
            row["changes"] = CHANGES.validate_python(row["changes"])
            if row["number"] != number or not set(_COLUMNS) <= set(row) or "created_at" not in row["dataset"]:
                raise ValueError("its fields are not those of a revision")
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0]
            report(f"The corrections in {path} cannot be read ({reason}), so they are not restored.")
            return
        yield row


def _digest_in(folder: Path, name: str) -> Any:
    """The digest that a file names; None where it cannot be read."""
    try:
        return read_json(folder, name)["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _name(number: int) -> str:
    return f"{number}.json"
