"""One run back into the database, from the record and the events in its folder. Called by `rebuilding` and by daemons.

A run that lives is its daemon's, and is left as it is. Nothing here moves a run or adds an alert about old news.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlmodel import Session, col

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError
from imgcls_lab.events import LIVE, RunKind, RunState
from imgcls_lab.run_layout import events_name, launch_name
from imgcls_lab.run_paths import size
from imgcls_lab.settings import Settings
from imgcls_lab.store import audit, inherited, new_folders, run_folders, submitted
from imgcls_lab.store.database import Database, to_folder, touch
from imgcls_lab.store.folder_rows import Record, Row, columns, read_info, read_record, record_of, rows, to_info
from imgcls_lab.store.ingest import replay
from imgcls_lab.store.run_rows import find_run, repetition_of
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

# Columns that the events of a run that lives tell better than its record, which is of an earlier moment.
_FROM_EVENTS = (
    "step", "total_steps", "epoch", "epochs", "resumed_at_step", "seconds_left", "best_metric", "best_value",
    "best_epoch", "best_step", "best_values", "latest", "saved_step", "phase", "message", "config", "model_flavour",
    "root", "batch_size", "lr", "repetition",
)  # fmt: skip
_ATTEMPT_FROM_EVENTS = ("state", "resume_step", "trains_since", "events_offset", "seq", "failure", "message")
_OFFSETS = ("events_offset", "seq")
_ONLY_WHILE_LIVE = frozenset({"message", "phase", "seconds_left"})  # of an ended run, they were written at its end
_FRESH_ATTEMPT: Row = {
    "state": RunState.STARTING.value, "ended_at": None, "trains_since": None, "resume_step": None, "exit_code": None,
    "failure": None, "message": None, "events_offset": 0, "seq": 0,
}  # fmt: skip
RegistryIds = dict[str, dict[int, int]]  # by registry: the id that the folders name -> the id here


def take_in(database: Database, settings: Settings, run_id: str) -> None:
    """Add the row of a folder that a daemon has found, if that is for a daemon to do.

    A run of the queue that the database does not know is left alone. Either the database was made anew, and `rebuild`
    adds the run; or its submit was cut off, and the run must not start. Raises ConfigError, OSError for a folder that
    holds no run yet.
    """
    folder = settings.run_dir(run_id)
    if new_folders.is_unfinished(folder):
        with database.read() as session:
            has_row = session.execute(select(col(Run.id)).where(col(Run.id) == run_id)).first() is not None
        new_folders.finish(folder, has_row=has_row)
        return
    record = read_record(folder, settings.home_path)
    if record is None:
        row = read_info(folder).get("row")
        if not isinstance(row, dict) or row.get("external"):
            run_folders.adopt(database, settings, run_id)
    elif isinstance(record, Record) and record.run.get("external"):
        with database.write() as session:
            known = select(col(Run.id)).where(col(Run.id) == run_id)
            if session.execute(known).first() is None and session.get(DeletedRun, run_id) is None:
                restore_run(session, folder, record, {})


def restore_run(session: Session, folder: Path, record: Record, ids: RegistryIds) -> None:
    """Make the rows of a run what its folder says, whether it has some or not. The caller holds its row, if any."""
    run_id = folder.name
    created = float(record.run.get("created_at") or folder.stat().st_mtime)
    # records of before revision 0007 name nobody; one that counts is signed
    run = {"owner": audit.actor_of(session).user, **record.run, "view_only": False}
    # whatever the folder says: it lies in this home, and another home's daemon must not start what it holds
    run |= {"home": session.info["home"], "record_behind": False}
    given = run.get("fork_step") is not None or run.get("changes")  # so it repeats none
    older = not run.get("repetition") and not given  # of before revision 0011
    if older and run.get("config"):
        with contextlib.suppress(ConfigError):  # of a version that this one cannot read: it repeats none
            run["repetition"] = repetition_of(TrainConfig.parse_saved(run["config"]))
    if session.get_bind().dialect.name != "sqlite":  # several users share it, and a folder can name any of them
        run["owner"] = audit.actor_of(session).user
    run["project_id"] = run_folders.project_named(session, record.project, created)
    for name, table in (("datasets", Dataset), ("models", Model)):
        column = f"{name[:-1]}_id"
        entry = ids.get(name, {}).get(run.get(column) or 0, run.get(column))
        run[column] = entry if entry is not None and session.get(table, entry) is not None else None
    parent = run.get("parent_id")
    if parent is not None and session.execute(select(col(Run.id)).where(col(Run.id) == parent)).first() is None:
        run["parent_id"] = None
    here = session.execute(select(col(Run.number), col(Run.owner)).where(col(Run.id) == run_id)).first()
    number, run["owner"] = here or (None, run["owner"])  # a folder gives no run to somebody else
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
    _replay_attempts(session, folder, run, record.attempts)
    inherited.restore(session, folder, find_run(session, run_id))
    session.expunge_all()
    session.execute(delete(Dependency).where(col(Dependency.run_id) == run_id))
    for after in record.after:
        session.execute(insert(columns(Dependency)).values(run_id=run_id, after_id=after))
    for alert in record.alerts:
        restore_alert(session, alert)
    _claim_devices(session, run_id)
    submitted.note(session, run_id)
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


def index_again(session: Session, folder: Path, home: Path) -> None:
    """Index the points and files of a run that the database knows; its own rows stay. One that lives is a daemon's."""
    run_id = folder.name
    record = record_of(session, run_id)
    if record is None:
        return
    run = rows(session, Run, col(Run.id) == run_id)[0]
    whole = all(size(folder, events_name(row["number"])) >= row["events_offset"] for row in record.attempts)
    if whole and run["state"] not in {state.value for state in LIVE}:
        before, touched = _indexed(session, run), set(session.info.get("touched", ()))
        trial = session.begin_nested()
        _replay_attempts(session, folder, run, record.attempts)
        _put_back_missing(session, before)
        if _indexed(session, run) == before:  # so nothing is news to anybody
            trial.rollback()
            session.info["touched"] = touched
        else:
            trial.commit()
            touch(session, run_id)
    present = record_of(session, run_id)
    stored = read_record(folder, home)
    if present is not None and (not isinstance(stored, Record) or to_info(stored) != to_info(present)):
        to_folder(session, run_id)


