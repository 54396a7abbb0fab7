"""The run database: `Store`, through which everything reads and changes runs and registries.

Called by server, command line, notebook API and the executor's daemon. All methods are synchronous and safe for
threads; views are the models of `imgcls_lab.schemas`. It starts no process and imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlmodel import Session

from imgcls_lab._version import __version__
from imgcls_lab.events import LIVE, DesiredState, RunState
from imgcls_lab.schemas import (
    AlertView,
    Cursor,
    DevicesReply,
    EpochReport,
    LogChunk,
    MetricsBatch,
    RunDetail,
    RunEdit,
    RunPage,
    RunsBatch,
    RunView,
    SeriesReply,
    SubmitRequest,
)
from imgcls_lab.settings import Settings
from imgcls_lab.store import alerts, backups, executors, metrics, migrations, queries, run_files
from imgcls_lab.store import runs as _runs
from imgcls_lab.store.consistency_check import check as check_all
from imgcls_lab.store.database import Database, set_aside_if_damaged, to_folder
from imgcls_lab.store.folder_rows import Mirror
from imgcls_lab.store.pyramid import Axis
from imgcls_lab.store.rebuilding import Progress, RebuildReport, rebuild_all
from imgcls_lab.store.registry import Configs, Datasets, Models, Projects

__all__ = ["RebuildReport", "Store", "migrate", "rebuild"]

T = TypeVar("T")
V = TypeVar("V", bound=RunView)


class Store:
    """The runs and registries of one database. Open it with `Store.open`; close it, or use it in a `with`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings = settings
        self.database = database
        self.projects = Projects(database)
        self.configs = Configs(database)
        self.datasets = Datasets(database)
        self.models = Models(database)
        self._observer = executors.Observer()

    @classmethod
    def open(cls, settings: Settings, migrate: bool = False) -> Self:
        """Connect. `migrate`: create or upgrade the tables (server and command line), after a backup; else refuse.

        Raises StoreError: unreachable, on a network file system, of another revision.
        """
        settings.make_home()
        database = Database(settings.db_url)
        database.hook = "pending" if settings.webhook else None
        database.mirror = Mirror(settings)
        try:
            if migrate:
                migrations.migrate(database, settings.backups_dir)
            migrations.check_revision(database)
        except BaseException:
            database.close()
            raise
        return cls(settings, database)

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> AbstractContextManager[Session]:
        """A session that changes nothing: for the executor's own queries."""
        return self.database.read()

    def write(self) -> AbstractContextManager[Session]:
        """A write transaction: for the executor's own changes."""
        return self.database.write()

    # ── runs ────────────────────────────────────────────────────────────────────────────────────────────────
    def submit(self, request: SubmitRequest, *, run_id: str | None = None) -> RunView:
        """Queue a run. Raises ConfigError, NotFoundError, ConflictError (a key used for another body)."""
        return self._view(_runs.submit(self.database, request, run_id))

    def request(self, run_id: str, desired: DesiredState) -> RunView:
        """Ask a run to stop (checkpoint first) or to end now; one that waits is called back. Raises ConflictError."""
        return self._change(lambda session: _runs.request_change(session, run_id, desired))

    def resume(self, run_id: str, changes: Mapping[str, Any] | None = None) -> RunView:
        """Queue a run that was stopped, failed or cancelled again. Raises ConflictError for any other.

        changes: settings that its next attempts have instead. Raises ConfigError for one that changes the result.
        """
        return self._change(lambda session: _runs.resume(session, run_id, changes or {}, self.settings))

    def edit_run(self, run_id: str, edit: RunEdit) -> RunView:
        return self._change(lambda session: _runs.edit(session, run_id, edit))

    def explain(self, run_id: str, message: str) -> None:
        """Say why a run was stopped; does nothing where it was not."""
        with self.write() as session:
            _runs.explain(session, run_id, message)

    def delete_run(self, run_id: str) -> None:
        """Delete row, metrics and folder. Raises ConflictError while the run waits or lives."""
        _runs.delete_run(self.database, self.settings, run_id)

    def run(self, run_id: str) -> RunDetail:
        """One run, by its id or a prefix that only one has. Raises NotFoundError, InputError."""
        with self.read() as session:
            return self._judged(session, [queries.detail(session, self.settings, run_id)])[0]

    def runs(
        self,
        *,
        project_id: int | None = None,
        parent_id: str | None = None,
        states: Iterable[RunState] | None = None,
        text: str | None = None,
        sort: str = "created_at",
        descending: bool = True,
        limit: int = 200,
        offset: int = 0,
    ) -> RunPage:
        """A page of the list. `text` is looked for in name, id, model, root and notes; `parent_id`: a sweep's runs."""
        with self.read() as session:
            page = queries.runs(
                session,
                project_id=project_id,
                parent_id=parent_id,
                states=states,
                text=text,
                sort=sort,
                descending=descending,
                limit=limit,
                offset=offset,
            )
            page.items = self._judged(session, page.items)
            return page

    def run_views(self, run_ids: Iterable[str]) -> dict[str, RunView]:
        """Runs by id; those that are not there (any more) are left out."""
        return self._read(queries.run_views, list(run_ids))

    def keyed_runs(self, key: str) -> list[RunView]:
        """Runs submitted under an idempotency key, or under one that goes on with a colon, oldest first."""
        return self._read(queries.keyed_runs, key)

    def losses(self, run_id: str) -> int:
        """How often a run was lost in a row: 0 where a user asked for its present attempt."""
        with self.read() as session:
            return _runs.find_run(session, run_id).losses

    def changed_runs(self, since: float, known: Mapping[str, int]) -> tuple[RunsBatch, float]:
        """What changed after `since` (0 at first, then what the last call returned), less what the reader knows."""
        with self.read() as session:
            batch, now = queries.changed_runs(session, since, known)
            batch.changed = self._judged(session, batch.changed)
            return batch, now

    def unattended_hosts(self) -> set[str]:
        """Hosts whose executor ended, is suspended or does not beat any more, as far as this store has watched."""
        with self.read() as session:
            return executors.unattended_hosts(session, self._observer, self.settings.lease)

    def live_on(self, hosts: Iterable[str]) -> list[RunView]:
        """Runs that live on some hosts, or lived there when they went silent."""
        with self.read() as session:
            return self._judged(session, queries.live_on(session, hosts))

    def last_scan(self, root: str) -> queries.Scan | None:
        """What the newest run that has scanned a data set's folder found; None while none has."""
        with self.read() as session:
            return queries.last_scan(session, self.settings, root)

    # ── what a run made ─────────────────────────────────────────────────────────────────────────────────────
    def series(
        self,
        run_ids: Iterable[str],
        tags: Iterable[str] | None = None,
        *,
        axis: Axis = "step",
        low: float | None = None,
        high: float | None = None,
        max_points: int = 2000,
    ) -> SeriesReply:
        """Points by run and tag, thinned to smallest and largest where there are more than `max_points`."""
        with self.read() as session:
            return metrics.series(session, run_ids, tags, axis=axis, low=low, high=high, max_points=max_points)

    def points_since(self, cursors: Mapping[str, Cursor]) -> MetricsBatch:
        """Points behind each cursor, and from which step on a reader must forget what it has."""
        with self.read() as session:
            return metrics.points_since(session, cursors)

    def log(self, run_id: str, offset: int = -65536, limit: int = 262_144) -> LogChunk:
        """A piece of the run's log; a negative offset counts from its end."""
        return run_files.read_log(self.settings.run_dir(self._id(run_id)), offset, limit)

    def report(self, run_id: str, epoch: int | None = None, split: str = "val") -> EpochReport:
        """The evaluation of an epoch, by default the last; that of the best model on test/. Raises NotFoundError."""
        return run_files.read_report(self.settings.run_dir(self._id(run_id)), epoch, split)

    # ── executors, care ─────────────────────────────────────────────────────────────────────────────────────
    def devices(self) -> DevicesReply:
        """Executors, their devices and who holds them."""
        with self.read() as session:
            reply = executors.devices(session, self._observer, self.settings.lease, __version__)
        full = self.database.full()
        return reply.model_copy(update={"message": full}) if full else reply

    def holder_parents(self, host: str) -> dict[int, list[int]]:
        """Pid -> its ancestors, of the processes that hold memory of a host's GPUs."""
        return self._read(executors.parents, host)

    def alerts(self, limit: int = 100) -> list[AlertView]:
        """The newest alerts, newest first."""
        return self._read(alerts.recent, limit)

    def alerts_since(self, change: int | None) -> tuple[list[AlertView], int]:
        """Alerts after a value that an earlier call gave, and the next one. None: from now on."""
        return self._read(alerts.since, change)

    def backup(self, path: Path) -> Path:
        """Copy the database as of this moment. Raises StoreError where the file exists or cannot be written."""
        return backups.backup(self.database, path.expanduser().absolute())

    def catch_up_folders(self) -> None:
        """Write once more what a run's folder did not take, for a full disk or the like."""
        behind = self.database.mirror.behind if self.database.mirror is not None else set()
        if behind:
            with self.write() as session:
                for run_id in behind:
                    to_folder(session, run_id)

    def check(self) -> list[str]:
        """What is wrong between database and folders, a sentence each. Raises StoreError."""
        return check_all(self.database, self.settings)

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _judged(self, session: Session, views: list[V]) -> list[V]:
        """The views, with a word where a run's host is silent, and no estimate where nobody looks at the run."""
        if not any(view.state in LIVE for view in views):
            return views
        unattended = executors.unattended_hosts(session, self._observer, self.settings.lease)
        silent = executors.silent_hosts(session, self._observer, self.settings.lease) if unattended else set()

        def judged(view: V) -> V:
            if view.state not in LIVE or view.host not in unattended:
                return view
            if view.host in silent:
                return view.model_copy(update={"unreachable": True, "message": executors.unreachable(view.host)})
            return view.model_copy(update={"seconds_left": None})

        return [judged(view) for view in views]

    def _read(self, query: Callable[..., T], *arguments: Any) -> T:
        with self.read() as session:
            return query(session, *arguments)

    def _change(self, change: Callable[[Session], str]) -> RunView:
        with self.write() as session:
            run_id = change(session)
        return self._view(run_id)

    def _view(self, run_id: str) -> RunView:
        return self._read(queries.run_view, run_id)

    def _id(self, text: str) -> str:
        with self.read() as session:
            return _runs.find_run(session, text).id


def migrate(settings: Settings) -> bool:
    """Create or upgrade the tables; False when there was nothing to do. Raises StoreError."""
    settings.make_home()
    database = Database(settings.db_url)
    try:
        return migrations.migrate(database, settings.backups_dir)
    finally:
        database.close()


def rebuild(settings: Settings, on_progress: Progress | None = None) -> RebuildReport:
    """Index every run folder anew: rows that the database has stay, and what folders know besides is added.

    A SQLite file that cannot be read is moved aside first, and a new one is made. Cut off anywhere, it leaves every run
    either as it was or indexed anew. on_progress: called with the folders done and all. Raises StoreError.
    """
    settings.make_home()
    moved = set_aside_if_damaged(settings.db_url)
    with Store.open(settings, migrate=True) as store:
        report = rebuild_all(store.database, settings, on_progress)
    if moved is not None:
        report.problems.insert(0, f"The old database could not be read; it lies in {moved}.")
    return report
