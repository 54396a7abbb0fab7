"""The registries of projects, configs and data sets; that of models is `models.py`.

Called through `Store`; know no run's life.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConflictError, InputError, NotFoundError, Problem
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.schemas import (
    ComparedField,
    ConfigEdit,
    ConfigVersionView,
    ConfigView,
    DatasetEdit,
    DatasetView,
    ProjectEdit,
    ProjectView,
)
from imgcls_lab.settings import Settings
from imgcls_lab.store import audit, config_versions, revision_files, rights, run_counts
from imgcls_lab.store.collection import Collection
from imgcls_lab.store.database import Database
from imgcls_lab.store.tables import Config, Dataset, Project, ProjectMember, Run

DEFAULT_PROJECT = "default"


def default_project(session: Session) -> Project:
    """The project of runs and configs that name none."""
    project = session.exec(select(Project).where(Project.name == DEFAULT_PROJECT)).first()
    if project is None:
        project = Project(name=DEFAULT_PROJECT, created_at=time.time())
        session.add(project)
        session.flush()
    return project


def find_project(session: Session, project_id: int) -> Project:
    """Raises NotFoundError."""
    project = session.get(Project, project_id)
    if project is None:
        raise NotFoundError(f"There is no {Projects.noun} {project_id}.")
    return project


def _members(session: Session) -> dict[int, list[str]]:
    """The members of all projects, by project and name."""
    found: dict[int, list[str]] = {}
    for row in session.exec(select(ProjectMember).order_by(col(ProjectMember.user))):
        found.setdefault(row.project_id, []).append(row.user)
    return found


class Projects(Collection[Project, ProjectEdit, ProjectView]):
    table = Project
    edit_type = ProjectEdit
    noun = "project"
    used_by = {"run": Run.project_id, "config": Config.project_id}  # noqa: RUF012

    def _views(self, session: Session, rows: Sequence[Project]) -> list[ProjectView]:
        runs, members, mine = run_counts.by_project(session), _members(session), rights.rights_of(session)
        return [
            ProjectView(
                **row.model_dump(),
                runs=runs.get(row.id or 0, 0),
                members=members.get(row.id or 0, []),
                may_change=mine.may_change(row.owner, row.id),
                may_manage=mine.may_manage(row.owner),
            )
            for row in rows
        ]

    def add_member(self, project_id: int, user: str) -> ProjectView:
        """Let a user change the project's runs and configs.

        Raises NotFoundError, ForbiddenError, ConflictError, and InputError for what is no name of a user.
        """
        with self._database.write() as session:
            row = self._row(session, project_id)
            rights.check_managed(session, "joined", row)
            if not row.owner:
                raise ConflictError(
                    f"The project “{row.name}” belongs to nobody, so that it has no members. Add a project of your own "
                    "and move your runs there (`imgcls-lab edit RUN --project NAME`)."
                )
            rights.check_user_name(user)
            if session.get(ProjectMember, (project_id, user)) is None and user != row.owner:
                session.add(ProjectMember(project_id=project_id, user=user))
                audit.record(session, "joined", row, member=user)
                session.info["registry"] = True
        return self.get(project_id)

    def remove_member(self, project_id: int, user: str) -> ProjectView:
        """Raises NotFoundError for a project that is not there or has no such member, ForbiddenError."""
        with self._database.write() as session:
            row = self._row(session, project_id)
            rights.check_managed(session, "left", row)
            member = session.get(ProjectMember, (project_id, user))
            if member is None:
                raise NotFoundError(f"{user} is no member of the project “{row.name}”.")
            session.delete(member)
            audit.record(session, "left", row, member=user)
            session.info["registry"] = True
        return self.get(project_id)

    def _apply(self, _session: Session, row: Project, edit: ProjectEdit) -> None:
        if row.name == DEFAULT_PROJECT != edit.name:
            raise ConflictError(f"The project “{DEFAULT_PROJECT}” keeps its name: runs that name no project go there.")
        row.name, row.description = edit.name, edit.description
        if "max_running" in edit.model_fields_set:  # a caller that does not know the limit keeps it
            row.max_running = edit.max_running

    def _check_rights(self, session: Session, action: str, row: Project) -> None:
        if action == "deleted":
            rights.check_managed(session, action, row)
        else:
            rights.check(session, action, row)

    def check_removable(self, session: Session, row: Project) -> None:
        """Raises ForbiddenError unless it is the acting user's own, ConflictError for the default project."""
        self._check_rights(session, "deleted", row)
        if row.name == DEFAULT_PROJECT:
            raise ConflictError(f"The project “{DEFAULT_PROJECT}” stays: runs that name no project go there.")

    def _check_deletable(self, session: Session, row: Project) -> None:
        self.check_removable(session, row)
        users = self._users(session, row)
        if users:
            raise ConflictError(
                f"The project “{row.name}” is used by {users}; delete those first, or move them "
                "(`imgcls-lab edit RUN --project NAME`)."
            )


