"""From run folders to rows: runs that train outside the executor, and folders whose run no database has known.

`adopt` adds a folder that has no row, `follow` brings such a run one step further; both may be cut off anywhere
and called again. The daemon calls them on its rounds for runs in kernels and shells, and `rebuilding` for old folders.
A run whose folder this home's own processes did not write is view only: it lives nowhere, and nothing of it is
executed.
No time is made up: what a folder does not tell is taken from its files, or stays unknown.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from imgcls_lab import signing
from imgcls_lab.config import TrainConfig
from imgcls_lab.data_revision import of_folder
from imgcls_lab.errors import DataError
from imgcls_lab.events import LIVE, RESUMABLE, DesiredState, FailureKind, RunKind, RunState
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.run_layout import CONFIG, OWNER, RUN_INFO, is_run_id, launch_name
from imgcls_lab.run_paths import read_json, read_plain
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import BACKENDS, Settings
from imgcls_lab.store import attempts, audit, inherited, kept_edits, rights, states, submitted
from imgcls_lab.store.database import Database, touch
from imgcls_lab.store.folder_rows import read_info
from imgcls_lab.store.folder_tree import tree_columns
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.registry import DEFAULT_PROJECT
from imgcls_lab.store.run_rows import config_columns, default_name, device_columns, find_run
from imgcls_lab.store.run_tags import tags_in
from imgcls_lab.store.tables import Attempt, Dataset, DeletedRun, Model, Project, Run
from imgcls_lab.store.verdict import ProcessEnd, Verdict, ended_at, judge, last_line, launched_at, read_end

_BEGINS: dict[str, Any] = {  # columns of a run whose next attempt begins
    "state": RunState.STARTING.value, "desired_state": DesiredState.RUN.value, "message": None, "phase": None,
    "seconds_left": None, "devices": [],
}  # fmt: skip
MAX_DEVICE, MAX_DEVICES = 200, 1000  # characters of a name, and names, that a folder may give
_EVENTS = re.compile(r"(?:events|launch)-([0-9]{3,})\.json")


def all_folders(settings: Settings, known: Set[str] = frozenset()) -> Iterator[str]:
    """Ids of all run folders but the known ones, which are not looked at: a daemon asks every two seconds."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(settings.runs_dir) as entries:
        for entry in entries:
            if entry.name not in known and is_run_id(entry.name) and entry.is_dir(follow_symlinks=False):
                yield entry.name


def unindexed_folders(settings: Settings) -> list[str]:
    """A sentence for each folder among the runs that is none by its name, so that nothing looks into it."""
    found = []
    for path in sorted(settings.runs_dir.iterdir()) if settings.runs_dir.is_dir() else ():
        if path.name.startswith(".") or not path.is_dir() or (is_run_id(path.name) and not path.is_symlink()):
            continue
        noted_id = str(read_info(path).get("id") or "")
        if path.is_symlink():
            remedy = "it is a link, and links are not followed. Move the folder itself here"
        elif is_run_id(noted_id) and not (settings.runs_dir / noted_id).exists():
            remedy = f"its name is no run's id. By its {RUN_INFO} it is the run {noted_id}: rename it to that"
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
        return ProcessIdentity.from_json(read_plain(folder, OWNER))
    except (OSError, ValueError):
        return None


def read_written_owner(folder: Path, attempt: int) -> dict[str, Any]:
    """What the supervisor of an attempt wrote of itself; empty while it has not."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        data = read_json(folder, OWNER)
        if data["attempt"] == attempt:
            return dict(data)
    return {}


def devices_of(written: dict[str, Any]) -> list[str]:
    """The devices that a cluster's scheduler gave an attempt, as its node agent wrote them; none on one machine."""
    node, devices = written.get("node"), written.get("devices")
    if not isinstance(node, str) or not isinstance(devices, list):
        return []
    return [f"{node}/gpu:{device}"[:MAX_DEVICE] for device in devices[:MAX_DEVICES]]


def adopt(database: Database, settings: Settings, run_id: str) -> bool:
    """Add the row of a folder that has none, at its first attempt. False: it has one, or was deleted.

    Raises ConfigError and OSError for a folder that holds no run (yet).
    """
    folder = settings.run_dir(run_id)
    info = read_info(folder)
    config = read_config(folder, info)
    own = signing.is_own(settings.home_path, folder)
    edits = {} if own else kept_edits.read(settings.home_path, folder)
    info |= {**edits, **({"row": edits} if edits else {})}
    numbers = attempts_in(folder) or [1]
    with database.write() as session:
        if session.exec(select(Run.id).where(Run.id == run_id)).first() or session.get(DeletedRun, run_id):
            return False
        run = _row(session, folder, config, info, numbers[0], own=own)
        run.archived = bool(edits.get("archived", False))
        session.add(run)
        session.flush()
        inherited.restore(session, folder, run)
        _open_attempt(session, folder, run_id, numbers[0], own=own)
        actor = audit.actor_of(session)
        if own and actor.way == "executor":  # else it is an old folder, which `db rebuild` has found
            audit.record(session, "launched", run, by=replace(actor, way="python"))
        if own:
            submitted.note(session, run_id)
        touch(session, run_id)
    return True


