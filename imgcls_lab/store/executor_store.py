"""What only the daemon of a home on a host reads and writes: its own row, devices, claims, live runs and folders.

It sees the runs of its own home alone; those of other homes are for their daemons. Called by `executor/`. Each method
is one transaction or a few. Every write about an attempt is fenced by that attempt (`states.py`): where another process
was first, it changes nothing and the caller looks again. All raise StoreError.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence, Set
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete, select, text, update

from imgcls_lab.errors import ConflictError
from imgcls_lab.events import RESUMABLE, DesiredState, RunState
from imgcls_lab.identity import ProcessIdentity, user_name
from imgcls_lab.run_layout import is_run_id
from imgcls_lab.schemas import AlertKind, AlertView
from imgcls_lab.settings import Settings
from imgcls_lab.store import (
    alerts,
    attempts,
    executors,
    fair_share,
    homes,
    locked_runs,
    migrations,
    new_folders,
    queue,
    run_files,
    run_folders,
    run_restore,
    states,
    submitted,
)
from imgcls_lab.store.cluster import Cluster, Waiting
from imgcls_lab.store.database import Database, to_folder
from imgcls_lab.store.folder_rows import saved_config
from imgcls_lab.store.ingest import ingest_all
from imgcls_lab.store.live_runs import Changes, LiveRuns
from imgcls_lab.store.locked_runs import Key, LockedRun
from imgcls_lab.store.tables import Attempt, DeletedRun, Device, DeviceClaim, Executor, Home, Run, User
from imgcls_lab.store.verdict import ProcessEnd, Verdict, ended_at, judge, last_line, read_end, unlaunched

BEHIND = 200  # records of folders that are written in one transaction


class Scheduler(queue.Order, Protocol):
    """What `executor/scheduler.py` has: one pass over the queue."""

    def __call__(self, run: Waiting) -> list[str] | str | None: ...


SchedulerOf = Callable[[Cluster, int], Scheduler]  # from the cluster and the runs here without a device


class ExecutorStore:
    """The run database for the daemon of this process's home on one host.

    executor_id: its row; watch: which other daemons live.
    """

    def __init__(
        self, database: Database, settings: Settings, host: str, executor_id: str, watch: executors.HeartbeatWatch
    ) -> None:
        self._database = database
        self._settings = settings
        self._host = host
        self._id = executor_id
        self._watch = watch
        self._live = LiveRuns(host)
        self._elsewhere: dict[str, ExecutorStore] = {}

    def at(self, host: str) -> ExecutorStore:
        """The same for another host: the daemon of a cluster also watches what trains on its own host."""
        if host not in self._elsewhere:
            self._elsewhere[host] = ExecutorStore(self._database, self._settings, host, self._id, self._watch)
        return self._elsewhere[host]

    @property
    def changes(self) -> Changes:
        """What had changed in the database at the last call of `live_runs`."""
        return self._live.changes

    # ── the daemon itself ───────────────────────────────────────────────────────────────────────────────────
    def check_revision(self) -> None:
        """Raises RevisionError where another version of this program has migrated the tables."""
        migrations.check_revision(self._database)

    def register(self) -> int:
        """Add the rows of this daemon and its home; its earlier ones on the host go.

        Devices that ended runs of this home held are freed; how many.
        """
        for known in (self, *self._elsewhere.values()):
            known._live.forget()
        with self._database.write() as session:
            homes.note(session, self._settings, self._host)
            homes.place_runs(session, self._settings)
            executors.register(session, self._id, self._host, ProcessIdentity.current())
            freed = attempts.free_stale_claims(session, self._host)
            alerts.prune(session)
        return freed

    def beat(self) -> bool:
        """False: this daemon's row is gone, since the database was made anew or another daemon took the host over."""
        with self._database.write() as session:
            return executors.beat(session, self._id)

    def sign_off(self) -> None:
        with self._database.write() as session:
            executors.sign_off(session, self._id)

    def identities(self) -> list[ProcessIdentity]:
        """Of this home's daemons that are registered for this host."""
        with self._database.read() as session:
            here = (Executor.host == self._host, Executor.home == self._database.home)
            rows = session.exec(select(Executor.identity).where(*here)).all()
        return [ProcessIdentity.from_json(json.dumps(row)) for row in rows]

    def beats(self) -> dict[str, int]:
        """The beats of this home's daemons that are registered for this host, by their ids."""
        with self._database.read() as session:
            here = (Executor.host == self._host, Executor.home == self._database.home)
            return dict(session.exec(select(Executor.id, Executor.heartbeat).where(*here)).all())

    def forget_host(self, live: Iterable[tuple[Run, Attempt]]) -> None:
        """Queue the live runs of this home on the host again; drop its daemons, devices and claims there."""
        lost = Verdict(RunState.LOST, message=f"The host {self._host} is gone", counted=False)
        for run, attempt in live:
            self.finish(run.id, attempt.number, lost)
        home = self._database.home
        with self._database.write() as session:
            for table in (Executor, Device):
                session.execute(delete(table).where(col(table.host) == self._host, col(table.home) == home))
            mine = select(Run.id).where(Run.home == home)
            held = (col(DeviceClaim.host) == self._host, col(DeviceClaim.run_id).in_(mine))
            session.execute(delete(DeviceClaim).where(*held))

    # ── devices ─────────────────────────────────────────────────────────────────────────────────────────────
    def claimed_devices(self) -> set[str]:
        """Names of this host's devices that runs of this database hold, of whatever home."""
        with self._database.read() as session:
            return set(session.exec(select(DeviceClaim.device).where(DeviceClaim.host == self._host)).all())

    def saved_holders(self) -> list[dict[str, Any]]:
        """The processes on this host's GPUs, as a daemon saved them last."""
        with self._database.read() as session:
            here = (Device.host == self._host, Device.home == self._database.home)
            saved = session.exec(select(Device.gpu_processes).where(*here)).all()
        return [row for rows in saved for row in rows]

    def devices_saved(self) -> int:
        """How many devices of this host are in the database, as this home's daemon saw them."""
        with self._database.read() as session:
            here = (Device.host == self._host, Device.home == self._database.home)
            return session.exec(select(func.count()).select_from(Device).where(*here)).one()

    def save_devices(self, rows: Sequence[dict[str, Any]], only: Set[str] | None = None) -> None:
        """Replace the devices of this host. only: names, where the others stay as they are."""
        with self._database.write() as session:
            executors.save_devices(session, self._host, rows, only)

    # ── waiting runs ────────────────────────────────────────────────────────────────────────────────────────
    def claim(self, scheduler_of: SchedulerOf, most: int = attempts.AT_ONCE) -> list[attempts.Claim]:
        """Take the first waiting runs that a scheduler finds devices for, at most so many.

        The messages of the first others say why they wait. Empty: nothing could be taken.
        """
        with self._database.read() as session:
            if not queue.owners(session, self._database.home):
                return []
            cluster = Cluster.read(session, self._watch, self._host)
            scheduler = scheduler_of(cluster, attempts.live_drivers(session, self._host))
            planned = attempts.plan(session, self._host, scheduler, scheduler, most)
        if not planned.starts and not planned.sentences:
            return []
        try:
            with self._database.write() as session:
                return attempts.take(session, self._host, self._id, planned)
        except ConflictError:  # another daemon took a run meanwhile
            return []
        except IntegrityError as error:  # or a device
            if DeviceClaim.__tablename__ not in str(error.orig):
                raise
            return []

    def check_submitted(self, run: Run) -> None:
        """Raises ConflictError for a claimed run that this home's user has not submitted as its row is."""
        with self._database.read() as session:
            submitted.check(session, self._settings, run)

    def settle(self) -> None:
        """Runs that wait for others or for another host: write down why, and cancel those that wait in vain."""
        with self._database.read() as session:
            alive = self._watch.places(session, "alive")
            updates = queue.to_settle(session, {host for host, home in alive if home == self._database.home})
        if updates:
            with self._database.write() as session:
                queue.settle(session, updates)

    # ── live runs ───────────────────────────────────────────────────────────────────────────────────────────
    def live_runs(self) -> list[tuple[Run, Attempt]]:
        """Runs of this home that live on this host, with their present attempts."""
        with self._database.read() as session:
            return self._live.read(session)

    def unattended_hosts(self) -> set[str]:
        """The hosts where runs of this home live that an executor has started, and where no daemon lives."""
        with self._database.read() as session:
            hosts = attempts.live_hosts(session)
            attended = self._watch.places(session, "alive", "suspended") if hosts - {self._host} else set()
        return {host for host in hosts if (host, self._database.home) not in attended}

    def note(self, found: Sequence[attempts.Noted]) -> None:
        """Write down who has attempts and where they run."""
        with self._database.write() as session:
            attempts.note(session, found)

    def show_stopping(self, run_id: str, attempt: int) -> None:
        with self._database.write() as session:
            states.move(session, run_id, RunState.STOPPING, attempt=attempt)

    def show_message(self, run_id: str, attempt: int, message: str | None) -> None:
        with self._database.write() as session:
            # a daemon finds it again, so no folder is written
            states.change_run(session, run_id, col(Run.attempt) == attempt, message=message, recorded=False)

    def ingest(self, found: Sequence[Key]) -> None:
        """Bring the new events of attempts into the database."""
        ingest_all(self._database, self._settings, found)

    def follow(self, run_id: str) -> None:
        """Bring a run of a kernel or shell up to its folder."""
        run_folders.follow(self._database, self._settings, run_id)

    def finish(self, run_id: str, attempt: int, verdict: Verdict) -> RunState | None:
        """Write a verdict on an attempt that left nothing to read, and free its devices."""
        with self._database.write() as session:
            return attempts.finish(session, run_id, attempt, verdict, None)

    def finish_by_folder(self, found: Sequence[Key]) -> dict[Key, tuple[Verdict, RunState]]:
        """Write what attempts came to, by their events and folders; the verdicts, and the runs' states then.

        One that is left out was ended by another process. The caller has confirmed that their processes are dead.
        """
        keys = sorted(ingest_all(self._database, self._settings, found))
        if not keys:
            return {}
        folders = {key: self._settings.run_dir(key[0]) for key in keys}
        ends = {key: read_end(folder, key[1]) or unlaunched(folder, key[1]) for key, folder in folders.items()}
        with self._database.write() as session:
            locked = locked_runs.lock(session, keys)
            endings = {key: self._ending(row, folders[key], ends[key]) for key, row in locked.items()}
            states_then = attempts.finish_all(session, locked, endings)
        return {key: (endings[key].verdict, state) for key, state in states_then.items()}

    def _ending(self, row: LockedRun, folder: Path, end: ProcessEnd | None) -> attempts.Ending:
        reported = attempts.reported(row.attempt)
        verdict = judge(
            reported,
            end,
            DesiredState(row.run.desired_state),
            saved_step=row.run.saved_step,
            trained=row.attempt.state != RunState.STARTING.value,
            last_line=last_line(folder) if reported is None else "",
        )
        # a machine that was switched off meanwhile adds no hours to the run
        return attempts.Ending(verdict, end, at=ended_at(folder, row.attempt.number, end), seen=time.time())

    # ── folders of kernels and shells ───────────────────────────────────────────────────────────────────────
    def known_runs(self) -> set[str]:
        """Ids of all runs that have a row."""
        with self._database.read() as session:
            return set(session.exec(select(Run.id)).all())

    def take_in(self, run_id: str) -> None:
        """Add the row of a new folder, if that is for a daemon to do. Raises ConfigError, OSError: no run's folder."""
        run_restore.take_in(self._database, self._settings, run_id)

    def remove_left_folders(self) -> None:
        """Remove the folders of runs that were never queued, since the process that asked for them was killed."""
        new_folders.remove_left(self._settings)

    def reopen_resumed(self) -> None:
        """Reopen the runs of kernels and shells whose folders show a newer attempt."""
        with self._database.read() as session:
            ended = col(Run.state).in_(states.texts(RESUMABLE))
            outside = (col(Run.external).is_(True), Run.home == self._database.home)
            candidates = session.exec(select(Run.id, Run.attempt).where(*outside, ended)).all()
        for run_id, attempt in candidates:
            if self._settings.run_dir(run_id).is_dir():
                run_folders.reopen(self._database, self._settings, run_id, attempt)

    def catch_up_folders(self) -> None:
        """Write what a run's folder lacks: it could not take it, or a process of another home has changed the run.

        Remove the folders of runs that a process of another home has deleted.
        """
        behind = set(self._database.folder_writer.behind if self._database.folder_writer is not None else ())
        home = self._database.home
        with self._database.read() as session:
            left = session.exec(select(DeletedRun.id).where(DeletedRun.home == home, DeletedRun.folder_left)).all()
            changed = session.exec(select(Run.id).where(Run.home == home, text("record_behind")).limit(BEHIND)).all()
        if behind or changed:
            with self._database.write() as session:
                for run_id in behind.union(changed):
                    to_folder(session, run_id)
                session.execute(update(Run).where(col(Run.id).in_(changed)).values(record_behind=False))
        for run_id in filter(is_run_id, left):  # of another name, a row was written by hand
            config = saved_config(self._settings.run_dir(run_id))
            run_files.remove_folder(self._settings, run_id, config)
            with self._database.write() as session:
                session.execute(update(DeletedRun).where(col(DeletedRun.id) == run_id).values(folder_left=False))

    # ── the disk ────────────────────────────────────────────────────────────────────────────────────────────
    def counts_disk(self) -> bool:
        """Whether somebody wants to know how much of the disk this home's runs take: it has a limit, or neighbours."""
        with self._database.read() as session:
            limited = select(User.name).where(User.name == user_name(), col(User.max_disk_gb).is_not(None))
            others = select(Home.id).where(Home.id != self._database.home).limit(1)
            return session.exec(limited).first() is not None or session.exec(others).first() is not None

    def is_over_disk(self) -> bool:
        """Whether the runs of this home's user wait because the others take more of the disk than they may."""
        with self._database.read() as session:
            row = session.get(User, user_name())
            return row is not None and fair_share.over_disk(session, row) is not None

    def save_disk(self, run_bytes: int) -> None:
        """Note how many bytes the folders of this home's runs take."""
        with self._database.write() as session:
            counted = {"run_bytes": run_bytes, "counted_at": time.time()}
            session.execute(update(Home).where(col(Home.id) == self._database.home).values(**counted))

    # ── alerts ──────────────────────────────────────────────────────────────────────────────────────────────
    def add_alert(self, alert_id: str, kind: AlertKind, text: str, run_id: str | None = None) -> None:
        """Add an alert, unless there is one of this id."""
        with self._database.write() as session:
            alerts.add(session, alert_id, kind, text, host=self._host, run_id=run_id)

    def pending_alerts(self) -> list[AlertView]:
        """Alerts of this home on this host that its webhook has not sent yet, oldest first."""
        with self._database.read() as session:
            return alerts.pending(session, self._host)

    def mark_alerts(self, results: Iterable[tuple[str, str]]) -> None:
        """Write down what became of alerts' webhooks: (id, sent or failed)."""
        with self._database.write() as session:
            for alert_id, result in results:
                alerts.mark(session, alert_id, result)
