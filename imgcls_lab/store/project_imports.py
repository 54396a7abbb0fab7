"""`store.project_imports`: a project out of an archive, whole or not at all. Called through `Store`.

The archive is unpacked and checked beside the runs first. Then its folders are moved in one by one, and indexed as a
rebuild indexes folders that no database has known: view only, so that nothing of them is executed. A journal beside
them names all that is being added. An import that fails, or is killed, is undone by it: at once, else by the next
import or the next start of an executor.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col, select

from imgcls_lab import project_archive, run_paths
from imgcls_lab.errors import ConflictError, ImgclsError, InputError
from imgcls_lab.forks import Fork
from imgcls_lab.project_archive import Contents, Progress, Reader
from imgcls_lab.run_layout import RUN_INFO, write_atomic
from imgcls_lab.schemas import ProjectEdit, ProjectImport
from imgcls_lab.settings import Settings
from imgcls_lab.store import audit, rights, run_folders, saved_views
from imgcls_lab.store.database import Database, touch
from imgcls_lab.store.folder_rows import read_info
from imgcls_lab.store.imported_entries import Entries, add_entries, add_views, checked_entries, free_name
from imgcls_lab.store.imported_folders import plain_info
from imgcls_lab.store.rebuilding import index_folder
from imgcls_lab.store.run_files import remove_folder
from imgcls_lab.store.tables import Config, DeletedRun, Metric, Project, Run

IMPORTS = "imports"  # in the home: what is being unpacked
JOURNAL, LOCK = "journal.json", "lock"


@dataclass
class _Plan:
    """What an import adds. runs: ids in their order; made: whether the project is new."""

    project: str
    made: bool
    runs: list[str]
    entries: Entries
    skipped: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)

    def journal(self) -> str:
        entries = {
            "configs": [config.name for config in self.entries.configs],
            "views": [view.name for view in self.entries.views],
        }
        return json.dumps({"project": self.project, "made": self.made, "runs": self.runs, **entries})


class ProjectImports:
    """Reads projects out of archives."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def read(
        self, archive: Path, *, name: str | None = None, into: str | None = None, progress: Progress | None = None
    ) -> ProjectImport:
        """Import an archive. name: of the new project, by default its own or one like it that is free.

        into: a project that is there and gets its runs and configs. Runs that are there already are skipped, configs
        and views of a name that is taken get another one; the answer says which. Raises InputError for an archive that
        is damaged or could do harm, ConflictError, ForbiddenError, DiskFullError; then nothing of it is left.
        """
        self.undo_unfinished()
        with _staging(self._settings) as folder, project_archive.opened(archive.expanduser().absolute()) as reader:
            plan = self._plan(reader.contents, name, into)
            self._unpack(reader, plan, folder, progress)
            write_atomic(folder / JOURNAL, plan.journal())
            try:
                done = self._commit(plan, folder, reader.contents)
                (folder / JOURNAL).unlink()
            except BaseException:
                _undo(self._database, self._settings, folder)
                raise
        return done

    def undo_unfinished(self) -> None:
        """Undo imports whose process died in the middle."""
        undo_unfinished(self._database, self._settings)

    # ── before anything is changed ──────────────────────────────────────────────────────────────────────────
    def _plan(self, contents: Contents, name: str | None, into: str | None) -> _Plan:
        with self._database.read() as session:
            if into is not None:
                project = session.exec(select(Project).where(Project.name == into)).first()
                if project is None:
                    raise InputError(f"There is no project “{into}”. Leave it out, and a new one is made.")
                rights.check_into(session, project)
                chosen = into
            else:
                chosen = free_name(session, Project, name or contents.project.name)
                if name is not None and chosen != name:
                    raise ConflictError(f"There is a project “{name}” already; choose another name, or import into it.")
            ProjectEdit(name=chosen)
            wanted = [run.id for run in contents.runs]
            known = {*session.exec(select(Run.id).where(col(Run.id).in_(wanted)))}
        known |= {run_id for run_id in wanted if os.path.lexists(self._settings.run_dir(run_id))}
        plan = _Plan(chosen, into is None, [run_id for run_id in wanted if run_id not in known], Entries())
        names = {run.id: run.name for run in contents.runs}
        plan.skipped = [
            f"The run “{names[run_id]}” ({run_id}) is here already." for run_id in wanted if run_id in known
        ]
        if into is None and chosen != contents.project.name and name is None:
            plan.renamed.append(f"The project “{contents.project.name}” is here already; this one is “{chosen}”.")
        with self._database.read() as session:
            plan.entries, renamed = checked_entries(session, contents, chosen)
        plan.renamed += renamed
        return plan

    def _unpack(self, reader: Reader, plan: _Plan, folder: Path, progress: Progress | None) -> None:
        """Unpack the runs that are new, each as a folder that can be indexed. Raises InputError, DiskFullError."""
        runs = [run for run in reader.contents.runs if run.id in {*plan.runs}]
        total, done = sum(file.size for run in runs for file in run.files), 0
        project_archive.check_room(folder, total)

        def count(number: int) -> None:
            nonlocal done
            done += number
            if progress is not None:
                progress(done, total)

        for run in runs:
            place = folder / run.id
            reader.unpack(run, place, count)
            info = plain_info(read_info(place), run, plan.project)
            try:
                run_folders.read_config(place, info)
            except (OSError, ImgclsError) as error:
                text = f"The archive is refused: the run “{run.name}” has no config that can be read ({error})."
                raise InputError(text, reason="archive") from error
            try:
                Fork.of_folder(place)
            except ImgclsError as error:
                text = f"The archive is refused: what the run “{run.name}” goes on from cannot be read (parent.json)."
                raise InputError(text, reason="archive") from error
            write_atomic(place / RUN_INFO, json.dumps(info))

    # ── the import itself ───────────────────────────────────────────────────────────────────────────────────
    def _commit(self, plan: _Plan, folder: Path, contents: Contents) -> ProjectImport:
        with self._database.write() as session:
            project = session.exec(select(Project).where(Project.name == plan.project)).first()
            if project is None:
                made = min([contents.created_at, *(version.created_at for version in plan.entries.times())])
                project = Project(
                    name=plan.project, description=contents.project.description, created_at=made,
                    owner=audit.actor_of(session).user,
                )  # fmt: skip
                session.add(project)
                session.flush()
                audit.record(session, "added", project)
            project_id = project.id or 0
        for run_id in plan.runs:
            try:
                os.rename(folder / run_id, self._settings.run_dir(run_id))
            except OSError as error:
                raise ConflictError(f"The run {run_id} came from elsewhere meanwhile. Import again.") from error
            index_folder(self._database, self._settings, run_id)
        hidden = [run.id for run in contents.runs if run.archived and run.id in {*plan.runs}]
        with self._database.write() as session:
            for row in session.exec(select(Run).where(col(Run.id).in_(hidden))):
                row.archived = True
                session.add(row)
                touch(session, row.id)
            add_entries(session, plan.entries, project_id)
            views = add_views(session, plan.entries)
        return ProjectImport(
            project=plan.project, project_id=project_id, runs=plan.runs, views=views, skipped=plan.skipped,
            configs=[config.name for config in plan.entries.configs], renamed=plan.renamed,
        )  # fmt: skip