def project_named(session: Session, name: str, created_at: float) -> int:
    """The id of a project, which is made if it is not there; created_at: of the run that names it."""
    known = session.exec(select(Project.id).where(Project.name == name)).first()
    if known is not None:
        return known
    owner = "" if name == DEFAULT_PROJECT else audit.actor_of(session).user
    project = Project(name=name, owner=owner, created_at=created_at)
    session.add(project)
    session.flush()
    return project.id or 0


def _row(
    session: Session, folder: Path, config: TrainConfig | None, info: dict[str, Any], first: int, *, own: bool
) -> Run:
    created = float(info.get("created_at") or launched_at(folder, first) or folder.stat().st_mtime)
    parent, kind = info.get("parent_id"), _kind(info)
    request = SubmitRequest.model_construct(
        kind=kind, device=info.get("device"), gpus=info.get("gpus"), host=info.get("host")
    )
    columns = {**config_columns(config), **device_columns(request, config)}
    project_id = project_named(session, str(info.get("project") or DEFAULT_PROJECT), created)
    if not rights.may_add(session, project_id):
        project_id = project_named(session, DEFAULT_PROJECT, created)
    columns |= tree_columns(session, folder, info)
    identity: dict[str, Any] = {
        "id": folder.name,
        "kind": kind.value,
        "name": str(info.get("name") or default_name(kind, config)),
        "owner": audit.actor_of(session).user,  # the folder lies in this user's home
        "project_id": project_id,
        "home": session.info["home"],
        "dataset_id": session.exec(select(Dataset.id).where(Dataset.root == columns.get("root"))).first(),
        "model_id": session.exec(select(Model.id).where(Model.flavour == columns.get("model_flavour"))).first(),
        "parent_id": session.exec(select(Run.id).where(Run.id == parent)).first() if parent else None,
        "notes": str(info.get("notes") or ""),
        "tags": tags_in(info.get("row")),
        "payload": info["payload"] if isinstance(info.get("payload"), dict) else {},
        "python": str(info.get("python") or "") if own else "",
        "view_only": not own,
        **_corrections(folder),
    }
    standing: dict[str, Any] = {
        "state": RunState.STARTING.value,
        "attempt": first,
        "external": not (own and (folder / launch_name(first)).exists()),
        "created_at": created,
        "queued_at": created,
        "started_at": launched_at(folder, first),
        "updated_at": time.time(),
        "host": _host(folder, own=own),
        "devices": [],
        "latest": {},
    }
    return Run(**identity, **standing, **columns)


def _corrections(folder: Path) -> dict[str, Any]:
    """The columns about the corrections in a folder; none where it holds none that can be read."""
    try:
        overlay = of_folder(folder)
    except DataError:
        return {}
    return {} if overlay is None else {"data_revision": overlay.number, "data_revision_digest": overlay.digest}


def _open_attempt(session: Session, folder: Path, run_id: str, number: int, *, own: bool) -> None:
    last = own and number == max(attempts_in(folder), default=number)
    on_cluster = _host(folder, own=own) in BACKENDS  # where the job, and not a process of the node, is its owner
    owner = read_owner(folder) if last and not on_cluster else None
    devices = devices_of(read_written_owner(folder, number)) if own else []
    started = launched_at(folder, number) or folder.stat().st_mtime
    session.merge(
        Attempt(
            run_id=run_id, number=number, state=RunState.STARTING.value, host=_host(folder, own=own), devices=devices,
            owner=json.loads(owner.to_json()) if owner else None, pid=owner.pid if owner else None, started_at=started,
        )
    )  # fmt: skip


def _host(folder: Path, *, own: bool) -> str:
    """Where the run lives, or lived last; this host where its folder does not say, or came from elsewhere.

    A run of a cluster stands under the cluster, and not under the node that its scheduler chose.
    """
    if own and (cluster := _cluster_of(folder)) is not None:
        return cluster
    owner = read_owner(folder) if own else None
    return (owner.machine_id.rpartition(":")[2] if owner else "") or host_name()


def _cluster_of(folder: Path) -> str | None:
    """The cluster that a run's last launch was for; None: it started on a host, or outside the queue."""
    with contextlib.suppress(OSError, ValueError):
        launch = read_json(folder, launch_name(max(attempts_in(folder), default=1)))
        name = (launch.get("scheduler") or launch.get("host")) if isinstance(launch, dict) else None
        return name if name in BACKENDS else None
    return None


