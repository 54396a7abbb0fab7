"""`db rebuild`: rows that the database still has stay as they are, and what folders know besides is added.

Each run is indexed anew in one step or not at all, so it may be cut off anywhere and called again, beside living
executors too: what lives is theirs, and is left to them. Tells nobody of what is old; moves no run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlmodel import Session, col

from imgcls_lab.errors import ImgclsError
from imgcls_lab.events import LIVE, RunKind, RunState
from imgcls_lab.run_layout import events_name, launch_name
from imgcls_lab.settings import Settings
from imgcls_lab.store import alerts, run_counts, run_folders
from imgcls_lab.store.database import Database, to_folder, touch
from imgcls_lab.store.folder_rows import (
    REGISTRIES,
    Deleted,
    Record,
    Row,
    columns,
    of_run,
    read,
    read_info,
    read_registry,
    rows,
    to_json,
)
from imgcls_lab.store.ingest import replay
from imgcls_lab.store.run_files import remove_folder
from imgcls_lab.store.tables import (
    Alert,
    Artifact,
    Attempt,
    Counter,
    Dataset,
    DeletedRun,
    Dependency,
    DeviceClaim,
    Metric,
    Model,
    Run,
    ThinnedMetric,
)

Progress = Callable[[int, int], None]  # folders that are done, and all

STEP = 0.5  # seconds of one transaction: others wait for no longer
# Columns that the events of a run that lives tell better than its record, which is of an earlier moment.
_FROM_EVENTS = (
    "step", "total_steps", "epoch", "epochs", "resumed_at_step", "seconds_left", "best_metric", "best_value",
    "best_epoch", "best_step", "latest", "saved_step", "phase", "message", "config", "model_flavour", "root",
    "batch_size", "lr",
)  # fmt: skip
_OF_ATTEMPT = ("state", "resume_step", "trains_since", "events_offset", "seq", "failure", "message")
_REACHED = ("events_offset", "seq")
_ENDED_WITH = frozenset({"message", "phase", "seconds_left"})  # of a run that does not live: said at its end
_NOT_YET: Row = {
    "state": RunState.STARTING.value, "ended_at": None, "trains_since": None, "resume_step": None, "exit_code": None,
    "failure": None, "message": None, "events_offset": 0, "seq": 0,
}  # fmt: skip
Ids = dict[str, dict[int, int]]  # by registry: the id that the folders name -> the id here


@dataclass
class RebuildReport:
    """What `rebuild` did: runs indexed, and a sentence for each folder that could not be.

    new: the database knew no run, data set or model before; registries: whether `registry.json` was there then.
    """

    runs: int = 0
    new: bool = False
    registries: bool = False
    problems: list[str] = field(default_factory=list)


def rebuild_all(database: Database, settings: Settings, on_progress: Progress | None = None) -> RebuildReport:
    """Index all run folders. Raises StoreError; what was indexed until then stays."""
    registry = read_registry(settings)
    report = RebuildReport(registries=bool(registry))
    with database.write() as session:
        report.new = not any(session.execute(select(col(t.id)).limit(1)).first() for t in (Run, Dataset, Model))
        if not run_counts.are_right(session):
            run_counts.recount(session)
        ids = _registries(session, registry)
    found = list(_in_order(settings))
    with database.write() as session:
        _reserve(session, max((number or 0 for number, _ in found), default=0))
    waiting = iter([run_id for _, run_id in found])
    done, left = 0, []
    while True:
        until, more = time.monotonic() + STEP, False
        with database.write() as session:
            for run_id in waiting:
                more = True
                outcome = _one(session, settings, run_id, ids, report)
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
        alerts.prune(session)
    report.problems += run_folders.strangers(settings)
    return report


def _in_order(settings: Settings) -> Iterator[tuple[int | None, str]]:
    """Number, if it is known, and id of all runs: parents before what they started."""
    found = []
    for run_id in run_folders.all_folders(settings):
        row = read_info(settings.run_dir(run_id)).get("row")
        number = row.get("number") if isinstance(row, dict) else None
        found.append((number if isinstance(number, int) else None, run_id))
    yield from sorted(found, key=lambda one: (one[0] is None, one[0] or 0, one[1]))


def _one(session: Session, settings: Settings, run_id: str, ids: Ids, report: RebuildReport) -> bool | None:
    """Index one run. None: its folder holds no record and the database no row, so that it is judged by its files."""
    folder = settings.run_dir(run_id)
    try:
        with session.begin_nested():
            lock = select(col(Run.revision)).where(col(Run.id) == run_id).with_for_update()
            revision = session.execute(lock).scalar_one_or_none()
            record = read(folder)  # now that nobody writes it
            if isinstance(record, Deleted) and revision is None:
                remove_folder(settings, run_id)
                return True
            if revision is None and not isinstance(record, Record):
                return None
            if isinstance(record, Record) and (revision is None or record.run["revision"] > revision):
                restore(session, folder, record, ids)
            else:
                _again(session, folder, run_id)
        report.runs += 1
    except (OSError, ImgclsError, KeyError, ValueError, TypeError) as error:
        report.problems.append(f"{folder} could not be indexed: {error}")
    return True


def _by_folder_alone(database: Database, settings: Settings, run_id: str, report: RebuildReport) -> None:
    """A run that no database has known, or an older version: what it came to is judged by its files."""
    folder = settings.run_dir(run_id)
    try:
        run_folders.read_config(folder, read_info(folder))
        with database.write() as session:  # it was put back, so it is wanted
            session.execute(delete(DeletedRun).where(col(DeletedRun.id) == run_id))
        run_folders.adopt(database, settings, run_id)
        owner = run_folders.read_owner(folder)
        alive = owner is not None and owner.status() != "dead"
        for _ in range(10_000):
            ended = run_folders.follow(database, settings, run_id, tell=False)
            if ended or (alive and _is_last(database, folder, run_id)):
                break
        report.runs += 1
    except (OSError, ImgclsError) as error:
        report.problems.append(f"{folder} could not be indexed: {error}")


def _is_last(database: Database, folder: Path, run_id: str) -> bool:
    with database.read() as session:
        attempt = session.execute(select(col(Run.attempt)).where(col(Run.id) == run_id)).scalar_one()
    return bool(attempt >= max(run_folders.attempts_in(folder), default=0))


def take_in(database: Database, settings: Settings, run_id: str) -> None:
    """Add the row of a folder that a daemon has found, if that is for a daemon to do.

    A run of the queue that the database does not know is not: the database was made anew, and `rebuild` adds it; or
    its submit was cut off, and must not start unasked. Raises ConfigError, OSError for a folder that holds no run yet.
    """
    record = read(settings.run_dir(run_id))
    if record is None:
        run_folders.adopt(database, settings, run_id)
    elif isinstance(record, Record) and record.run.get("external"):
        with database.write() as session:
            known = select(col(Run.id)).where(col(Run.id) == run_id)
            if session.execute(known).first() is None and session.get(DeletedRun, run_id) is None:
                restore(session, settings.run_dir(run_id), record, {})


# ── one run ─────────────────────────────────────────────────────────────────────────────────────────────────────
def restore(session: Session, folder: Path, record: Record, ids: Ids) -> None:
    """Make the rows of a run what its folder says, whether it has some or not. The caller holds its row, if any."""
    run_id = folder.name
    created = float(record.run.get("created_at") or folder.stat().st_mtime)
    run = {**record.run, "project_id": run_folders.project_named(session, record.project, created)}
    for name, table in (("datasets", Dataset), ("models", Model)):
        column = f"{name[:-1]}_id"
        entry = ids.get(name, {}).get(run.get(column) or 0, run.get(column))
        run[column] = entry if entry is not None and session.get(table, entry) is not None else None
    parent = run.get("parent_id")
    if parent is not None and session.execute(select(col(Run.id)).where(col(Run.id) == parent)).first() is None:
        run["parent_id"] = None
    number = session.execute(select(col(Run.number)).where(col(Run.id) == run_id)).scalar_one_or_none()
    session.execute(delete(DeletedRun).where(col(DeletedRun.id) == run_id))
    session.execute(delete(DeviceClaim).where(col(DeviceClaim.run_id) == run_id))
    if number is None:
        taken = session.execute(select(col(Run.id)).where(col(Run.number) == run["number"])).first()
        number = None if taken else run["number"]
        session.add(Run(**{**run, "number": number}))
        session.flush()
        session.expunge_all()
        number = session.execute(select(col(Run.number)).where(col(Run.id) == run_id)).scalar_one()
    run["number"] = number
    _index(session, folder, run, record.attempts)
    session.execute(delete(Dependency).where(col(Dependency.run_id) == run_id))
    for after in record.after:
        session.execute(insert(columns(Dependency)).values(run_id=run_id, after_id=after))
    for alert in record.alerts:
        _restore_alert(session, alert)
    _claim_devices(session, run_id)
    touch(session, run_id)


def _claim_devices(session: Session, run_id: str) -> None:
    """A run that lives holds its devices; one outside the queue holds none."""
    run = rows(session, Run, col(Run.id) == run_id)[0]
    if run["state"] not in {state.value for state in LIVE} or run["external"]:
        return
    for attempt in rows(session, Attempt, col(Attempt.run_id) == run_id, col(Attempt.number) == run["attempt"]):
        for device in attempt["devices"]:
            key = (attempt["host"], device)
            if session.get(DeviceClaim, key) is None:
                session.add(
                    DeviceClaim(
                        host=key[0], device=device, run_id=run_id, attempt=attempt["number"],
                        claimed_at=attempt["started_at"],
                    )
                )  # fmt: skip
    session.flush()


def _again(session: Session, folder: Path, run_id: str) -> None:
    """Index the points and files of a run that the database knows; its own rows stay. One that lives is a daemon's."""
    record = of_run(session, run_id)
    if record is None:
        return
    run = rows(session, Run, col(Run.id) == run_id)[0]
    whole = all(_size(folder, row["number"]) >= row["events_offset"] for row in record.attempts)
    if whole and run["state"] not in {state.value for state in LIVE}:
        before, touched = _made(session, run), set(session.info.get("touched", ()))
        trial = session.begin_nested()
        _index(session, folder, run, record.attempts)
        _keep(session, before)
        if _made(session, run) == before:  # so nothing is news to anybody
            trial.rollback()
            session.info["touched"] = touched
        else:
            trial.commit()
            touch(session, run_id)
    present = of_run(session, run_id)
    stored = read(folder)
    if present is not None and (not isinstance(stored, Record) or to_json(stored) != to_json(present)):
        to_folder(session, run_id)


