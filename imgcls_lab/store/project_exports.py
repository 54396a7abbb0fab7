"""`store.project_exports`: a project as one file, with its runs' folders, its configs and the views of it.

Called through `Store`. It reads alone. A file that is not whole never appears under the archive's name.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from imgcls_lab import forks, project_archive, run_query
from imgcls_lab._version import __version__
from imgcls_lab.errors import ConflictError, InputError
from imgcls_lab.events import ENDED
from imgcls_lab.project_archive import (
    NEVER,
    ArchivedConfig,
    ArchivedFile,
    ArchivedProject,
    ArchivedRun,
    ArchivedVersion,
    ArchivedView,
    Contents,
    Progress,
    Writer,
)
from imgcls_lab.run_layout import BEST, CHECKPOINTS, CONFIG, INITIAL_MODEL, PARENT_FOLDER
from imgcls_lab.schemas import KeptCheckpoints, ListView, ProjectExport
from imgcls_lab.settings import Settings
from imgcls_lab.store import config_versions, homes, saved_views, states
from imgcls_lab.store.archive_files import whole
from imgcls_lab.store.database import Database
from imgcls_lab.store.registry import find_project
from imgcls_lab.store.tables import Config, Run


class _Run(NamedTuple):
    id: str
    name: str
    archived: bool
    notes: str
    tags: tuple[str, ...]


class ProjectExports:
    """Writes projects into archives."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def write(
        self, project_id: int, out: Path, *, checkpoints: KeptCheckpoints = "best", progress: Progress | None = None
    ) -> ProjectExport:
        """Write a project into a new file. progress: gets the bytes that are written, and all.

        Runs that have not ended, or whose folders lie in another home, are left out and named. Raises NotFoundError,
        ConflictError for a file that is there, DiskFullError, StoreError.
        """
        out = out.expanduser().absolute()
        if out.exists():
            raise ConflictError(f"There is something at {out} already. Name another file.")
        with self._database.read() as session:
            project = find_project(session, project_id)
            about = ArchivedProject(name=project.name, description=project.description)
            runs, left_out = self._runs(session, project_id)
            configs, views = _configs(session, project_id), _views(session, project.name)
        if len(runs) > project_archive.MAX_RUNS:
            raise InputError(f"A project of more than {project_archive.MAX_RUNS:,} runs does not go into one archive.")
        with whole(out) as file:
            writer = Writer(file)
            archived = self._write_runs(writer, runs, checkpoints, progress)
            contents = Contents(
                format=project_archive.FORMAT, version=__version__, created_at=time.time(), checkpoints=checkpoints,
                project=about, runs=archived, configs=configs, views=views,
            )  # fmt: skip
            writer.close(contents)
        size = out.stat().st_size
        return ProjectExport(
            path=str(out), project=about.name, runs=len(runs), configs=len(configs), views=len(views), size=size,
            left_out=left_out,
        )  # fmt: skip

    def _runs(self, session: Session, project_id: int) -> tuple[list[_Run], list[str]]:
        """The runs to write, parents before what they started; and a sentence for each other one."""
        rows = session.exec(select(Run).where(Run.project_id == project_id).order_by(col(Run.number))).all()
        away = homes.elsewhere(session, rows)
        found, left_out = [], []
        for row in rows:
            if row.state not in states.texts(ENDED):
                left_out.append(f"The run “{row.name}” is {row.state}: it is left out.")
            elif row.id in away or not self._settings.run_dir(row.id).is_dir():
                left_out.append(f"The folder of the run “{row.name}” is not here: it is left out.")
            elif not (self._settings.run_dir(row.id) / CONFIG).is_file():
                left_out.append(f"The run “{row.name}” has never begun: it is left out.")
            else:
                found.append(_Run(row.id, row.name, row.archived, row.notes, tuple(row.tags)))
        return found, left_out

    def _write_runs(
        self, writer: Writer, runs: list[_Run], checkpoints: KeptCheckpoints, progress: Progress | None
    ) -> tuple[ArchivedRun, ...]:
        folders = {run.id: self._settings.run_dir(run.id).resolve() for run in runs}
        listed = {run.id: [*_files(folders[run.id], checkpoints)] for run in runs}
        total, done = sum(size for files in listed.values() for _, size in files), 0

        def count(read: int) -> None:
            nonlocal done
            done += read
            if progress is not None:
                progress(min(done, total), total)  # a log may have grown meanwhile

        number = sum(map(len, listed.values()))
        if number > project_archive.MAX_FILES:
            raise InputError(
                f"The project has {number:,} files, and an archive holds {project_archive.MAX_FILES:,}. Export it "
                "without checkpoints (`--checkpoints none`)."
            )
        found = []
        for run in runs:
            files: list[ArchivedFile] = []
            for path, _ in listed[run.id]:
                added = writer.add(run.id, folders[run.id], path, count)
                if added is not None:
                    files.append(added)
            links = _links(folders[run.id], files)
            found.append(ArchivedRun(**run._asdict(), files=files, links=links))
        return tuple(found)