def _put_back_missing(session: Session, before: tuple[Any, ...]) -> None:
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


def _indexed(session: Session, run: Row) -> tuple[Any, ...]:
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


def _replay_attempts(session: Session, folder: Path, run: Row, attempts: list[Row]) -> None:
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
        "step": 0, "epoch": 0.0, "latest": {}, "best_values": {}, "best_value": None, "best_epoch": None,
        "best_step": None, "saved_step": 0, "resumed_at_step": None, "total_steps": None, "seconds_left": None,
        "message": None, "phase": None, "size": None,
    }  # fmt: skip
    _set_run(session, run_id, begin)
    ahead = False
    for row in attempts:
        outside = not (folder / launch_name(row["number"])).exists() and run["kind"] == RunKind.TRAIN.value
        _set_run(session, run_id, {"state": RunState.STARTING.value, "attempt": row["number"], "external": outside})
        session.execute(insert(columns(Attempt)).values({**row, **_FRESH_ATTEMPT}))
        last = row is attempts[-1]
        if size(folder, events_name(row["number"])):
            replay(session, folder, run_id, row["number"], until=None if last else row["events_offset"])
        session.expunge_all()
        here = rows(session, Attempt, col(Attempt.run_id) == run_id, col(Attempt.number) == row["number"])[0]
        ahead = last and here["events_offset"] > row["events_offset"]
        ended = row["ended_at"] is not None
        fresh = (
            {}
            if ended and not ahead
            else {name: here[name] for name in (_ATTEMPT_FROM_EVENTS if not ended else _OFFSETS)}
        )
        if outside and not ended:
            fresh["devices"] = here["devices"]
        _set_attempt(session, {**row, **fresh})
    alive = run["state"] in {state.value for state in LIVE}
    here = rows(session, Run, col(Run.id) == run_id)[0]
    final = {name: value for name, value in run.items() if name != "number"} | {"changes": here["changes"]}
    if not run.get("best_values"):  # an earlier version kept none
        final["best_values"] = here["best_values"]
    if run.get("size") is None:
        final["size"] = here["size"]
    if attempts and (alive or ahead):
        final |= {name: here[name] for name in _FROM_EVENTS if alive or name not in _ONLY_WHILE_LIVE}
        if alive and run["state"] != RunState.STOPPING.value:
            final["state"] = here["state"]
        if alive and run["external"]:
            final["devices"] = here["devices"]
    _set_run(session, run_id, final)


def _set_run(session: Session, run_id: str, values: Row) -> None:
    session.execute(update(columns(Run)).where(columns(Run).c.id == run_id).values(values))


def _set_attempt(session: Session, row: Row) -> None:
    attempt = columns(Attempt)
    mine = (attempt.c.run_id == row["run_id"]) & (attempt.c.number == row["number"])
    session.execute(update(attempt).where(mine).values(row))


def restore_alert(session: Session, row: Row) -> None:
    """Add an alert as it was, at its place in the order of all. No webhook sends it again."""
    if session.get(Alert, row["id"]) is not None:
        return
    session.execute(insert(columns(Alert)).values(row))
    counter = columns(Counter)
    behind = (counter.c.name == "changes") & (counter.c.value < int(row.get("change") or 0))
    session.execute(update(counter).where(behind).values(value=int(row.get("change") or 0)))