def _keep(session: Session, before: tuple[Any, ...]) -> None:
    """Put back points and files that the database had and the folder does not know any more: of a damaged line."""
    points, artifacts, *_ = before
    for table, had in ((Metric, [dict(point._mapping) for point in points]), (Artifact, artifacts)):
        unique = ("run_number", "tag_id", "step", "attempt", "seq") if table is Metric else ("run_id", "kind", "name")
        plain = columns(table)
        mine = {tuple(row[name] for name in unique): row for row in had}
        if not mine:
            continue
        owner = plain.c[unique[0]] == had[0][unique[0]]
        for here in session.execute(select(*(plain.c[name] for name in unique)).where(owner)).all():
            mine.pop(tuple(here), None)
        lost = [{name: value for name, value in row.items() if name != "id"} for row in mine.values()]
        if lost:
            session.execute(insert(plain), lost)


def _made(session: Session, run: Row) -> tuple[Any, ...]:
    """All that `_index` writes, but for keys that the database makes itself, and what is a short form of points."""
    points = columns(Metric)
    found = session.execute(select(points).where(points.c.run_number == run["number"]).order_by(*points.primary_key))
    artifacts = [{**row, "id": None} for row in rows(session, Artifact, col(Artifact.run_id) == run["id"])]
    return (
        found.all(),
        sorted(artifacts, key=lambda row: (row["kind"], row["name"])),
        rows(session, Attempt, col(Attempt.run_id) == run["id"]),
        rows(session, Run, col(Run.id) == run["id"]),
    )