def undo_unfinished(database: Database, settings: Settings) -> None:
    """Undo imports whose process died in the middle; those that go on hold a lock. Raises StoreError."""
    place = settings.home_path / IMPORTS
    if not place.is_dir():
        return
    with _locked(place, wait=True):
        for folder in sorted(path for path in place.iterdir() if path.is_dir()):
            with contextlib.suppress(BlockingIOError), _locked(folder):
                _undo(database, settings, folder)
                run_paths.remove(folder)


@contextlib.contextmanager
def _staging(settings: Settings) -> Iterator[Path]:
    """A folder of this import alone, on the disk of the runs; removed in the end."""
    folder = settings.home_path / IMPORTS / secrets.token_hex(8)
    run_paths.make_folder(folder.parent)
    with contextlib.ExitStack() as stack:
        with _locked(folder.parent, wait=True):  # nobody takes it for one whose process is dead
            folder.mkdir(mode=0o700)
            stack.callback(run_paths.remove, folder)
            stack.enter_context(_locked(folder))
        yield folder


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """The lock of a folder. Raises BlockingIOError where another process has it, unless it is to be waited for."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _undo(database: Database, settings: Settings, folder: Path) -> None:
    """Take back all that the journal of an import names, as far as it was added."""
    try:
        journal: dict[str, Any] = json.loads((folder / JOURNAL).read_text())
    except FileNotFoundError:  # it was still unpacking, or it was done
        return
    moved = [run_id for run_id in journal["runs"] if not (folder / run_id).exists()]
    with database.write() as session:
        for run_id in moved:
            _forget(session, run_id)
        project = session.exec(select(Project).where(Project.name == journal["project"])).first()
        if project is not None:
            named = (Config.project_id == project.id, col(Config.name).in_(journal["configs"]))
            for config in session.exec(select(Config).where(*named)):
                session.delete(config)
            for view in saved_views.mine(session):
                if view.name in journal["views"]:
                    session.delete(view)
            session.flush()
            left = select(Run.id).where(Run.project_id == project.id).limit(1)
            if journal["made"] and session.exec(left).first() is None:
                session.delete(project)
    for run_id in moved:
        remove_folder(settings, run_id, {})
    (folder / JOURNAL).unlink()


def _forget(session: Session, run_id: str) -> None:
    """Delete the rows of a run that was imported, as far as there are some."""
    number = session.exec(select(Run.number).where(Run.id == run_id, col(Run.view_only))).first()
    if number is None:
        return
    session.execute(delete(Metric).where(col(Metric.run_number) == number))
    session.execute(delete(Run).where(col(Run.number) == number).execution_options(synchronize_session=False))
    session.merge(DeletedRun(id=run_id, home=session.info["home"]))
    session.flush()
    touch(session, run_id)
