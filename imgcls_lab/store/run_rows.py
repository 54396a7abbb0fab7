"""Rows of `runs`: how one is found by its id, and what a request and a config write into a new one.

Called by the store's other modules inside their transactions. Moves no run.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.store import audit, rights
from imgcls_lab.store.registry import default_project, find_project
from imgcls_lab.store.revision_rows import overlay_for
from imgcls_lab.store.run_tags import distinct
from imgcls_lab.store.tables import Dataset, Model, Run

TRIAL_KEY = "trial:"  # begins the idempotency keys of sweeps' trials


def find_run(session: Session, text: str) -> Run:
    """The run of an id or of a prefix that only one run has. Raises NotFoundError, InputError.

    A name finds no run, since several runs may have it; the message says whose name it is.
    """
    run = session.exec(select(Run).where(Run.id == text)).first()
    if run is not None:
        return run
    found = (
        session.exec(select(Run).where(col(Run.id).startswith(text, autoescape=True)).limit(3)).all() if text else []
    )
    if not found:
        raise NotFoundError(f"There is no run “{text}”. {_of_name(session, text)}")
    if len(found) > 1:
        raise InputError(f"“{text}” is the beginning of several runs, such as {found[0].id} and {found[1].id}.")
    return found[0]


def _of_name(session: Session, name: str) -> str:
    """Which ids the runs of a name have, or where all ids are."""
    query = select(Run.id).where(Run.name == name).order_by(col(Run.created_at).desc()).limit(3)
    if not (ids := session.exec(query).all()):
        return "`imgcls-lab runs` lists them."
    return f"A run is given by its id or the beginning of it; runs of this name: {', '.join(ids)}."


def new_run(
    session: Session, run_id: str, config: TrainConfig | None, request: SubmitRequest, digest: str | None
) -> Run:
    """A row for a run that waits, linked to what it refers to. Not added yet. Its folder will get the corrections.

    Raises NotFoundError, ForbiddenError, DataError for corrections that cannot be read.
    """
    columns = {
        **_waiting_columns(session, request),
        **_links(session, request, config),
        **device_columns(request, config),
        **config_columns(config),
    }
    overlay = None if config is None else overlay_for(session, config, columns["dataset_id"])
    if overlay is not None:
        columns |= {"data_revision": overlay.number, "data_revision_digest": overlay.digest}
        session.info.setdefault("overlays", {})[run_id] = overlay.to_json()
    name = request.name or default_name(request.kind, config)
    return Run(id=run_id, kind=request.kind.value, name=name, body_digest=digest, **columns)


def _waiting_columns(session: Session, request: SubmitRequest) -> dict[str, Any]:
    """The columns of a run that was submitted just now, by the user who acts."""
    now = time.time()
    columns = {name: getattr(request, name) for name in ("priority", "notes", "payload", "idempotency_key")}
    columns["tags"] = distinct(request.tags)
    columns |= {"owner": audit.actor_of(session).user, "home": session.info["home"]}
    columns |= {"state": RunState.QUEUED.value, "devices": [], "latest": {}, "python": sys.executable}
    return columns | {"created_at": now, "queued_at": now, "updated_at": now}


def _links(session: Session, request: SubmitRequest, config: TrainConfig | None) -> dict[str, Any]:
    """Project, data set, model and parent: as the request names them, else as the config's folder and model tell."""
    project = find_project(session, request.project_id) if request.project_id else default_project(session)
    rights.check_into(session, project, "launched")
    dataset_id, model_id = request.dataset_id, request.model_id
    if dataset_id is not None and session.get(Dataset, dataset_id) is None:
        raise NotFoundError(f"There is no data set {dataset_id}.")
    if model_id is not None and session.get(Model, model_id) is None:
        raise NotFoundError(f"There is no model {model_id}.")
    if request.parent_id is not None:
        rights.check(session, "launched", find_run(session, request.parent_id))
    if dataset_id is None and config is not None:
        dataset_id = session.exec(select(Dataset.id).where(Dataset.root == config.root)).first()
    if model_id is None and config is not None:
        same = select(Model.id).where(Model.flavour == config.model_flavour, Model.revision == config.revision)
        model_id = session.exec(same).first()
    return {
        "project_id": project.id or 0, "dataset_id": dataset_id, "model_id": model_id, "parent_id": request.parent_id
    }  # fmt: skip


def default_name(kind: RunKind, config: TrainConfig | None) -> str:
    """The name of a run that was given none."""
    if config is None:
        return kind.value.capitalize()
    return f"{Path(config.root).name} {Path(config.model_flavour).name}"


def device_columns(request: SubmitRequest, config: TrainConfig | None) -> dict[str, Any]:
    """What a run needs of a host: as the request says, else its config, else what its kind needs."""
    # a sweep starts other runs and computes nothing; a task names a device only where it computes with a model
    without = request.kind in (RunKind.SWEEP, RunKind.TASK)
    device = request.device or ("none" if without else config.device if config else "auto")
    if device == "auto" and (request.gpus or 1) > 1:  # a CPU cannot stand for several GPUs
        device = "cuda"
    gpus = request.gpus or (config.num_processes if config else 1)
    columns = {"requested_device": device, "requested_gpus": gpus, "requested_host": request.host}
    return {**columns, **process_columns(config)}


def process_columns(config: TrainConfig | None) -> dict[str, Any]:
    """With how many GPUs and nodes an attempt may start: the columns of it that a resume may change."""
    if config is None:
        return {}
    return {"min_gpus": config.min_processes, "requested_nodes": config.num_nodes}


def repetition_of(config: TrainConfig) -> str:
    """The same for runs on one folder whose results may differ by their seeds alone."""
    fields = {"root": config.root, **config.result_fields()}
    del fields["seed"]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def own_best_epoch(run: Run) -> int | None:
    """The best epoch of those that a run has evaluated itself; None where there is none, or its parent's is better."""
    return run.best_epoch if (run.best_step or 0) > (run.fork_step or 0) else None


def config_columns(config: TrainConfig | None) -> dict[str, Any]:
    """The columns of a run that its config gives."""
    if config is None:
        return {"config": {}}
    return {
        "config": config.model_dump(mode="json"),
        "repetition": repetition_of(config),
        "model_flavour": config.model_flavour,
        "root": config.root,
        "batch_size": config.batch_size,
        "lr": config.lr,
        "epochs": config.epochs,
        "best_metric": config.monitor_metric,
    }