def _index(session: Session, folder: Path, run: Row, attempts: list[Row]) -> None:
    """Go through the events of all attempts anew, as they came; then write what run and attempts came to."""
    run_id, number = run["id"], run["number"]
    for table, mine in (
        (Metric, col(Metric.run_number) == number),
        (ThinnedMetric, col(ThinnedMetric.run_number) == number),
        (Artifact, col(Artifact.run_id) == run_id),
        (Attempt, col(Attempt.run_id) == run_id),
    ):
        session.execute(delete(table).where(mine).execution_options(synchronize_session=False))
    session.expunge_all()
    begin: Row = {
        "step": 0, "epoch": 0.0, "latest": {}, "best_value": None, "best_epoch": None, "best_step": None,
        "saved_step": 0, "resumed_at_step": None, "total_steps": None, "seconds_left": None, "message": None,
        "phase": None,
    }  # fmt: skip
    _set(session, run_id, begin)
    ahead = False
    for row in attempts:
        outside = not (folder / launch_name(row["number"])).exists() and run["kind"] == RunKind.TRAIN.value
        _set(session, run_id, {"state": RunState.STARTING.value, "attempt": row["number"], "external": outside})
        session.execute(insert(columns(Attempt)).values({**row, **_NOT_YET}))
        last = row is attempts[-1]
        if _size(folder, row["number"]):
            replay(session, folder, run_id, row["number"], until=None if last else row["events_offset"])
        session.expunge_all()
        here = rows(session, Attempt, col(Attempt.run_id) == run_id, col(Attempt.number) == row["number"])[0]
        ahead = last and here["events_offset"] > row["events_offset"]
        ended = row["ended_at"] is not None
        fresh = {} if ended and not ahead else {name: here[name] for name in (_OF_ATTEMPT if not ended else _REACHED)}
        if outside and not ended:
            fresh["devices"] = here["devices"]
        _set_attempt(session, {**row, **fresh})
    alive = run["state"] in {state.value for state in LIVE}
    final = {name: value for name, value in run.items() if name != "number"}
    if attempts and (alive or ahead):
        here = rows(session, Run, col(Run.id) == run_id)[0]
        final |= {name: here[name] for name in _FROM_EVENTS if alive or name not in _ENDED_WITH}
        if alive and run["state"] != RunState.STOPPING.value:
            final["state"] = here["state"]
        if alive and run["external"]:
            final["devices"] = here["devices"]
    _set(session, run_id, final)


