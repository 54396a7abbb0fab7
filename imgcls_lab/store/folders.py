"""From run folders to rows: runs that train outside the executor, and `db rebuild`, which makes the index anew.

`adopt` adds a folder that has no row, `follow` brings such a run one step further; both may be cut off anywhere
and called again. The daemon calls them on its rounds for runs in kernels and shells.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ImgclsError
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.layout import CONFIG, OWNER, RUN_INFO, is_run_id, launch_name, read_plain
from imgcls_lab.protocol import LIVE, RESUMABLE, Desired, FailureKind, RunKind, RunState
from imgcls_lab.settings import Settings
from imgcls_lab.store import attempts, counts, states
from imgcls_lab.store.database import Database, touch
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.outcome import Verdict, began_at, ended_at, judge, last_line, read_end
from imgcls_lab.store.registry import default_project
from imgcls_lab.store.runs import config_columns, default_name, device_columns, find_run
from imgcls_lab.store.tables import Artifact, Attempt, Dataset, DeletedRun, Metric, Model, Project, Run
from imgcls_lab.wire import SubmitRequest

_EVENTS = re.compile(r"(?:events|launch)-([0-9]{3,})\.json")


@dataclass
class RebuildReport:
    """What `rebuild` did: runs indexed, and a sentence for each folder that could not be. new: nothing was known."""

    runs: int = 0
    new: bool = False
    problems: list[str] = field(default_factory=list)


def all_folders(settings: Settings) -> Iterator[str]:
    """Ids of all run folders."""
    if settings.runs_dir.is_dir():
        for path in settings.runs_dir.iterdir():
            if is_run_id(path.name) and path.is_dir() and not path.is_symlink():
                yield path.name


def strangers(settings: Settings) -> list[str]:
    """A sentence for each folder among the runs that is none by its name, so that nothing looks into it."""
    found = []
    for path in sorted(settings.runs_dir.iterdir()) if settings.runs_dir.is_dir() else ():
        if path.name.startswith(".") or not path.is_dir() or (is_run_id(path.name) and not path.is_symlink()):
            continue
        told = str(_read_info(path).get("id") or "")
        if path.is_symlink():
            remedy = "it is a link, and links are not followed. Move the folder itself here"
        elif is_run_id(told) and not (settings.runs_dir / told).exists():
            remedy = f"its name is no run's id. By its {RUN_INFO} it is the run {told}: rename it to that"
        else:
            remedy = "its name is no run's id. Rename it to the id that the run had, or move it away"
        found.append(f"{path} is not indexed: {remedy}.")
    return found


def attempts_in(folder: Path) -> list[int]:
    """Numbers of the attempts that left a trace in a folder."""
    found = (_EVENTS.match(path.name) for path in folder.iterdir())
    return sorted({int(match[1]) for match in found if match})


def read_owner(folder: Path) -> ProcessIdentity | None:
    """Who runs it now, or ran it last."""
    try:
        return ProcessIdentity.from_json(read_plain(folder / OWNER))
    except (OSError, ValueError):
        return None


def adopt(database: Database, settings: Settings, run_id: str) -> bool:
    """Add the row of a folder that has none, at its first attempt. False: it has one, or was deleted.

    Raises ConfigError and OSError for a folder that holds no run (yet).
    """
    folder = settings.run_dir(run_id)
    info = _read_info(folder)
    config = _read_config(folder, info)
    numbers = attempts_in(folder) or [1]
    with database.write() as session:
        if session.exec(select(Run.id).where(Run.id == run_id)).first() or session.get(DeletedRun, run_id):
            return False
        run = _row(session, folder, config, info, numbers[0])
        session.add(run)
        session.flush()
        _open_attempt(session, folder, run_id, numbers[0])
        touch(session, run_id)
    return True


def _row(session: Session, folder: Path, config: TrainConfig | None, info: dict[str, Any], first: int) -> Run:
    project = session.exec(select(Project).where(Project.name == str(info.get("project") or "default"))).first()
    if project is None and info.get("project"):
        project = Project(name=str(info["project"]), created_at=time.time())
        session.add(project)
        session.flush()
    project = project or default_project(session)
    now = time.time()
    created = float(info.get("created_at") or now)
    parent, kind = info.get("parent_id"), _kind(info)
    wish = SubmitRequest.model_construct(
        kind=kind, device=info.get("device"), gpus=info.get("gpus"), host=info.get("host")
    )
    columns = config_columns(config)
    return Run(
        id=folder.name,
        kind=kind.value,
        name=str(info.get("name") or default_name(kind, config)),
        project_id=project.id or 0,
        dataset_id=session.exec(select(Dataset.id).where(Dataset.root == columns.get("root"))).first(),
        model_id=session.exec(select(Model.id).where(Model.flavour == columns.get("model_flavour"))).first(),
        parent_id=session.exec(select(Run.id).where(Run.id == parent)).first() if parent else None,
        state=RunState.STARTING.value,
        attempt=first,
        external=not (folder / launch_name(first)).exists(),
        python=str(info.get("python") or ""),
        created_at=created,
        queued_at=created,
        started_at=began_at(folder, first) or created,
        updated_at=now,
        host=host_name(),
        devices=[],
        latest={},
        notes=str(info.get("notes") or ""),
        payload=info["payload"] if isinstance(info.get("payload"), dict) else {},
        **device_columns(wish, config),
        **columns,
    )


def _open_attempt(session: Session, folder: Path, run_id: str, number: int) -> None:
    owner = read_owner(folder)
    started = began_at(folder, number) or time.time()
    session.merge(
        Attempt(
            run_id=run_id, number=number, state=RunState.STARTING.value, host=host_name(), devices=[],
            owner=json.loads(owner.to_json()) if owner else None, pid=owner.pid if owner else None, started_at=started,
        )
    )  # fmt: skip


def follow(database: Database, settings: Settings, run_id: str) -> bool:
    """Bring a live run that no executor keeps up to its folder. True: it has ended, by what the folder proves."""
    folder = settings.run_dir(run_id)
    with database.read() as session:
        run = find_run(session, run_id)
        number, desired = run.attempt, Desired(run.desired)
        if RunState(run.state) not in LIVE:
            return True
    newer = [other for other in attempts_in(folder) if other > number] if folder.is_dir() else []
    owner = read_owner(folder)
    gone = bool(newer) or owner is None or owner.status() == "dead"  # asked before the last look at the events
    ingest(database, settings, run_id, number)
    with database.write() as session:
        row = session.get(Attempt, (run_id, number))
        said = attempts.said(row) if row is not None else None
        if said is None and not gone:
            return False
        end = read_end(folder, number)
        if newer:
            return _next_attempt(session, folder, number, newer[0], said)
        run = find_run(session, run_id)
        trained = row is not None and row.resume_step is not None
        verdict = said or judge(
            None, end, desired, saved_step=run.saved_step, trained=trained, last_line=last_line(folder)
        )
        if verdict.state is RunState.LOST:
            verdict = _abandoned(run.saved_step)
        attempts.finish(session, run_id, number, verdict, end, at=ended_at(folder, number, end))
    return True


def _next_attempt(session: Session, folder: Path, number: int, newer: int, said: Verdict | None) -> bool:
    """Close an attempt in the middle of a history and open the one after it. The run itself goes on."""
    run_id, state = folder.name, said.state if said else RunState.LOST
    states.change_attempt(session, run_id, number, state=state.value, ended_at=_ended(folder, number))
    external = not (folder / launch_name(newer)).exists()
    if states.change_live(session, run_id, number, attempt=newer, external=external, desired=Desired.RUN.value):
        _open_attempt(session, folder, run_id, newer)
    return False


def _ended(folder: Path, number: int) -> float:
    return ended_at(folder, number, read_end(folder, number)) or time.time()


def _abandoned(saved_step: int) -> Verdict:
    if saved_step:
        text = f"The program that trained it ended without a word; it can be resumed from step {saved_step}."
        return Verdict(RunState.STOPPED, message=text)
    text = "The program that trained it ended before its first checkpoint; resume it to start again."
    return Verdict(RunState.FAILED, FailureKind.LOST, text)


def begins_again(database: Database, settings: Settings, run_id: str, known: int) -> bool:
    """Reopen a run of a kernel or shell whose folder shows a newer attempt than the row."""
    folder = settings.run_dir(run_id)
    newer = [number for number in attempts_in(folder) if number > known]
    if not newer or (folder / launch_name(newer[0])).exists():
        return False
    with database.write() as session:
        reopened = states.change_run(
            session, run_id,
            col(Run.state).in_(states.texts(RESUMABLE)), col(Run.attempt) == known, col(Run.external).is_(True),
            state=RunState.STARTING.value, attempt=newer[0], host=host_name(), ended_at=None, message=None,
            failure=None, desired=Desired.RUN.value,
        )  # fmt: skip
        if reopened:
            _open_attempt(session, folder, run_id, newer[0])
    return reopened


def rebuild_all(database: Database, settings: Settings) -> RebuildReport:
    """Index every run folder anew; registries and waiting runs stay as they are. Runs that live are left alone."""
    with database.read() as session:
        known = [session.exec(select(table.id).limit(1)).first() for table in (Run, Dataset, Model)]
    report = RebuildReport(new=not any(known))
    with database.write() as session:
        counts.recount(session)
    for run_id in sorted(all_folders(settings)):
        folder = settings.run_dir(run_id)
        owner = read_owner(folder)
        if owner is not None and owner.status() != "dead" and _has_row(database, run_id):
            continue
        try:
            _read_config(folder, _read_info(folder))
            _forget(database, run_id)
            adopt(database, settings, run_id)
            alive = owner is not None and owner.status() != "dead"
            for _ in range(10_000):
                if follow(database, settings, run_id) or (alive and _is_last(database, folder, run_id)):
                    break
            report.runs += 1
        except (OSError, ImgclsError) as error:
            report.problems.append(f"{folder} could not be indexed: {error}")
    report.problems += strangers(settings)
    return report


def _has_row(database: Database, run_id: str) -> bool:
    with database.read() as session:
        return session.exec(select(Run.id).where(Run.id == run_id)).first() is not None


def _is_last(database: Database, folder: Path, run_id: str) -> bool:
    with database.read() as session:
        return find_run(session, run_id).attempt >= max(attempts_in(folder), default=0)


def _forget(database: Database, run_id: str) -> None:
    """Remove what the database knows of a run, and that it was deleted, before its folder is read again."""
    with database.write() as session:
        session.execute(delete(DeletedRun).where(col(DeletedRun.id) == run_id))
        number = session.exec(select(Run.number).where(Run.id == run_id)).first()
        if number is None:
            return
        session.execute(delete(Metric).where(col(Metric.run_number) == number))
        for table in (Artifact, Attempt):
            session.execute(delete(table).where(col(table.run_id) == run_id))
        session.execute(delete(Run).where(col(Run.number) == number).execution_options(synchronize_session=False))


def _kind(info: dict[str, Any]) -> RunKind:
    """What a folder's run is; a training where it does not say."""
    return RunKind(info["kind"]) if info.get("kind") in set(RunKind) else RunKind.TRAIN


def _read_config(folder: Path, info: dict[str, Any]) -> TrainConfig | None:
    """The config of a run; None where it is no training and has none. Raises ConfigError, OSError."""
    text = read_plain(folder / CONFIG)
    if _kind(info) is not RunKind.TRAIN and text.strip() == b"{}":
        return None
    return TrainConfig.parse(text)


def _read_info(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_plain(folder / RUN_INFO))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
