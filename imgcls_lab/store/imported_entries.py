"""Configs and views out of an archive: checked before anything is changed, and under names that are free.

Called by `project_imports`. A config from elsewhere names no plugins: those are code.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Session, col, select

from imgcls_lab.config import TrainConfig
from imgcls_lab.config.saved import upgraded
from imgcls_lab.errors import ConfigError, InputError
from imgcls_lab.project_archive import ArchivedConfig, ArchivedVersion, Contents
from imgcls_lab.schemas import SavedViewEdit
from imgcls_lab.schemas.limits import MAX_NAME, MAX_VIEWS
from imgcls_lab.signing import PLUGINS
from imgcls_lab.store import audit, saved_views
from imgcls_lab.store.tables import Config, ConfigVersion, Project, SavedView

MOST_NAMES = 1000  # that are tried


@dataclass
class Entries:
    """What is added beside the runs, under the names that it gets."""

    configs: list[ArchivedConfig] = field(default_factory=list)
    views: list[SavedViewEdit] = field(default_factory=list)

    def times(self) -> Iterator[ArchivedVersion]:
        for config in self.configs:
            yield from config.versions


def free_name(session: Session, table: type[Project] | type[Config], name: str) -> str:
    """The name, or one like it that no entry has: “pets 2”."""
    taken = {*session.exec(select(table.name).where(col(table.name).startswith(name[: MAX_NAME - 5], autoescape=True)))}
    return _free(taken, name)


def checked_entries(session: Session, contents: Contents, project: str) -> tuple[Entries, list[str]]:
    """The configs and views of an archive as they will be added; a sentence for each that gets another name.

    Raises InputError for one that could not have been saved here.
    """
    found, renamed = Entries(), []
    taken: set[str] = set()
    for config in contents.configs:
        name = _free(taken, free_name(session, Config, config.name))
        taken.add(name)
        if name != config.name:
            renamed.append(f"The name of the config “{config.name}” is taken; it is “{name}” here.")
        versions = tuple(_checked_version(config.name, version) for version in config.versions)
        found.configs.append(config.model_copy(update={"name": name, "versions": versions}))
    have = {row.name for row in saved_views.mine(session)}
    for view in contents.views[: max(0, MAX_VIEWS - len(have))]:
        name = _free(have, view.name)
        have.add(name)
        if name != view.name:
            renamed.append(f"You have a view “{view.name}” already; this one is “{name}”.")
        where = _of_project(view.view.where, contents.project.name, project)
        edit = SavedViewEdit(name=name, view=view.view.model_copy(update={"where": where}))
        saved_views.check(edit)
        found.views.append(edit)
    return found, renamed


def add_entries(session: Session, entries: Entries, project_id: int) -> None:
    """Add the configs, each with its versions."""
    for config in entries.configs:
        newest = config.versions[-1]
        row = Config(
            name=config.name, description=config.description, project_id=project_id, config=newest.config,
            created_at=config.versions[0].created_at, updated_at=newest.created_at,
            owner=audit.actor_of(session).user,
        )  # fmt: skip
        session.add(row)
        session.flush()
        for number, version in enumerate(config.versions, 1):
            values = version.model_dump(include={"author", "created_at", "config"})
            session.add(ConfigVersion(config_id=row.id or 0, number=number, **values))
        session.flush()
        audit.record(session, "added", row)


def add_views(session: Session, entries: Entries) -> list[str]:
    """Add the views behind those that the user has; their names."""
    have, now = saved_views.mine(session), time.time()
    position = max((row.position for row in have), default=-1)
    for number, edit in enumerate(entries.views, position + 1):
        session.add(
            SavedView(
                owner=audit.actor_of(session).user, name=edit.name, view=edit.view.model_dump(mode="json"),
                position=number, created_at=now, updated_at=now,
            )
        )  # fmt: skip
    return [edit.name for edit in entries.views]


def _checked_version(name: str, version: ArchivedVersion) -> ArchivedVersion:
    """A version as this program writes it, without plugins. Raises InputError."""
    try:
        config: dict[str, Any] = TrainConfig.parse({**upgraded(version.config), PLUGINS: []}).model_dump(mode="json")
    except ConfigError as error:
        raise InputError(f"The archive is refused: its config “{name}” is none. {error}", reason="archive") from error
    return version.model_copy(update={"config": config})


def _free(taken: set[str], name: str) -> str:
    for number in range(1, MOST_NAMES):
        ending = "" if number == 1 else f" {number}"
        tried = name[: MAX_NAME - len(ending)] + ending
        if tried not in taken:
            return tried
    raise InputError(f"There are {MOST_NAMES:,} names like “{name}” already. Choose another one.")


def _of_project(where: str, before: str, now: str) -> str:
    """A query in which the project has its new name."""
    quoted = '"' + re.sub(r'([\\"])', r"\\\1", now) + '"'
    spelled = {before, '"' + re.sub(r'([\\"])', r"\\\1", before) + '"'}
    pattern = rf"(?<!\S)(project\s*=\s*)(?:{'|'.join(map(re.escape, spelled))})(?=\s|$)"
    return re.sub(pattern, lambda match: match[1] + quoted, where)
