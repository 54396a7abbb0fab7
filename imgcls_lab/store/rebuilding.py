"""`db rebuild`: rows that the database still has stay as they are, and what folders know besides is added.

Each run is indexed anew in one transaction or not at all (`run_restore.py`). So a rebuild may be cut off anywhere and
called again, beside living executors too. It adds no alert about old news and moves no run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Table, delete, func, insert, select, text, update
from sqlalchemy.exc import OperationalError, StatementError
from sqlmodel import Session, col

from imgcls_lab import signing
from imgcls_lab.errors import ImgclsError
from imgcls_lab.identity import host_name
from imgcls_lab.run_layout import RUN_INFO, write_atomic
from imgcls_lab.settings import Settings
from imgcls_lab.store import (
    alerts,
    audit,
    claims,
    homes,
    revision_files,
    run_counts,
    run_folders,
    saved_views,
    submitted,
)
from imgcls_lab.store.database import Database
from imgcls_lab.store.folder_rows import (
    DISMISSED,
    MEMBERS,
    REGISTRIES,
    REGISTRY,
    VERSIONS,
    Deleted,
    Record,
    Row,
    columns,
    damaged_parts,
    read_info,
    read_record,
    read_registry,
    saved_config,
)
from imgcls_lab.store.registry import DEFAULT_PROJECT
from imgcls_lab.store.run_files import remove_folder
from imgcls_lab.store.run_restore import RegistryIds, index_again, restore_alert, restore_run
from imgcls_lab.store.tables import ConfigVersion, Dataset, DeletedRun, Model, ProjectMember, Run
from imgcls_lab.store.trial_links import link_trials

Progress = Callable[[int, int], None]  # folders that are done, and all

# what a damaged record raises: here, in the driver, or in the database
DAMAGE = (OSError, ImgclsError, KeyError, ValueError, TypeError, AttributeError, OverflowError, StatementError)
LARGEST_NUMBER = 2**53  # of a run: what is larger is damage
STEP = 0.5  # seconds of one transaction: others wait for no longer


@dataclass
class RebuildReport:
    """What `rebuild` did: runs indexed, and a sentence for each folder that could not be.

    new: the database knew no run, data set or model before; registries: whether `registry.json` was there then;
    view_only: runs that are view only now, since their folders are not signed by this home.
    """

    runs: int = 0
    view_only: int = 0
    new: bool = False
    registries: bool = False
    problems: list[str] = field(default_factory=list)


def rebuild_all(
    database: Database, settings: Settings, on_progress: Progress | None = None, *, mine: bool = False
) -> RebuildReport:
    """Index all run folders. Raises StoreError; what was indexed until then stays.

    mine: the user says that all folders are his own, as after a version that signed none.
    """
    registry = read_registry(settings)
    path = settings.home_path / REGISTRY
    before = path.read_bytes() if path.is_file() else b""  # this transaction writes the file again
    report = RebuildReport(registries=bool(registry))
    with database.write() as session:
        report.new = not any(session.execute(select(col(t.id)).limit(1)).first() for t in (Run, Dataset, Model))
        if not run_counts.are_right(session):
            run_counts.recount(session)
        report.problems += [f"The {name} in {REGISTRY} are no list of entries." for name in damaged_parts(settings)]
        ids = _restore_registries(session, registry, report)
    if report.problems:  # the file is written again without what could not be restored
        report.problems.append(f"registry.json as it was lies in {_keep_registry(settings, before)}.")
    found = list(_runs_in_order(settings))
    if mine:
        for _, run_id in found:
            _sign(settings, run_id, report)
    with database.write() as session:
        _reserve_numbers(session, max((number or 0 for number, _ in found), default=0))
    waiting = iter([run_id for _, run_id in found])
    done, left = 0, []
    while True:
        until, more = time.monotonic() + STEP, False
        with database.write() as session:
            for run_id in waiting:
                more = True
                outcome = _rebuild_run(session, settings, run_id, ids, report)
                done += 1
                if outcome is None:
                    left.append(run_id)
                if on_progress is not None:
                    on_progress(done, len(found))
                if time.monotonic() > until:
                    break
        if not more:
            break
    for run_id in left:  # in steps of their own
        _by_folder_alone(database, settings, run_id, report)
    with database.write() as session:
        homes.note(session, settings, host_name())
        link_trials(session, settings)
        revision_files.restore(session, settings, report.problems.append)
        put_away = [row.get("alert_id") for row in registry.get(DISMISSED, ())]
        alerts.restore_dismissals(session, [alert_id for alert_id in put_away if isinstance(alert_id, str)])
        alerts.prune(session)
        report.view_only = session.execute(select(func.count()).where(col(Run.view_only))).scalar_one()
    report.problems += run_folders.unindexed_folders(settings)
    return report


def _runs_in_order(settings: Settings) -> Iterator[tuple[int | None, str]]:
    """Number, if it is known, and id of all runs: parents before what they started."""
    found = []
    for run_id in run_folders.all_folders(settings):
        row = read_info(settings.run_dir(run_id)).get("row")
        number = row.get("number") if isinstance(row, dict) else None
        found.append((number if isinstance(number, int) and 0 < number < LARGEST_NUMBER else None, run_id))
    yield from sorted(found, key=lambda one: (one[0] is None, one[0] or 0, one[1]))


def _rebuild_run(
    session: Session, settings: Settings, run_id: str, ids: RegistryIds, report: RebuildReport
) -> bool | None:
    """Index one run. None: its folder holds no record and the database no row, so that it is judged by its files."""
    folder = settings.run_dir(run_id)
    try:
        with session.begin_nested():
            lock = select(col(Run.revision), col(Run.view_only), col(Run.home)).where(col(Run.id) == run_id)
            known = session.execute(lock.with_for_update()).one_or_none()
            if known is not None and known.home not in ("", session.info["home"]):
                # a copy, or a folder that claims to be another user's run
                report.problems.append(f"{folder} was left out: the database knows this run as one of another home.")
                return True
            record = read_record(folder, settings.home_path)  # now that nobody writes it
            if isinstance(record, Deleted) and known is None:
                remove_folder(settings, run_id, saved_config(folder))
                return True
            if known is None and not isinstance(record, Record):
                return None
            if isinstance(record, Record) and (
                known is None or known.view_only or record.run["revision"] > known.revision
            ):
                restore_run(session, folder, record, ids)
            else:
                if isinstance(record, Record):
                    submitted.take_python(session, record.run)
                index_again(session, folder, settings.home_path)
        report.runs += 1
    except DAMAGE as error:
        report.problems.append(f"{folder} could not be indexed: {_reason(error, RUN_INFO)}")
    return True


def _sign(settings: Settings, run_id: str, report: RebuildReport) -> None:
    """Sign a folder that is not signed, on the user's word."""
    folder = settings.run_dir(run_id)
    try:
        if not signing.is_own(settings.home_path, folder):
            claims.sign_folder(settings.home_path, folder)
    except DAMAGE as error:
        report.problems.append(f"{folder} could not be signed: {_reason(error, RUN_INFO)}")


