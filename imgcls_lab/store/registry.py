"""Projects, configs, data sets and models: create, list, edit, delete. Called through `Store`; knows no run's life.

Names are unique within their kind. What is in use is not deleted; the error says by what.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConflictError, InputError, NotFoundError, Problem
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import (
    ConfigEdit,
    ConfigView,
    DatasetEdit,
    DatasetView,
    ModelEdit,
    ModelView,
    ProjectEdit,
    ProjectView,
)
from imgcls_lab.store import run_counts
from imgcls_lab.store.tables import Config, Dataset, Model, Project, Run

DEFAULT_PROJECT = "default"
Entry = TypeVar("Entry", Project, Config, Dataset, Model)
_KINDS: dict[type[Any], str] = {Project: "project", Config: "config", Dataset: "data set", Model: "model"}


# ── projects ────────────────────────────────────────────────────────────────────────────────────────────────────
def default_project(session: Session) -> Project:
    """The project of runs and configs that name none."""
    project = session.exec(select(Project).where(Project.name == DEFAULT_PROJECT)).first()
    if project is None:
        project = Project(name=DEFAULT_PROJECT, created_at=time.time())
        session.add(project)
        session.flush()
    return project


def find_project(session: Session, project_id: int) -> Project:
    return _find(session, Project, project_id)


def projects(session: Session) -> list[ProjectView]:
    runs = run_counts.by_project(session)
    rows = session.exec(select(Project).order_by(func.lower(Project.name))).all()
    return [_project_view(row, runs.get(row.id or 0, 0)) for row in rows]


def project(session: Session, project_id: int) -> ProjectView:
    row = find_project(session, project_id)
    return _project_view(row, sum(run_counts.by_state(session, project_id).values()))


def save_project(session: Session, edit: ProjectEdit, project_id: int | None = None) -> int:
    row = find_project(session, project_id) if project_id else Project(name="", created_at=time.time())
    if row.name == DEFAULT_PROJECT != edit.name:
        raise ConflictError(f"The project “{DEFAULT_PROJECT}” keeps its name: runs that name no project go there.")
    row.name, row.description = edit.name, edit.description
    if "max_running" in edit.model_fields_set:  # who does not know of the limit keeps it
        row.max_running = edit.max_running
    return _save(session, row)


def delete_project(session: Session, project_id: int) -> None:
    row = find_project(session, project_id)
    if row.name == DEFAULT_PROJECT:
        raise ConflictError(f"The project “{DEFAULT_PROJECT}” stays: runs that name no project go there.")
    _refuse_if_used(session, row, runs=col(Run.project_id), configs=col(Config.project_id))
    session.delete(row)


def _project_view(row: Project, runs: int) -> ProjectView:
    return ProjectView(runs=runs, **row.model_dump())


# ── configs ─────────────────────────────────────────────────────────────────────────────────────────────────────
def configs(session: Session) -> list[ConfigView]:
    names = dict(session.exec(select(Project.id, Project.name)).all())
    return [_config_view(row, names[row.project_id]) for row in session.exec(select(Config).order_by(Config.name))]


def config(session: Session, config_id: int) -> ConfigView:
    row = _find(session, Config, config_id)
    return _config_view(row, find_project(session, row.project_id).name)


def save_config(session: Session, edit: ConfigEdit, config_id: int | None = None) -> int:
    """Raises ConfigError where the config could not be launched as it is."""
    parsed = TrainConfig.parse(edit.config)
    now = time.time()
    chosen = find_project(session, edit.project_id) if edit.project_id is not None else None
    if config_id:
        row = _find(session, Config, config_id)
    else:
        chosen = chosen or default_project(session)
        row = Config(name="", project_id=chosen.id or 0, created_at=now, updated_at=now)
    if chosen is not None:
        row.project_id = chosen.id or 0
    row.name, row.description, row.updated_at = edit.name, edit.description, now
    row.config = parsed.model_dump(mode="json")
    return _save(session, row)


def delete_config(session: Session, config_id: int) -> None:
    session.delete(_find(session, Config, config_id))  # a run holds its own copy


def _config_view(row: Config, project_name: str) -> ConfigView:
    return ConfigView(project=project_name, **row.model_dump())


# ── data sets ───────────────────────────────────────────────────────────────────────────────────────────────────
def datasets(session: Session) -> list[DatasetView]:
    """As the last look found them; only that the folder is still there is checked anew."""
    rows = session.exec(select(Dataset).order_by(func.lower(Dataset.name))).all()
    return [_dataset_view(row) for row in rows]


def dataset(session: Session, dataset_id: int) -> DatasetView:
    """As the last look found it."""
    return _dataset_view(_find(session, Dataset, dataset_id))


def rescan_dataset(session: Session, dataset_id: int) -> DatasetView:
    """With a new look at the folder, which lists then show too."""
    row = _find(session, Dataset, dataset_id)
    _look(row)
    session.add(row)
    return _dataset_view(row)


def save_dataset(session: Session, edit: DatasetEdit, dataset_id: int | None = None) -> int:
    """Raises InputError for a folder that cannot be trained on, with the reason.

    One that is registered keeps its name and its place also when it is not what it was: `problem` then says so.
    """
    root = os.path.abspath(Path(edit.root).expanduser())
    row = _find(session, Dataset, dataset_id) if dataset_id else Dataset(name="", root="", created_at=time.time())
    is_new = root != row.root
    row.name, row.root, row.description = edit.name, root, edit.description
    _look(row)
    if is_new and row.problem:
        raise InputError(row.problem, [Problem("root", row.problem)])
    return _save(session, row)


def delete_dataset(session: Session, dataset_id: int) -> None:
    """Forget a data set; its folder stays."""
    row = _find(session, Dataset, dataset_id)
    _refuse_if_used(session, row, runs=col(Run.dataset_id))
    session.delete(row)


def _look(row: Dataset) -> None:
    found = inspect_folder(Path(row.root))
    sizes = found.splits.get("train", {}).values()
    row.classes = list(found.classes)
    row.images = {split: sum(classes.values()) for split, classes in found.splits.items()}
    row.smallest_class, row.largest_class = min(sizes, default=None), max(sizes, default=None)
    row.problem = found.problem
    row.notes, row.not_taken = list(found.notes), dict(found.not_taken)


def _dataset_view(row: Dataset) -> DatasetView:
    view = DatasetView(**row.model_dump())
    if not os.path.isdir(row.root):
        view.problem = f"The folder “{row.root}” is not there any more. Put it back or edit the data set."
    return view


# ── models ──────────────────────────────────────────────────────────────────────────────────────────────────────
def models(session: Session) -> list[ModelView]:
    return [_model_view(row) for row in session.exec(select(Model).order_by(func.lower(Model.name)))]


def model(session: Session, model_id: int) -> ModelView:
    return _model_view(_find(session, Model, model_id))


def save_model(session: Session, edit: ModelEdit, model_id: int | None = None) -> int:
    """Raises InputError for a local folder without a model; whether a hub has an id is seen when a run loads it."""
    flavour = edit.flavour
    if _is_local(flavour):
        flavour = os.path.abspath(Path(flavour).expanduser())
    problem = _model_problem(flavour)
    if problem:
        raise InputError(problem, [Problem("flavour", problem)])
    row = _find(session, Model, model_id) if model_id else Model(name="", flavour="", created_at=time.time())
    row.name, row.flavour, row.revision = edit.name, flavour, edit.revision
    row.load_pretrained, row.description = edit.load_pretrained, edit.description
    return _save(session, row)


def delete_model(session: Session, model_id: int) -> None:
    """Forget a model; its folder stays."""
    row = _find(session, Model, model_id)
    _refuse_if_used(session, row, runs=col(Run.model_id))
    session.delete(row)


def _is_local(flavour: str) -> bool:
    return flavour.startswith(("/", ".", "~")) or os.path.isdir(flavour)


def _model_problem(flavour: str) -> str | None:
    if not _is_local(flavour) or os.path.isfile(os.path.join(flavour, "config.json")):
        return None
    if not os.path.isdir(flavour):
        return f"The model folder “{flavour}” does not exist. Check the path."
    return f"The folder “{flavour}” holds no config.json, so it is no model. Name the folder that holds it."


def _model_view(row: Model) -> ModelView:
    return ModelView(problem=_model_problem(row.flavour), **row.model_dump())


# ── common ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _find(session: Session, kind: type[Entry], entry_id: int) -> Entry:
    row = session.get(kind, entry_id)
    if row is None:
        raise NotFoundError(f"There is no {_KINDS[kind]} {entry_id}.")
    return row


def _save(session: Session, row: Project | Config | Dataset | Model) -> int:
    session.add(row)
    session.flush()
    if row.id is None:
        raise RuntimeError("The database gave no id.")
    return row.id


@contextmanager
def unique_names(kind: type[Any], name: str) -> Iterator[None]:
    """Turns the database's refusal of a second equal name into a ConflictError."""
    try:
        yield
    except IntegrityError as error:
        raise ConflictError(f"There is a {_KINDS[kind]} named “{name}” already; choose another name.") from error


def _refuse_if_used(session: Session, row: Project | Dataset | Model, **columns: Any) -> None:
    used = []
    for what, column in columns.items():
        count = session.exec(select(func.count()).where(column == row.id)).one()
        if count:
            used.append(counted(count, what.removesuffix("s")))
    if used:
        kind = _KINDS[type(row)]
        move = " (`imgcls-lab edit RUN --project NAME`)" if isinstance(row, Project) else ""
        remedy = f"delete those first, or move them{move}." if move else "delete those first."
        raise ConflictError(f"The {kind} “{row.name}” is used by {' and '.join(used)}; {remedy}")
