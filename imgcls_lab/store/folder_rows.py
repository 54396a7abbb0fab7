"""Copies of rows in folders: `run.json` in each run's folder, `registry.json` in the home.

`Database.write` writes them just before each commit, so that a folder is never behind the database. `rebuilding` reads
them. They are the rows as they were written; nothing is decided here.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Table, select, update
from sqlmodel import Session, col

from imgcls_lab import signing
from imgcls_lab.errors import StoreError
from imgcls_lab.run_layout import DATA_REVISION, EDITS, RUN_INFO, write_atomic
from imgcls_lab.run_paths import make_folder, read_json, read_plain
from imgcls_lab.settings import Settings
from imgcls_lab.side_by_side import side_by_side
from imgcls_lab.store import audit, kept_edits, revision_files, submitted
from imgcls_lab.store.saved import FORMAT, upgraded_info, upgraded_registry
from imgcls_lab.store.tables import (
    Alert,
    AlertDismissal,
    Attempt,
    Config,
    ConfigVersion,
    Counter,
    Dataset,
    DeletedRun,
    Dependency,
    Model,
    Project,
    ProjectMember,
    Run,
    SavedView,
)

log = logging.getLogger(__name__)

REGISTRY = "registry.json"
MEMBERS = "members"  # of a project: names of users
VERSIONS = "versions"  # of a config: rows without its id
REGISTRIES: dict[str, Any] = {"projects": Project, "configs": Config, "datasets": Dataset, "models": Model}
PERSONAL: dict[str, Any] = {"views": SavedView}  # of the user of the home alone
DISMISSED = "dismissed"  # alerts that the user has put away
MOST_DISMISSED = 1000  # that are kept: as many as there are alerts
# Keys of run.json that name a column as it is, and those that name what it requests of a host.
_SAME_NAME = ("id", "kind", "name", "parent_id", "notes", "created_at", "dataset_id", "model_id", "python", "payload")
_REQUESTED = {"device": "requested_device", "gpus": "requested_gpus", "host": "requested_host"}
_ELSEWHERE = {*_SAME_NAME, *_REQUESTED.values(), "project_id"}  # the project stands there by its name

Row = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """What `run.json` says of a run that the database has known: rows as it wrote them.

    run: columns of `runs` but its project's id; attempts and alerts: all of their columns; after: runs it waits for.
    """

    project: str
    run: Row
    attempts: list[Row] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    alerts: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Deleted:
    """The run was deleted, but the deletion of its folder was cut off."""


def columns(table: Any) -> Table:
    """The table itself: rows read through it come from the database, not from the memory of a session."""
    return table.__table__  # type: ignore[no-any-return]


def rows(session: Session, table: Any, *where: Any) -> list[Row]:
    """Rows of a table in the order of its primary key, each by column."""
    plain = columns(table)
    found = session.execute(select(plain).where(*where).order_by(*plain.primary_key.columns)).mappings()
    return [dict(row) for row in found]


def record_of(session: Session, run_id: str) -> Record | None:
    """The record of a run as this transaction sees it; None: there is no such run."""
    return records_of(session, [run_id]).get(run_id)


def records_of(session: Session, run_ids: Sequence[str]) -> dict[str, Record]:
    """The records of the runs that there are, in five queries for all of them."""
    runs = rows(session, Run, col(Run.id).in_(run_ids))
    projects = {row["project_id"] for row in runs}
    named: Any = select(col(Project.id), col(Project.name)).where(col(Project.id).in_(projects))
    names: dict[int, str] = dict(session.execute(named).all()) if runs else {}
    found = {row["id"]: Record(names[row.pop("project_id")], row) for row in runs}
    if found:
        for row in rows(session, Attempt, col(Attempt.run_id).in_(found)):
            found[row["run_id"]].attempts.append(row)
        for row in rows(session, Dependency, col(Dependency.run_id).in_(found)):
            found[row["run_id"]].after.append(row["after_id"])
        for row in rows(session, Alert, col(Alert.run_id).in_(found)):
            found[row["run_id"]].alerts.append(row)
    return found


def to_info(record: Record) -> dict[str, Any]:
    """What `run.json` says of a run, without its signature."""
    run = record.run
    return {
        "format": FORMAT,
        **{key: run[key] for key in _SAME_NAME},
        "project": record.project,
        **{key: run[column] for key, column in _REQUESTED.items()},
        "row": {name: value for name, value in run.items() if name not in _ELSEWHERE},
        "attempts": record.attempts,
        "after": record.after,
        "alerts": record.alerts,
    }


def read_info(folder: Path) -> dict[str, Any]:
    """What `run.json` holds, under the names of today; empty where there is none, or it is damaged."""
    try:
        found = read_json(folder, RUN_INFO)
    except (OSError, ValueError):
        return {}
    return upgraded_info(found) if isinstance(found, dict) else {}


def saved_config(folder: Path) -> dict[str, Any]:
    """The config in `run.json`; empty where it has none."""
    row = read_info(folder).get("row")
    config = row.get("config") if isinstance(row, dict) else None
    return config if isinstance(config, dict) else {}


def read_record(folder: Path, home: Path) -> Record | Deleted | None:
    """The record in a folder, if this home's own processes wrote it.

    None: somebody else wrote it, or no database or only one of an older version knew the run. Columns of a newer
    version are left out.
    """
    signed = signing.own_info(home, folder)
    if signed is None:
        return None
    info = upgraded_info(signed)
    if info.get("deleted") is True:
        return Deleted()
    row, attempts, after, alerts = (info.get(key) for key in ("row", "attempts", "after", "alerts"))
    if not isinstance(row, dict) or not all(isinstance(part, list) for part in (attempts, after, alerts)):
        return None
    run = {**row, **{key: info.get(key) for key in _SAME_NAME}, **{c: info.get(key) for key, c in _REQUESTED.items()}}
    known = _known(Run, run)
    if known.get("id") != folder.name or not {"state", "attempt", "revision", "number"} <= set(known):
        return None
    return Record(
        project=str(info.get("project") or "default"),
        run=known,
        attempts=[_known(Attempt, {**part, "run_id": folder.name}) for part in attempts or ()],
        after=[str(part) for part in after or ()],
        alerts=[_known(Alert, {**part, "run_id": folder.name}) for part in alerts or ()],
    )


def _known(table: Any, row: Row) -> Row:
    names = columns(table).columns.keys()
    return {name: value for name, value in row.items() if name in names}


# ── registries ──────────────────────────────────────────────────────────────────────────────────────────────────
def read_registry(settings: Settings) -> dict[str, list[Row]]:
    """Rows of projects, configs, data sets and models, the user's views, the alerts of hosts, and which alerts the user
    has put away, as they were last written.
    """
    try:
        found = read_json(settings.home_path.resolve(), REGISTRY)
    except (OSError, ValueError):
        return {}
    tables = {**REGISTRIES, **PERSONAL, "alerts": Alert, DISMISSED: AlertDismissal}
    if not isinstance(found, dict):
        return {}
    found = upgraded_registry(found)
    return {
        name: [_entry(tables[name], row) for row in found.get(name) or () if isinstance(row, dict)] for name in tables
    }


def _entry(table: Any, row: Row) -> Row:
    """The columns of an entry, the members of a project, and the versions of a config."""
    members = row.get(MEMBERS) if table is Project else None
    versions = row.get(VERSIONS) if table is Config else None
    found = _known(table, row)
    if isinstance(members, list):
        found[MEMBERS] = [str(user) for user in members]
    if isinstance(versions, list):
        found[VERSIONS] = [_known(ConfigVersion, version) for version in versions if isinstance(version, dict)]
    return found


def damaged_parts(settings: Settings) -> list[str]:
    """The registries whose entries in the file are no list, so that none of them can be read."""
    try:
        found = read_json(settings.home_path.resolve(), REGISTRY)
    except FileNotFoundError:
        return []
    except (OSError, ValueError):
        return [*REGISTRIES]
    parts = found if isinstance(found, dict) else dict.fromkeys(REGISTRIES)
    return [name for name in REGISTRIES if name in parts and not isinstance(parts[name], list)]


def _key(row: Row) -> tuple[Any, Any]:
    """What identifies an entry when its name changes. The id alone does not: a new database gives the same id again."""
    return row.get("id"), row.get("created_at")


def _merged(session: Session, kept: dict[str, list[Row]], deleted: set[tuple[str, Any, Any]]) -> str:
    """The file's text: what the database has; and, of what a database before this one had, all that nobody deleted."""
    # whoever changes one waits here until this is committed
    session.execute(select(col(Counter.value)).where(col(Counter.name) == "changes").with_for_update())
    merged: dict[str, Any] = {"format": FORMAT}
    for name, table in (*REGISTRIES.items(), *PERSONAL.items()):
        present = rows(session, table, *(_own(session, table) if name in PERSONAL else ()))
        if table is Project:
            for row in present:
                mine = col(ProjectMember.project_id) == row["id"]
                row[MEMBERS] = [member["user"] for member in rows(session, ProjectMember, mine)]
        if table is Config:
            for row in present:
                versions = rows(session, ConfigVersion, col(ConfigVersion.config_id) == row["id"])
                row[VERSIONS] = [{key: version[key] for key in version if key != "config_id"} for version in versions]
        there = {_key(row) for row in present}
        gone = {(entry, made) for of, entry, made in deleted if of == name}
        merged[name] = [row for row in kept.get(name, ()) if _key(row) not in there | gone] + present
    merged["alerts"] = rows(session, Alert, col(Alert.run_id).is_(None))
    decided = rows(session, AlertDismissal, col(AlertDismissal.user) == sole_user(session))
    known = {row["alert_id"] for row in decided}
    put_away = [row["alert_id"] for row in decided if row["dismissed"]]
    before = [row["alert_id"] for row in kept.get(DISMISSED, ()) if row.get("alert_id") not in known]
    merged[DISMISSED] = [{"alert_id": alert_id} for alert_id in (*before, *put_away)[-MOST_DISMISSED:]]
    return json.dumps(merged, ensure_ascii=False, indent=1)


