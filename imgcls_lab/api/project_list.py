"""Projects, their members, and projects as files: `lab.projects`, `lab.project`, `lab.export_project` and so on.

Called by users and by the command line.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack, cast, get_args, overload

from imgcls_lab.api import context
from imgcls_lab.api.galleries import Shown
from imgcls_lab.api.validation import one_of, request
from imgcls_lab.config import takes_fields_of
from imgcls_lab.errors import ConflictError
from imgcls_lab.plurals import counted
from imgcls_lab.project_archive import Progress
from imgcls_lab.schemas import KeptCheckpoints, MemberRequest, ProjectEdit, ProjectExport, ProjectImport, ProjectView

if TYPE_CHECKING:
    import pandas as pd


class ProjectChanges(TypedDict, total=False):
    """What of a project can be changed."""

    name: str
    description: str
    max_running: int | None


class Projects(Shown, Sequence[ProjectView]):
    """Projects by name. frame: a row each."""

    def __init__(self, views: Sequence[ProjectView]) -> None:
        self.views = views
        self.title = counted(len(views), "project")

    @overload
    def __getitem__(self, index: int) -> ProjectView: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ProjectView]: ...
    def __getitem__(self, index: int | slice) -> ProjectView | Sequence[ProjectView]:
        return self.views[index]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Index `name`; columns owner, runs, max_running, members, description, created."""
        import pandas as pd

        rows = [
            {
                "owner": view.owner,
                "runs": view.runs,
                "max_running": view.max_running,
                "members": ", ".join(view.members),
                "description": view.description,
                "created": pd.Timestamp(view.created_at, unit="s", tz="UTC").floor("s"),
            }
            for view in self.views
        ]
        return pd.DataFrame(rows, index=pd.Index([view.name for view in self.views], name="name"))

    def add(self, name: str, *, description: str = "", max_running: int | None = None) -> ProjectView:
        """Add a project of your own. max_running: how many of its runs may run at once. Raises ConflictError.

        >>> lab.projects().add("birds", description="from the garden").name
        'birds'
        """
        return context.store().projects.add(
            request(ProjectEdit, name=name, description=description, max_running=max_running)
        )

    @takes_fields_of(ProjectEdit, kept=True)
    def edit(self, project: str, **changes: Unpack[ProjectChanges]) -> ProjectView:
        """Change name, description or max_running of a project. Raises NotFoundError, ForbiddenError, ConflictError.

        >>> lab.projects().edit("flowers", description="of the botanic garden").description
        'of the botanic garden'
        """
        projects = context.store().projects
        found = projects.find(project)
        now = {"name": found.name, "description": found.description, "max_running": found.max_running}
        return projects.edit(found.id, request(ProjectEdit, **{**now, **changes}))

    def delete(self, project: str, *, with_runs: bool = False) -> None:
        """Delete a project that has neither runs nor configs, or one with all of them, for good.

        Raises ConflictError for one that is in use; with its runs, where one has not ended or belongs to somebody else.

        >>> made = lab.projects().add("bees")
        >>> lab.projects().delete("bees")
        """
        store = context.store()
        found = store.projects.find(project)
        if not with_runs:
            store.projects.delete(found.id)
            return
        refused = store.project_pages.delete(found.id).refused
        if refused:
            raise ConflictError(f"The project “{found.name}” stays: {refused[0].message}", reason=refused[0].reason)


def projects() -> Projects:
    """All projects, with how many runs each has.

    >>> "flowers" in lab.projects().frame.index
    True
    """
    return Projects(context.store().projects.list())


def project(name: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> ProjectView:
    """A project by its name or number. add, remove: users who become its members, or are so no longer.

    Members change the runs and configs of a project as its owner does. Raises NotFoundError, and ForbiddenError for a
    project of somebody else.

    >>> lab.project("flowers").name
    'flowers'
    """
    projects = context.store().projects
    found = projects.find(name)
    for user in add:
        found = projects.add_member(found.id, request(MemberRequest, user=user).user)
    for user in remove:
        found = projects.remove_member(found.id, user)
    return found


def export_project(
    name: str, path: str | os.PathLike[str], *, checkpoints: KeptCheckpoints = "best", progress: Progress | None = None
) -> ProjectExport:
    """Write a project into one new file: its runs' folders, its configs with their versions, your views of it.

    checkpoints: all, best (one a run) or none. progress: gets the bytes that are written, and all. Runs that have not
    ended are left out and named. Raises NotFoundError, ConflictError for a file that is there, DiskFullError.

    >>> lab.export_project("flowers", "flowers.imgcls").project
    'flowers'
    """
    store = context.store()
    kept = cast(KeptCheckpoints, one_of("checkpoints", checkpoints, get_args(KeptCheckpoints)))
    return store.project_exports.write(store.projects.find(name).id, Path(path), checkpoints=kept, progress=progress)


def import_project(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    into: str | None = None,
    progress: Progress | None = None,
) -> ProjectImport:
    """Import a project from a file that `export_project` wrote, whole or not at all.

    name: of the new project, by default its own, or one like it that is free; into: a project that is there instead.
    Runs that are here already are skipped and named. The runs are view only: nothing of them is executed until you
    claim them. Raises InputError for a file that is damaged or could do harm, DiskFullError.

    >>> exported = lab.export_project("flowers", "flowers.imgcls")
    >>> lab.import_project("flowers.imgcls", name="other flowers").project
    'other flowers'
    """
    return context.store().project_imports.read(Path(path), name=name, into=into, progress=progress)