def _by_folder_alone(database: Database, settings: Settings, run_id: str, report: RebuildReport) -> None:
    """A run that no database has known, or an older version: what it came to is judged by its files."""
    folder = settings.run_dir(run_id)
    try:
        run_folders.read_config(folder, read_info(folder))
        index_folder(database, settings, run_id)
        report.runs += 1
    except DAMAGE as error:
        report.problems.append(f"{folder} could not be indexed: {_reason(error, RUN_INFO)}")


def index_folder(database: Database, settings: Settings, run_id: str) -> None:
    """Add the run of a folder that no database has known: what it came to is judged by its files. Raises as `adopt`."""
    folder = settings.run_dir(run_id)
    with database.write() as session:  # it was put back, so it is wanted
        session.execute(delete(DeletedRun).where(col(DeletedRun.id) == run_id))
    run_folders.adopt(database, settings, run_id)
    owner = run_folders.read_owner(folder) if signing.is_own(settings.home_path, folder) else None
    alive = owner is not None and owner.status() != "dead"
    for _ in range(10_000):
        ended = run_folders.follow(database, settings, run_id, tell=False)
        if ended or (alive and _is_last(database, folder, run_id)):
            break


def _is_last(database: Database, folder: Path, run_id: str) -> bool:
    with database.read() as session:
        attempt = session.execute(select(col(Run.attempt)).where(col(Run.id) == run_id)).scalar_one()
    return bool(attempt >= max(run_folders.attempts_in(folder), default=0))