def _set(session: Session, run_id: str, values: Row) -> None:
    session.execute(update(columns(Run)).where(columns(Run).c.id == run_id).values(values))


def _set_attempt(session: Session, row: Row) -> None:
    attempt = columns(Attempt)
    mine = (attempt.c.run_id == row["run_id"]) & (attempt.c.number == row["number"])
    session.execute(update(attempt).where(mine).values(row))


def _size(folder: Path, attempt: int) -> int:
    try:
        return (folder / events_name(attempt)).stat().st_size
    except OSError:
        return 0


# ── what belongs to no run ──────────────────────────────────────────────────────────────────────────────────────
def _restore_alert(session: Session, row: Row) -> None:
    """As it was told, at its place in the order of all; who has not been told it yet is told once more by nobody."""
    if session.get(Alert, row["id"]) is not None:
        return
    session.execute(insert(columns(Alert)).values(row))
    counter = columns(Counter)
    behind = (counter.c.name == "changes") & (counter.c.value < int(row.get("change") or 0))
    session.execute(update(counter).where(behind).values(value=int(row.get("change") or 0)))


def _registries(session: Session, registry: dict[str, list[Row]]) -> Ids:
    """Add the entries of `registry.json` that are not there; under their ids, if these are free."""
    ids: Ids = {}
    for name, table in REGISTRIES.items():
        plain = columns(table)
        ids[name] = {}
        for row in registry.get(name, ()):
            if "project_id" in row:
                row["project_id"] = ids["projects"].get(row["project_id"], row["project_id"])
            found = session.execute(select(plain).where(plain.c.name == row["name"])).mappings().first()
            if found is None:
                free = session.execute(select(plain.c.id).where(plain.c.id == row["id"])).first() is None
                values = row if free else {key: value for key, value in row.items() if key != "id"}
                ids[name][row["id"]] = session.execute(insert(plain).values(values).returning(plain.c.id)).scalar_one()
                continue
            ids[name][row["id"]] = found["id"]
            if row["created_at"] < found["created_at"]:  # a new database made it anew, as it does the first project
                said = {key: row[key] for key, value in found.items() if value in ("", None) and key in row}
                older = {**said, "created_at": row["created_at"]}
                session.execute(update(plain).where(plain.c.id == found["id"]).values(older))
        _advance(session, plain.name, "id", session.execute(select(func.max(plain.c.id))).scalar_one() or 0)
        gone = {(name, row["id"], row["created_at"]) for row in registry.get(name, ())}
        session.info.setdefault("gone", set()).update(gone)  # from the file; those that are here come back into it
    for row in registry.get("alerts", ()):
        _restore_alert(session, row)
    session.info["registry"] = True
    return ids


def _reserve(session: Session, highest: int) -> None:
    """Keep the numbers of the folders' runs free, so that a run that is submitted meanwhile takes none of them."""
    if session.get_bind().dialect.name != "sqlite":
        _advance(session, "runs", "number", highest)
        return
    known = session.execute(text("UPDATE sqlite_sequence SET seq = max(seq, :n) WHERE name = 'runs'"), {"n": highest})
    if known.rowcount == 0:  # type: ignore[attr-defined]
        session.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES ('runs', :n)"), {"n": highest})


def _advance(session: Session, table: str, column: str, highest: int) -> None:
    """PostgreSQL gives the next ids above those that were written by hand; SQLite does so by itself."""
    if session.get_bind().dialect.name == "sqlite" or highest == 0:
        return
    sequence = f"pg_get_serial_sequence('{table}', '{column}')"
    name = session.execute(text(f"SELECT {sequence}")).scalar_one()
    last = session.execute(text(f"SELECT last_value FROM {name}")).scalar_one()  # noqa: S608
    if last < highest:
        session.execute(text(f"SELECT setval('{name}', {int(highest)})"))