def follow(database: Database, settings: Settings, run_id: str, *, tell: bool = True) -> bool:
    """Bring a live run that no executor keeps up to its folder. True: it has ended, by what the folder proves.

    tell: an end that is news becomes an alert.
    """
    folder = settings.run_dir(run_id)
    with database.read() as session:
        run = find_run(session, run_id)
        number, desired_state, own = run.attempt, DesiredState(run.desired_state), not run.view_only
        if RunState(run.state) not in LIVE:
            return True
    newer = [other for other in attempts_in(folder) if other > number] if folder.is_dir() else []
    owner = read_owner(folder) if own else None
    gone = bool(newer) or owner is None or owner.status() == "dead"  # read before the last ingest of the events
    ingest(database, settings, run_id, number)
    with database.write() as session:
        row = session.get(Attempt, (run_id, number))
        verdict_of_events = attempts.reported(row) if row is not None else None
        if verdict_of_events is None and not gone:
            return False
        end = read_end(folder, number)
        run = find_run(session, run_id)
        trained = row is not None and row.state != RunState.STARTING.value
        if end is not None and desired_state is DesiredState.RUN:
            desired_state = end.desired_state
        verdict = verdict_of_events or judge(
            None, end, desired_state, saved_step=run.saved_step, trained=trained, last_line=last_line(folder)
        )
        if newer:
            _close(session, folder, number, verdict, end)
            return _next_attempt(session, folder, number, newer[0], own=own)
        if verdict.state is RunState.LOST:
            verdict = _abandoned(run.saved_step)
        ended = ended_at(folder, number, end)
        attempts.finish(session, run_id, number, verdict, end, at=ended, seen=None if tell else 0.0)
        if ended is None and not tell:  # nothing in the folder says when, and this is not the moment
            states.change_attempt(session, run_id, number, ended_at=None)
            states.change_run(session, run_id, ended_at=None)
    return True


def _close(session: Session, folder: Path, number: int, verdict: Verdict, end: ProcessEnd | None) -> None:
    """Write what an attempt in the middle of a history came to. The run itself goes on."""
    run_id = folder.name
    states.change_attempt(
        session, run_id, number, state=verdict.state.value, ended_at=ended_at(folder, number, end),
        failure=verdict.failure, message=verdict.message, exit_code=None if end is None else end.exit_code,
    )  # fmt: skip


def _next_attempt(session: Session, folder: Path, number: int, newer: int, *, own: bool) -> bool:
    """Open the attempt after one that was closed."""
    run_id, external = folder.name, not (own and (folder / launch_name(newer)).exists())
    if states.change_live(session, run_id, number, attempt=newer, external=external, **_BEGINS):
        _open_attempt(session, folder, run_id, newer, own=own)
    return False


def _abandoned(saved_step: int) -> Verdict:
    if saved_step:
        text = f"The program that trained it ended without a word; it can be resumed from step {saved_step}."
        return Verdict(RunState.STOPPED, message=text)
    text = "The program that trained it ended before its first checkpoint; resume it to start again."
    return Verdict(RunState.FAILED, FailureKind.LOST, text)


def reopen(database: Database, settings: Settings, run_id: str, known: int) -> bool:
    """Reopen a run of a kernel or shell whose folder shows a newer attempt than the row."""
    folder = settings.run_dir(run_id)
    newer = [number for number in attempts_in(folder) if number > known]
    if not newer or (folder / launch_name(newer[0])).exists():
        return False
    with database.write() as session:
        ended = col(Run.state).in_(states.texts(RESUMABLE))
        same = col(Run.attempt) == known
        begins: dict[str, Any] = {
            **_BEGINS, "attempt": newer[0], "host": host_name(), "ended_at": None, "failure": None,
        }  # fmt: skip
        reopened = states.change_run(session, run_id, ended, same, col(Run.external).is_(True), **begins)
        if reopened:
            _open_attempt(session, folder, run_id, newer[0], own=not find_run(session, run_id).view_only)
    return reopened


def _kind(info: dict[str, Any]) -> RunKind:
    """What a folder's run is; a training where it does not say."""
    return RunKind(info["kind"]) if info.get("kind") in [*RunKind] else RunKind.TRAIN


def read_config(folder: Path, info: dict[str, Any]) -> TrainConfig | None:
    """The config of a run; None where it is no training and has none. Raises ConfigError, OSError."""
    text = read_plain(folder, CONFIG)
    if _kind(info) is not RunKind.TRAIN and text.strip() == b"{}":
        return None
    return TrainConfig.parse_saved(text)