# ── registries, and the numbers of rows ─────────────────────────────────────────────────────────────────────────────
def _restore_registries(session: Session, registry: dict[str, list[Row]], report: RebuildReport) -> RegistryIds:
    """Add the entries of `registry.json` that are not there; under their ids, if these are free."""
    ids: RegistryIds = {}
    for name, table in REGISTRIES.items():
        plain = columns(table)
        ids[name] = {}
        for row in registry.get(name, ()):
            with _reported(session, name, row, report):
                _restore_entry(session, name, plain, row, ids)
        _advance_sequence(session, plain.name, "id", session.execute(select(func.max(plain.c.id))).scalar_one() or 0)
    for row in registry.get("alerts", ()):
        with _reported(session, "alerts", row, report):
            restore_alert(session, row)
    for row in registry.get("views", ()):
        with _reported(session, "views", row, report):
            saved_views.restore(session, row)
    session.info["registry"] = True
    return ids


def _restore_entry(session: Session, name: str, plain: Table, row: Row, ids: RegistryIds) -> None:
    members, versions = row.pop(MEMBERS, []), row.pop(VERSIONS, [])
    if "owner" not in row:  # of before revision 0007, which gave the entries of a SQLite file to its user
        mine = session.get_bind().dialect.name == "sqlite" and (name, row["name"]) != ("projects", DEFAULT_PROJECT)
        row["owner"] = audit.actor_of(session).user if mine else ""
    if "project_id" in row:
        row["project_id"] = ids["projects"].get(row["project_id"], row["project_id"])
    found = session.execute(select(plain).where(plain.c.name == row["name"])).mappings().first()
    if found is None:
        free = session.execute(select(plain.c.id).where(plain.c.id == row["id"])).first() is None
        values = row if free else {key: value for key, value in row.items() if key != "id"}
        ids[name][row["id"]] = made = session.execute(insert(plain).values(values).returning(plain.c.id)).scalar_one()
        for user in members:
            session.add(ProjectMember(project_id=made, user=user))
        if name == "configs":
            only = {"number": 1, "author": row["owner"], "created_at": row["updated_at"], "config": row["config"]}
            for version in versions or [only]:
                session.add(ConfigVersion(**{**version, "config_id": made}))
        session.flush()
    else:
        ids[name][row["id"]] = found["id"]
        if row["created_at"] < found["created_at"]:  # a new database made it anew, as it does the first project
            given = {key: row[key] for key, value in found.items() if value in ("", None) and key in row}
            older = {**given, "created_at": row["created_at"]}
            session.execute(update(plain).where(plain.c.id == found["id"]).values(older))
    # from the file; those that are here come back into it
    session.info.setdefault("gone", set()).add((name, row["id"], row["created_at"]))


@contextmanager
def _reported(session: Session, name: str, row: Row, report: RebuildReport) -> Iterator[None]:
    """One entry in a savepoint of its own: what the database refuses is reported, and the others are restored."""
    try:
        with session.begin_nested():
            yield
    except DAMAGE as error:
        entry = f"“{row['name']}”" if row.get("name") else "one"
        report.problems.append(f"Of the {name} in {REGISTRY}, {entry} is not restored: {_reason(error, REGISTRY)}")


def _reason(error: Exception, file: str) -> str:
    """Why a record could not be restored. Raises the error again if the database itself cannot be used."""
    if isinstance(error, OperationalError):
        raise error
    if isinstance(error, OSError | ImgclsError):
        return str(error)
    reason = str(getattr(error, "orig", None) or error).splitlines()[0]
    return f"{file} holds a value of the wrong kind ({reason})."


def _keep_registry(settings: Settings, content: bytes) -> Path:
    settings.backups_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = settings.backups_dir / f"registry-{time.strftime('%Y%m%d-%H%M%S')}.json"
    write_atomic(kept, content)
    return kept


def _reserve_numbers(session: Session, highest: int) -> None:
    """Keep the numbers of the folders' runs free, so that a run that is submitted meanwhile takes none of them."""
    if session.get_bind().dialect.name != "sqlite":
        _advance_sequence(session, "runs", "number", highest)
        return
    known = session.execute(text("UPDATE sqlite_sequence SET seq = max(seq, :n) WHERE name = 'runs'"), {"n": highest})
    if known.rowcount == 0:  # type: ignore[attr-defined]
        session.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES ('runs', :n)"), {"n": highest})


def _advance_sequence(session: Session, table: str, column: str, highest: int) -> None:
    """PostgreSQL gives the next ids above those that were written by hand; SQLite does so by itself."""
    if session.get_bind().dialect.name == "sqlite" or highest == 0:
        return
    sequence = f"pg_get_serial_sequence('{table}', '{column}')"
    name = session.execute(text(f"SELECT {sequence}")).scalar_one()
    last = session.execute(text(f"SELECT last_value FROM {name}")).scalar_one()  # noqa: S608
    if last < highest:
        session.execute(text(f"SELECT setval('{name}', {int(highest)})"))
