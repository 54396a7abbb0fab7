"""Projects, configs and data sets: what a list shows of an item, and what one may set."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import Name, Note, PathText, Values, Whole


class ProjectView(Wire):
    id: int
    name: str
    owner: str  # who made it, as of all entries; empty: nobody, so that everybody may change it
    description: str
    created_at: float
    runs: int
    max_running: int | None
    members: list[str]  # users who change its runs and configs, beside its owner
    may_change: bool  # the user of this server, as of all entries
    may_manage: bool  # delete it, and say who its members are


class ProjectEdit(Wire):
    """`max_running`: runs on devices at once, on all hosts together; null: no limit; 0: on hold."""

    name: Name
    description: Note = ""
    max_running: int | None = Field(None, ge=0, le=10_000)


class MemberRequest(Wire):
    """A user who becomes a member of a project."""

    user: Name


class ConfigView(Wire):
    id: int
    name: str
    owner: str
    project_id: int
    project: str
    config: dict[str, Any]
    description: str
    created_at: float
    updated_at: float
    version: int  # the number of its newest version, whose config this is
    may_change: bool


class ConfigVersionView(Wire):
    """A saved config as it was saved once. changed: fields that differ from the version before."""

    config_id: int
    number: int
    author: str
    created_at: float
    config: dict[str, Any]
    changed: list[str]


class ConfigEdit(Wire):
    name: Name
    config: Values
    project_id: Whole | None = None
    description: Note = ""


class DatasetView(Wire):
    """A registered folder of images, with what a quick look found (by file names; unreadable files: see the run)."""

    id: int
    name: str
    owner: str
    root: str
    description: str
    created_at: float
    classes: list[str]
    images: dict[str, int]  # by split
    smallest_class: int | None
    largest_class: int | None
    problem: str | None  # a sentence, if it cannot be trained on now
    notes: list[str]  # sentences worth knowing otherwise
    skipped_files: dict[str, int]  # files that are no images, by suffix
    may_change: bool


class DatasetEdit(Wire):
    name: Name
    root: PathText
    description: Note = ""