def _own(session: Session, table: Any) -> tuple[Any, ...]:
    """Of rows that each user has for himself, those of the user of this home."""
    if session.get_bind().dialect.name == "sqlite":
        return ()
    return (col(table.owner) == audit.actor_of(session).user,)


def sole_user(session: Session) -> str:
    """Whose dismissals count here. A SQLite file has one user, who may be called otherwise tomorrow, as under a hub."""
    return "" if session.get_bind().dialect.name == "sqlite" else audit.actor_of(session).user


def note_registry(session: Session, _context: object = None) -> None:
    """Note the changes of registries in this transaction. Called after each flush."""
    for name, table in (*REGISTRIES.items(), *PERSONAL.items()):
        if any(isinstance(entry, table) for entry in (*session.new, *session.dirty, *session.deleted)):
            session.info["registry"] = True
        gone = {(name, entry.id, entry.created_at) for entry in session.deleted if isinstance(entry, table)}
        session.info.setdefault("gone", set()).update(gone)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class _Written:
    path: Path
    before: bytes | None
    after: bytes

    def undo(self) -> None:
        """Restore the file, unless another process has written it since. A folder that was made is removed."""
        with contextlib.suppress(OSError):
            if read_plain(self.path.parent.resolve(), self.path.name) != self.after:
                return
            if self.before is not None:
                write_atomic(self.path, self.before)
                return
            self.path.unlink()
            self.path.parent.rmdir()  # refuses where there is more


