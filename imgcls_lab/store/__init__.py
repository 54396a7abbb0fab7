"""The run database: `Store`, through which everything reads and changes runs and registries.

Called by server, command line and notebook API; the executor's daemon has queries of its own in `executor_store.py`.
All methods are synchronous and safe for threads. Views are the models of `imgcls_lab.schemas`. It starts no process
and imports no torch.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Self

from imgcls_lab.schemas import Way
from imgcls_lab.settings import Settings
from imgcls_lab.store import backups, homes, migrations, users
from imgcls_lab.store.alerts import Alerts
from imgcls_lab.store.archive_files import Archives
from imgcls_lab.store.audit import Actor
from imgcls_lab.store.audits import Audits
from imgcls_lab.store.checkpoints import Checkpoints
from imgcls_lab.store.consistency_check import check as check_all
from imgcls_lab.store.database import Database, set_aside_if_damaged
from imgcls_lab.store.dataset_pages import DatasetPages
from imgcls_lab.store.evaluations import Evaluations
from imgcls_lab.store.events import Events
from imgcls_lab.store.executors import Executors
from imgcls_lab.store.exports import Exports
from imgcls_lab.store.folder_rows import FolderWriter
from imgcls_lab.store.like_runs import LikeRunReader
from imgcls_lab.store.metrics import MetricReader
from imgcls_lab.store.models import Models
from imgcls_lab.store.project_exports import ProjectExports
from imgcls_lab.store.project_imports import ProjectImports
from imgcls_lab.store.project_pages import ProjectPages
from imgcls_lab.store.proofs import Proofs
from imgcls_lab.store.rebuilding import Progress, RebuildReport, rebuild_all
from imgcls_lab.store.registry import Configs, Datasets, Projects
from imgcls_lab.store.revisions import Revisions
from imgcls_lab.store.run_contents import RunContents
from imgcls_lab.store.run_lists import RunLists
from imgcls_lab.store.run_models import RunModels
from imgcls_lab.store.runs import Runs
from imgcls_lab.store.saved_views import SavedViews
from imgcls_lab.store.trial_links import link_trials

__all__ = ["RebuildReport", "Store", "migrate", "rebuild"]


class Store:
    """The collections of one database. Open it with `Store.open`; close it, or use it in a `with`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.projects = Projects(database)
        self.configs = Configs(database)
        self.datasets = Datasets(database, settings)
        self.revisions = Revisions(database, settings)
        self.models = Models(database, settings)
        self.executors = Executors(database, settings)
        self.runs = Runs(database, settings, self.executors)
        self.run_lists = RunLists(database, self.executors)
        self.exports = Exports(database, settings, self.runs, self.models)
        self.like_runs = LikeRunReader(database, settings, self.runs)
        self.audits = Audits(database, settings, self.runs)
        self.proofs = Proofs(database, settings, self.runs)
        self.project_pages = ProjectPages(database, settings, self.projects, self.configs)
        self.project_exports = ProjectExports(database, settings)
        self.project_imports = ProjectImports(database, settings)
        self.archives = Archives(settings)
        self.dataset_pages = DatasetPages(database, settings, self.datasets, self.audits)
        self.metrics = MetricReader(database)
        self.evaluations = Evaluations(database, settings)
        self.run_models = RunModels(database, settings)
        self.run_contents = RunContents(database, settings)
        self.checkpoints = Checkpoints(database, settings)
        self.alerts = Alerts(database)
        self.events = Events(database)
        self.users = users.Users(database)
        self.views = SavedViews(database)

    @classmethod
    def open(cls, settings: Settings, migrate: bool = False, way: Way = "python") -> Self:
        """Connect. `migrate`: create or upgrade the tables (server and command line), after a backup; else refuse.

        way: by which the user of this process changes something, for the record of who did what.

        Raises StoreError: unreachable, on a network file system, of another revision.
        """
        settings.make_home()
        database = Database(settings.connection_url, Actor.current(way))
        database.audit_kept = settings.audit_events
        database.webhook_state = "pending" if settings.webhook else None
        database.folder_writer = FolderWriter(settings)
        try:
            migrated = migrate and migrations.migrate(database, settings.backups_dir)
            migrations.check_revision(database)
            database.home = homes.identify(database, settings)
            if migrated:
                _first_entries(database, settings)
        except BaseException:
            database.close()
            raise
        return cls(settings, database)

    @property
    def own_rows(self) -> str | None:
        """The owner whose rows are the acting user's; None: all are, since the database is this user's alone."""
        return None if self.database.is_sqlite else self.database.actor.user

    def act_for(self, owner: str) -> None:
        """Change runs as their owner does: for a process that an executor started for this user's run."""
        if owner:
            self.database.actor = replace(self.database.actor, user=owner)

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def backup(self, path: Path) -> Path:
        """Copy the database as of this moment. Raises StoreError where the file exists or cannot be written."""
        return backups.backup(self.database, path.expanduser().absolute())

    def check(self) -> list[str]:
        """What is wrong between database and folders, a sentence each. Raises StoreError."""
        return check_all(self.database, self.settings)


def migrate(settings: Settings) -> bool:
    """Create or upgrade the tables; False when there was nothing to do. Raises StoreError."""
    settings.make_home()
    database = Database(settings.connection_url)
    try:
        migrated = migrations.migrate(database, settings.backups_dir)
        if migrated:
            database.home = homes.identify(database, settings)
            _first_entries(database, settings)
        return migrated
    finally:
        database.close()


def _first_entries(database: Database, settings: Settings) -> None:
    """After a migration: the homes of runs that had none, an administrator where there is none, sweeps of trials."""
    with database.write() as session:
        homes.place_runs(session, settings)
        users.make_admin_if_first(session)
        link_trials(session, settings)


def rebuild(settings: Settings, on_progress: Progress | None = None, *, mine: bool = False) -> RebuildReport:
    """Index every run folder anew: rows that the database has stay, and what folders know besides is added.

    A SQLite file that cannot be read is moved aside first, and a new one is made. Cut off anywhere, it leaves every run
    either as it was or indexed anew. on_progress: called with the folders done and all; mine: the user says that all
    folders are his own. Raises StoreError.
    """
    settings.make_home()
    moved = set_aside_if_damaged(settings.db_url)
    with Store.open(settings, migrate=True) as store:
        report = rebuild_all(store.database, settings, on_progress, mine=mine)
    if moved is not None:
        report.problems.insert(0, f"The old database could not be read; it lies in {moved}.")
    return report