def _files(folder: Path, checkpoints: KeptCheckpoints) -> Iterator[tuple[str, int]]:
    """Path and size of each plain file of a run that travels; no link is followed."""
    best = _target(folder / CHECKPOINTS / BEST)
    left_out = _begun_with(folder) if checkpoints == "none" else set()
    for place, folders, names, descriptor in os.fwalk(folder, follow_symlinks=False):
        inside = Path(place).relative_to(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if inside == Path(CHECKPOINTS):
            folders[:] = [name for name in folders if checkpoints == "all" or (checkpoints == "best" and name == best)]
        folders[:] = [name for name in folders if (inside / name).as_posix() not in left_out]
        for name in sorted(names):
            if name.startswith(".") or (inside == Path() and name in NEVER):
                continue
            try:
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield (inside / name).as_posix(), found.st_size


def _begun_with(folder: Path) -> set[str]:
    """The folders inside a run's in which the weights lie that it began with: of its parent."""
    parent = forks.checkpoints_in(folder / PARENT_FOLDER)
    return {INITIAL_MODEL, *(f"{PARENT_FOLDER}/{path.name}" for path in parent)}


def _links(folder: Path, files: list[ArchivedFile]) -> dict[str, str]:
    """The links to checkpoints that travel: name -> checkpoint."""
    saved = {file.path.split("/")[1] for file in files if file.path.startswith(f"{CHECKPOINTS}/")}
    place = folder / CHECKPOINTS
    names = [path.name for path in place.iterdir() if path.is_symlink()] if place.is_dir() else []
    links = {name: _target(place / name) for name in sorted(names)}
    return {name: target for name, target in links.items() if target in saved}


def _target(link: Path) -> str:
    """The name that a link leads to; empty for what is no link beside its target."""
    try:
        found = os.readlink(link).rstrip("/")
    except OSError:
        return ""
    return "" if "/" in found else found


def _configs(session: Session, project_id: int) -> tuple[ArchivedConfig, ...]:
    rows = session.exec(select(Config).where(Config.project_id == project_id).order_by(Config.name)).all()
    found = []
    for row in rows:
        versions = [
            ArchivedVersion(author=version.author, created_at=version.created_at, config=version.config)
            for version in reversed(config_versions.views(session, row))
        ]
        if versions:
            found.append(ArchivedConfig(name=row.name, description=row.description, versions=tuple(versions)))
    return tuple(found)


def _views(session: Session, project: str) -> tuple[ArchivedView, ...]:
    """The acting user's views of the runs of this very project."""
    rows = saved_views.mine(session)
    return tuple(
        ArchivedView(name=row.name, view=ListView.model_validate(row.view))
        for row in rows
        if any(term.key == "project" and term.value in (project, frozenset({project})) for term in _terms(row.view))
    )


def _terms(view: dict[str, Any]) -> list[run_query.Term]:
    try:
        return [*run_query.parse(str(view.get("where") or ""))]
    except InputError:  # of an earlier version
        return []