class _Prepared(NamedTuple):
    """The record of a run as it is to be written. is_new: the run is being accepted; corrections: of its data."""

    folder: Path
    info: dict[str, Any]
    corrections: str | None
    is_new: bool


class FolderWriter:
    """Writes into folders what a transaction is about to commit. `behind`: runs whose folder could not be written."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.behind: set[str] = set()

    def write(self, session: Session) -> Callable[[], None]:
        """Write the records of this transaction. Returns a function that undoes it, for a commit that fails.

        Raises StoreError for a new run whose folder cannot be made: the run must not be accepted. In all other cases
        the folder is noted in `behind`, and the database alone has the change.
        """
        written: list[_Written] = []
        undo = partial(_undo, written)
        try:
            if session.info.pop("registry", False):
                self._registry(session, session.info.pop("gone", set()), written)
            for dataset_id in sorted(session.info.pop("revised", ())):
                self._revisions(session, dataset_id, written)
            recorded = sorted(session.info.pop("recorded", ()))
            records = records_of(session, recorded) if recorded else {}
            prepared = [
                each for run_id in recorded if (each := self._run(session, run_id, records.get(run_id), written))
            ]
            self._replace_all(prepared, written)
        except BaseException:
            undo()
            raise
        return undo

    def _run(self, session: Session, run_id: str, record: Record | None, written: list[_Written]) -> _Prepared | None:
        """What the record of a run is to be; of another home's run, only note that it must be written there."""
        home, folder = self._settings.home_path, self._settings.run_dir(run_id)
        if record is not None and record.run["home"] not in ("", session.info["home"]):
            changed = update(Run).where(col(Run.id) == run_id).values(record_behind=True)
            session.execute(changed.execution_options(synchronize_session=False))
            return None
        if record is None:
            known = signing.own_info(home, folder)
            if known is None or "row" not in known or session.get(DeletedRun, run_id) is None:
                return None
            info = {**known, "deleted": True}
        elif record.run["view_only"]:  # a folder from elsewhere stays as it came
            self._edits(folder, record, written)
            return None
        else:
            info = to_info(record)
            if not submitted.may_sign(session, home, folder, info):
                log.warning("%s is left as it is: the database says something else than what was submitted.", folder)
                return None
        is_new = record is not None and record.run["revision"] == 1 and record.run["attempt"] == 0
        corrections = session.info.get("overlays", {}).pop(run_id, None)
        return _Prepared(folder, info, corrections, is_new)

    def _replace_all(self, prepared: Sequence[_Prepared], written: list[_Written]) -> None:
        replace = partial(_replace_record, self._settings.home_path, written)
        for one, error in zip(prepared, side_by_side(replace, prepared), strict=True):
            if error is None:
                self.behind.discard(one.folder.name)
                continue
            if one.is_new:
                with contextlib.suppress(OSError):
                    one.folder.rmdir()
                raise StoreError(
                    f"The run's folder {one.folder} could not be written: {error.strerror}, so the run was not queued. "
                    "Free some space, or check who may write there, and try again."
                ) from error
            log.warning("%s could not be written and is behind the database: %s", one.folder / RUN_INFO, error)
            self.behind.add(one.folder.name)

    def _edits(self, folder: Path, record: Record, written: list[_Written]) -> None:
        """Beside what came with the folder of a run from elsewhere: what people gave the run here."""
        home, edits = self._settings.home_path, kept_edits.of(record.run, record.project)
        try:
            if not signing.is_own_place(home, folder):
                return
            if kept_edits.read(home, folder) or kept_edits.change(edits, read_info(folder)):
                _replace(folder / EDITS, kept_edits.text(home, folder.name, edits), written)
        except FileNotFoundError:
            return  # its folder is gone
        except (OSError, ValueError) as error:  # the second: a link lies there
            log.warning("%s could not be written and is behind the database: %s", folder / EDITS, error)

    def _registry(self, session: Session, deleted: set[tuple[str, Any, Any]], written: list[_Written]) -> None:
        text = _merged(session, read_registry(self._settings), deleted)
        try:
            _replace(self._settings.home_path / REGISTRY, text, written)
        except OSError as error:
            log.warning("%s could not be written and is behind the database: %s", REGISTRY, error)

    def _revisions(self, session: Session, dataset_id: int, written: list[_Written]) -> None:
        try:
            made = revision_files.write_missing(session, self._settings, dataset_id)
            written += [_Written(path, None, path.read_bytes()) for path in made]
        except OSError as error:
            log.warning("The corrections of data set %s could not be written into the home: %s", dataset_id, error)


def _replace_record(home: Path, written: list[_Written], one: _Prepared) -> OSError | None:
    """Write it, or say why that failed. Called for several runs at the same time: mostly it waits for the disk."""
    try:
        make_folder(one.folder)
        if one.corrections is not None:
            _replace(one.folder / DATA_REVISION, one.corrections, written)
        _replace(one.folder / RUN_INFO, signing.signed_text(home, one.info), written)
    except OSError as error:
        return error
    return None


def _replace(path: Path, text: str, written: list[_Written]) -> None:
    after = text.encode()
    try:
        before = read_plain(path.parent.resolve(), path.name)
    except FileNotFoundError:
        before = None
    if before != after:
        write_atomic(path, after, settle=False)
        written.append(_Written(path, before, after))


def _undo(written: Iterable[_Written]) -> None:
    for one in written:
        one.undo()
