"""What people do with runs: submit, stop, resume, rename, delete. Called through `Store`; writes no attempt.

A run that waits is moved here; of a run that lives only `desired` is set, and a daemon does the rest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConflictError, InputError, NotFoundError
from imgcls_lab.events import ENDED, LIVE, RESUMABLE, DesiredState, RunKind, RunState
from imgcls_lab.run_layout import is_run_id, new_run_id
from imgcls_lab.schemas import RunEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import states
from imgcls_lab.store.database import Database, touch
from imgcls_lab.store.registry import default_project, find_project
from imgcls_lab.store.tables import Attempt, Dataset, DeletedRun, Dependency, Metric, Model, Run


def find_run(session: Session, text: str) -> Run:
    """The run of an id or of a prefix that only one run has. Raises NotFoundError, InputError."""
    run = session.exec(select(Run).where(Run.id == text)).first()
    if run is not None:
        return run
    found = (
        session.exec(select(Run).where(col(Run.id).startswith(text, autoescape=True)).limit(3)).all() if text else []
    )
    if not found:
        raise NotFoundError(f"There is no run “{text}”. `imgcls-lab runs` lists them.")
    if len(found) > 1:
        raise InputError(f"“{text}” is the beginning of several runs, such as {found[0].id} and {found[1].id}.")
    return found[0]


def submit(database: Database, request: SubmitRequest, run_id: str | None = None) -> str:
    """Queue a run; its id. The same key and body give the same run, however many ask at once.

    Raises ConfigError, NotFoundError for a project, data set, model or run that is not there, and ConflictError
    when the key was used with another body.
    """
    training = request.kind is RunKind.TRAIN
    config = TrainConfig.parse(request.config) if training or request.config else None
    if run_id is not None and not is_run_id(run_id):
        raise InputError(f"“{run_id}” is not a run id.")
    # without defaults: a field that a later version adds must not make the same body another
    body = request.model_dump(mode="json", exclude={"idempotency_key"}, exclude_defaults=True)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    if request.idempotency_key is not None:
        earlier = _submitted(database, request.idempotency_key, digest)
        if earlier is not None:
            return earlier
    try:
        with database.write() as session:
            run = new_run(session, run_id or new_run_id(), config, request, digest)
            session.add(run)
            session.flush()
            for after in dict.fromkeys(find_run(session, text).id for text in request.after):
                session.add(Dependency(run_id=run.id, after_id=after))
            if not request.name:
                run.name = f"{run.name} #{run.number}"
            touch(session, run.id)
            return run.id
    except IntegrityError as error:
        if request.idempotency_key is not None:  # another was first with this key
            earlier = _submitted(database, request.idempotency_key, digest)
            if earlier is not None:
                return earlier
        raise ConflictError("A run with this id exists already, or what it refers to was just deleted.") from error


def _submitted(database: Database, key: str, digest: str) -> str | None:
    with database.read() as session:
        row = session.exec(select(Run.id, Run.body_digest).where(Run.idempotency_key == key)).first()
    if row is None:
        return None
    if row[1] != digest:
        raise ConflictError("This idempotency key was used for another run; use a new key.")
    return row[0]


def new_run(
    session: Session, run_id: str, config: TrainConfig | None, request: SubmitRequest, digest: str | None
) -> Run:
    """A row for a run that waits, linked to what it refers to. Not added yet."""
    project = find_project(session, request.project_id) if request.project_id else default_project(session)
    dataset_id, model_id = request.dataset_id, request.model_id
    if dataset_id is not None and session.get(Dataset, dataset_id) is None:
        raise NotFoundError(f"There is no data set {dataset_id}.")
    if model_id is not None and session.get(Model, model_id) is None:
        raise NotFoundError(f"There is no model {model_id}.")
    if request.parent_id is not None:
        find_run(session, request.parent_id)
    if dataset_id is None and config is not None:
        dataset_id = session.exec(select(Dataset.id).where(Dataset.root == config.root)).first()
    if model_id is None and config is not None:
        same = select(Model.id).where(Model.flavour == config.model_flavour, Model.revision == config.revision)
        model_id = session.exec(same).first()
    now = time.time()
    return Run(
        id=run_id,
        kind=request.kind.value,
        name=request.name or default_name(request.kind, config),
        project_id=project.id or 0,
        dataset_id=dataset_id,
        model_id=model_id,
        parent_id=request.parent_id,
        state=RunState.QUEUED.value,
        priority=request.priority,
        python=sys.executable,
        created_at=now,
        queued_at=now,
        updated_at=now,
        devices=[],
        latest={},
        notes=request.notes,
        payload=request.payload,
        idempotency_key=request.idempotency_key,
        body_digest=digest,
        **device_columns(request, config),
        **config_columns(config),
    )


def default_name(kind: RunKind, config: TrainConfig | None) -> str:
    """The name of a run that was given none."""
    if config is None:
        return kind.value.capitalize()
    return f"{Path(config.root).name} {Path(config.model_flavour).name}"


def device_columns(request: SubmitRequest, config: TrainConfig | None) -> dict[str, Any]:
    """What a run needs of a host: as the request says, else its config, else what its kind needs."""
    drives = request.kind is RunKind.SWEEP  # it starts other runs and computes nothing
    device = request.device or ("none" if drives else config.device if config else "auto")
    if device == "auto" and (request.gpus or 1) > 1:  # a number of GPUs is no wish that a CPU can grant
        device = "cuda"
    gpus = request.gpus or (config.num_processes if config else 1)
    return {"device_wanted": device, "gpus_wanted": gpus, "host_wanted": request.host}


def config_columns(config: TrainConfig | None) -> dict[str, Any]:
    """The columns of a run that its config gives."""
    if config is None:
        return {"config": {}}
    return {
        "config": config.model_dump(mode="json"),
        "model_flavour": config.model_flavour,
        "root": config.root,
        "batch_size": config.batch_size,
        "lr": config.lr,
        "epochs": config.epochs,
        "best_metric": config.monitor_metric,
    }


def request_change(session: Session, text: str, desired: DesiredState) -> str:
    """Ask a run to stop or to end at once; its id. Asking twice is asking once. Raises ConflictError.

    A run that waits is called back: cancelled, or again what its last attempt came to, with the reason of that.
    """
    if desired is DesiredState.RUN:
        raise ConflictError("A stop cannot be taken back; wait until the run has stopped, then resume it.")
    run = find_run(session, text)
    back, values = _called_back(session, run)
    values |= {"phase": None, "seconds_left": None, "desired": desired.value}
    if states.move(session, run.id, back, col(Run.state) == RunState.QUEUED.value, **values):
        return run.id
    live = col(Run.state).in_(states.texts(LIVE))
    weaker = ["run"] if desired is DesiredState.STOP else ["run", "stop"]
    if states.change_run(session, run.id, live, col(Run.desired).in_(weaker), desired=desired.value):
        return run.id
    state = RunState(session.exec(select(Run.state).where(Run.id == run.id)).one())
    if state in {RunState.SUCCEEDED, RunState.FAILED}:
        raise ConflictError(f"The run “{run.name}” is not running any more: it {state.value}.")
    return run.id


def _called_back(session: Session, run: Run) -> tuple[RunState, dict[str, Any]]:
    """What a waiting run is when it is called back, and the columns that say so."""
    last = session.get(Attempt, (run.id, run.attempt))
    if last is None:
        return RunState.CANCELLED, {"ended_at": time.time(), "message": None, "failure": None}
    state = RunState(last.state)
    if state not in ENDED:  # lost, and on its way to go on
        state = RunState.STOPPED if run.saved_step else RunState.CANCELLED
    message = f"{last.message.rstrip('.')}." if last.message else None
    return state, {"ended_at": last.ended_at or time.time(), "message": message, "failure": last.failure}


def explain(session: Session, run_id: str, message: str) -> None:
    """Say why a run was stopped."""
    over = [RunState.STOPPED.value, RunState.CANCELLED.value]
    states.change_run(session, run_id, col(Run.state).in_(over), message=message)


def resume(session: Session, text: str, changes: Mapping[str, Any], settings: Settings) -> str:
    """Queue a run that was stopped, failed or cancelled again; it goes on from its last checkpoint.

    changes: settings of a training that its next attempts have instead, if they change no result. A sweep that has
    finished can be queued again, too: it then runs what is missing. Raises ConflictError, ConfigError.
    """
    run = find_run(session, text)
    if changes and run.kind != RunKind.TRAIN.value:
        raise ConflictError(f"Only a training can go on with other settings; “{run.name}” is a {run.kind}.")
    config = TrainConfig.parse(run.config).resumed_with(changes, settings.run_dir(run.id)) if changes else None
    values: dict[str, Any] = {
        "desired": DesiredState.RUN.value, "queued_at": time.time(), "ended_at": None, "message": None, "failure": None,
        "phase": None, "losses": 0, "lost_at_step": -1, "external": False,
        **(config_columns(config) if config else {}),
    }  # fmt: skip
    filled = {RunState.SUCCEEDED} if run.kind == RunKind.SWEEP.value else set()
    resumable = col(Run.state).in_(states.texts(RESUMABLE | filled))
    if states.move(session, run.id, RunState.QUEUED, resumable, **values):
        return run.id
    state = RunState(run.state)
    if state in ENDED:
        raise ConflictError(f"The run “{run.name}” {state.value}; there is nothing of it to resume.")
    raise ConflictError(f"The run “{run.name}” is {state.value}; it can be resumed after it has stopped.")


def edit(session: Session, text: str, change: RunEdit) -> str:
    """Change name, notes, priority or project of a run; its id."""
    run = find_run(session, text)
    values = change.model_dump(exclude_none=True)
    if "project_id" in values:
        find_project(session, values["project_id"])
    if values and not states.change_run(session, run.id, **values):
        raise NotFoundError(f"The run “{run.name}” was just deleted.")
    return run.id


def delete_run(database: Database, settings: Settings, text: str) -> None:
    """Delete row, metrics and folder of a run that has ended. Raises ConflictError while it waits or lives.

    The folder leaves under another name first, so that a scan of the folders cannot bring the run back.
    """
    with database.write() as session:
        run = find_run(session, text)
        gone = session.execute(
            delete(Run)
            .where(col(Run.id) == run.id, col(Run.state).in_(states.texts(ENDED)))
            .execution_options(synchronize_session=False)
            .returning(col(Run.number))
        ).scalar_one_or_none()
        if gone is None:
            raise ConflictError(f"The run “{run.name}” is {run.state}; stop it before you delete it.")
        session.execute(delete(Metric).where(col(Metric.run_number) == gone))
        session.merge(DeletedRun(id=run.id))
        session.flush()
        touch(session, run.id)
        run_id = run.id
        session.expunge(run)
    remove_folder(settings, run_id)


def remove_folder(settings: Settings, run_id: str) -> None:
    """Remove a run's folder, and its checkpoints and event files where they lie elsewhere."""
    folder, trash = settings.run_dir(run_id), settings.runs_dir / f".deleted-{run_id}"
    with contextlib.suppress(FileNotFoundError):
        folder.rename(trash)
    for link in (trash / "checkpoints", trash / "tensorboard"):
        if link.is_symlink() and link.resolve().name == run_id:  # ours, and of this run alone
            shutil.rmtree(link.resolve(), ignore_errors=True)
    shutil.rmtree(trash, ignore_errors=True)