class Configs(Collection[Config, ConfigEdit, ConfigView]):
    """Saved configs, in versions. A run holds its own copy, so nothing refers to them."""

    table = Config
    edit_type = ConfigEdit
    noun = "config"

    def _views(self, session: Session, rows: Sequence[Config]) -> list[ConfigView]:
        names = dict(session.exec(select(Project.id, Project.name)).all())
        mine, versions = rights.rights_of(session), config_versions.newest_numbers(session)
        return [
            ConfigView(
                project=names[row.project_id],
                version=versions.get(row.id or 0, 0),
                may_change=mine.may_change(row.owner, row.project_id),
                **row.model_dump(),
            )
            for row in rows
        ]

    def versions(self, config_id: int) -> Sequence[ConfigVersionView]:
        """All versions of a config, the newest first. Raises NotFoundError."""
        with self._database.read() as session:
            return config_versions.views(session, self._row(session, config_id))

    def difference(self, config_id: int, number: int | None = None, against: int | None = None) -> list[ComparedField]:
        """The settings of a version that differ from another one's, with both values, its own last.

        number None: the newest; against None: the defaults. Raises NotFoundError.
        """
        with self._database.read() as session:
            row = self._row(session, config_id)
            before = {} if against is None else config_versions.config_of(session, row, against)
            return config_versions.difference(before, config_versions.config_of(session, row, number))

    def config_of(self, config_id: int, number: int | None = None) -> dict[str, Any]:
        """The config of a version, by default of the newest. Raises NotFoundError."""
        with self._database.read() as session:
            return config_versions.config_of(session, self._row(session, config_id), number)

    def restore(self, config_id: int, number: int) -> ConfigView:
        """Make an older version the newest, as a version of its own. Raises NotFoundError, ForbiddenError, ConfigError.

        Those in between stay.
        """
        with self._database.read() as session:
            row = self._row(session, config_id)
            rights.check(session, "edited", row)
            config = config_versions.config_of(session, row, number)
            edit = ConfigEdit(name=row.name, description=row.description, config=config)
        return self.edit(config_id, edit)

    def _saved(self, session: Session, row: Config) -> None:
        config_versions.note(session, row)

    def _apply(self, session: Session, row: Config, edit: ConfigEdit) -> None:
        """Raises ConfigError where the config could not be launched as it is."""
        parsed = TrainConfig.parse(edit.config)
        if edit.project_id is not None:
            if edit.project_id != row.project_id:
                rights.check_into(session, find_project(session, edit.project_id))
            row.project_id = edit.project_id
        elif row.id is None:
            row.project_id = default_project(session).id or 0
        row.name, row.description, row.updated_at = edit.name, edit.description, time.time()
        row.config = parsed.model_dump(mode="json")


class Datasets(Collection[Dataset, DatasetEdit, DatasetView]):
    """Folders of images, as the last inspection found them."""

    table = Dataset
    edit_type = DatasetEdit
    noun = "data set"
    used_by = {"run": Run.dataset_id}  # noqa: RUF012

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database)
        self._settings = settings

    def delete(self, entry_id: int) -> None:
        """Delete a data set and its revisions; its folder stays. Raises as `Collection.delete`."""
        with self._database.read() as session:
            row = self._row(session, entry_id)
        super().delete(entry_id)
        revision_files.remove(self._settings, row)

    def root_of(self, dataset_id: int) -> str:
        """The folder of a data set. Raises NotFoundError."""
        with self._database.read() as session:
            return self._row(session, dataset_id).root

    def rescan(self, dataset_id: int) -> DatasetView:
        """Inspect the folder again; lists show the result from then on. Raises NotFoundError."""
        with self._database.write() as session:
            row = self._row(session, dataset_id)
            rights.check(session, "rescanned", row)
            _inspect(row)
            audit.record(session, "rescanned", row)
            session.add(row)
            return self._view(session, row)

    def _views(self, session: Session, rows: Sequence[Dataset]) -> list[DatasetView]:
        """Of the folder itself, only that it still exists is checked now."""
        mine = rights.rights_of(session)
        shown = {*DatasetView.model_fields}
        views = [DatasetView(may_change=mine.may_change(row.owner), **row.model_dump(include=shown)) for row in rows]
        for view in views:
            if not os.path.isdir(view.root):
                view.problem = f"The folder “{view.root}” is not there any more. Put it back or edit the data set."
        return views

    def _apply(self, _session: Session, row: Dataset, edit: DatasetEdit) -> None:
        """Raises InputError for a new folder that cannot be trained on, with the reason.

        A data set keeps its folder when that cannot be trained on any more: `problem` then says so.
        """
        root = os.path.abspath(Path(edit.root).expanduser())
        is_new = root != row.root
        row.name, row.root, row.description = edit.name, root, edit.description
        _inspect(row)
        if is_new and row.problem:
            raise InputError(row.problem, [Problem("root", row.problem)])


def _inspect(row: Dataset) -> None:
    found = inspect_folder(Path(row.root))
    sizes = found.splits.get("train", {}).values()
    row.classes = list(found.classes)
    row.images = {split: sum(classes.values()) for split, classes in found.splits.items()}
    row.smallest_class, row.largest_class = min(sizes, default=None), max(sizes, default=None)
    row.problem = found.problem
    row.notes, row.skipped_files = list(found.notes), dict(found.skipped_files)
