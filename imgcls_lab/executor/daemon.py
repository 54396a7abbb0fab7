"""The executor's daemon: claims waiting runs, monitors live ones, and indexes those of notebooks.

`client.start` starts `python -m imgcls_lab.executor.daemon`, one for each host and home. It may die at any moment and
come back: meanwhile each run has its supervisor. SIGTERM ends it and leaves the runs alone.
"""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial

from imgcls_lab import locks
from imgcls_lab._version import __version__
from imgcls_lab.errors import ConflictError, ExecutorError, ImgclsError, RevisionError, StoreError
from imgcls_lab.events import FailureKind, RunState
from imgcls_lab.executor import backends, client, run_secrets
from imgcls_lab.executor.alert_sender import AlertSender
from imgcls_lab.executor.backends.base import Backend
from imgcls_lab.executor.device_inventory import DeviceInventory
from imgcls_lab.executor.disk_usage import DiskUsage
from imgcls_lab.executor.load_history import LoadHistory
from imgcls_lab.executor.mirror.removal import ObjectRemoval
from imgcls_lab.executor.other_backends import OtherBackends
from imgcls_lab.executor.queue_watch import QueueWatch
from imgcls_lab.executor.run_checks import RunChecks
from imgcls_lab.executor.run_monitor import Urgency
from imgcls_lab.executor.scheduler import Scheduler, TurnWatch
from imgcls_lab.identity import Owner, ProcessIdentity
from imgcls_lab.run_layout import write_atomic
from imgcls_lab.settings import LOCAL, Settings
from imgcls_lab.side_by_side import side_by_side
from imgcls_lab.store import Store, run_folders
from imgcls_lab.store.attempts import AT_ONCE, Claim, Noted
from imgcls_lab.store.cluster import Cluster
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.homes import HOME_ID
from imgcls_lab.store.verdict import Verdict

log = logging.getLogger(__name__)

BEAT_EVERY = 5.0
DEVICES_EVERY = 3.0
SCAN_EVERY = 2.0
ALERTS_EVERY = 2.0
LEFT_EVERY = 60.0  # it lists the folders of all runs for what is seldom there
YOUNG = 10_000  # objects after which Python looks for cycles; by default 700
UNREADABLE_PAUSE = 30.0  # seconds until a folder that holds no run is looked at again
OWNER_TIMEOUT = 30.0  # seconds a new folder may lack an owner before it counts as abandoned

StartError = OSError | ExecutorError | ConflictError


class Daemon:
    """The rounds of one backend, by default that of the settings. `clock` is a seam for tests."""

    def __init__(
        self,
        settings: Settings,
        *,
        backend: Backend | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.backend = backend or backends.of(settings)
        self.host = self.backend.host
        self._others = OtherBackends(settings, self.host)
        self._ended_at = -self.backend.release_seconds  # when a run of this host ended last
        self.inventory = DeviceInventory(settings, self.backend)
        self.id = f"{self.host}-{secrets.token_hex(4)}"
        self.stopping = threading.Event()
        self._clock = clock
        self._checks = RunChecks(settings, clock, self.stopping)
        self._known: set[str] | None = None  # folders that have a row
        self._alert_sender = AlertSender(settings, self.host)
        self._watch = HeartbeatWatch(settings.lease, clock)
        self._turns = TurnWatch(clock)
        self._disk = DiskUsage(settings)
        self._load = LoadHistory(settings)
        self._object_removal = ObjectRemoval(settings)
        self._unreadable: dict[str, float] = {}  # folders that hold no run, and when to look again
        self._ownerless: dict[str, float] = {}  # folders without an owner, and since when
        self._queue_watch = QueueWatch(clock)
        self._due: defaultdict[str, float] = defaultdict(float)  # when each is due again; at once at first

    def run(self) -> int:
        """Until SIGTERM. Exit code 0, also when another daemon lives already; 1 when the database refuses."""
        self.settings.make_home()
        lock = self._take_lock()
        if lock is None:
            log.info("Another daemon of this home lives on %s.", self.host)
            return 0
        try:
            store = Store.open(self.settings, migrate=False, way="executor")
        except ImgclsError as error:
            log.error("The executor cannot start: %s", error)
            return 1
        with store:
            own = self.store_of(store)
            if self._host_is_taken(own):
                log.error(
                    "The executor cannot start: another one of this home lives on this host, with another folder of "
                    "locks. Stop it, or remove the file %s if the home was copied.",
                    HOME_ID,
                )
                return 1
            if self._cluster_is_taken(own):
                log.error("The executor cannot start: another host has this home's executor for %s.", self.host)
                return 1
            self._register(own)
            try:
                store.project_imports.undo_unfinished()
            except (OSError, ImgclsError) as error:
                log.warning("An import that was cut off could not be undone yet: %s", error)
            run_secrets.take_back_others(self.settings, {run.id for run, _ in own.live_runs()})
            identity = json.loads(ProcessIdentity.current().to_json())
            about = {"id": self.id, "version": __version__, "backend": self.settings.backend}
            write_atomic(self.settings.executor_info, json.dumps({**identity, **about}))
            log.info("Executor %s, version %s, pid %d.", self.id, __version__, os.getpid())
            while not self.stopping.is_set():
                pause = 0.0
                try:
                    self.turn(own)
                except RevisionError as error:  # it is another program's; a newer one's daemon takes over
                    log.error("The executor ends, and its runs go on: %s", error)
                    self.stopping.set()
                except StoreError as error:
                    log.warning("%s", error)
                    pause = max(self.settings.poll_interval, 1.0)
                except Exception:
                    log.exception("A round failed; the next one tries again.")
                    pause = max(self.settings.poll_interval, 1.0)
                self.stopping.wait(pause)
            self._object_removal.closing.set()
            self.backend.close()
            self._others.close()
            self._sign_off(own)
        os.close(lock)
        return 0

    def store_of(self, store: Store) -> ExecutorStore:
        """The queries of this daemon on an open store."""
        return ExecutorStore(store.database, self.settings, self.host, self.id, self._watch)

    def turn(self, store: ExecutorStore) -> None:
        """A round, and what live runs write until the next one is due. Raises StoreError."""
        due = self._clock() + self.settings.poll_interval
        self.round(store)
        self._checks.ingest(store, due)

    def round(self, store: ExecutorStore) -> None:
        """Check everything once. No round needs an earlier one of the same process. Raises StoreError."""
        if self._is_due("beat", min(BEAT_EVERY, self.settings.lease / 6)):
            store.check_revision()
            if not store.beat():  # the database was made anew, or replaced by an older copy
                log.warning("This executor was not in the database any more; it checks all runs anew.")
                self._register(store)
                self._known = None
        # a supervisor holds its device a moment longer than its run lives: read the devices until it is free
        just_ended = self._clock() - self._ended_at < self.backend.release_seconds
        if self._is_due("devices", 0.0 if just_ended else DEVICES_EVERY):
            self.inventory.update(store)
            self._load.update(self.inventory.devices)
        self._watch_live_runs(store)
        has_freed = self._checks.check(store, Urgency.ENDS)
        if self._is_due("scan", SCAN_EVERY):
            self._others.update(store)
            self._index_new_folders(store)
        if self._is_due("left folders", LEFT_EVERY):
            store.remove_left_folders()
        if self._is_due("alerts", ALERTS_EVERY):
            self._alert_sender.update(store)
            self._disk.update(store)
            self._object_removal.update()
        urgent = just_ended or has_freed
        self._queue_watch.note(store.changes, self.inventory.devices, self.backend.problem(), urgent=urgent)
        if self._queue_watch.is_due():
            self._start_waiting(store)
        # behind the queue: a device that is free waits for none of these
        self._checks.check(store, Urgency.CHANGED)
        self._checks.check(store, Urgency.QUIET)
        self.backend.reap()
        self._others.reap()

    def _watch_live_runs(self, store: ExecutorStore) -> None:
        live = [(store, self.backend, *found) for found in store.live_runs()]
        live += self._others.live_runs(store)
        if self._checks.watch(live) and self.backend.release_seconds:
            self._ended_at, self._due["devices"] = self._clock(), 0.0

    # ── waiting runs ────────────────────────────────────────────────────────────────────────────────────────
    def _start_waiting(self, store: ExecutorStore) -> None:
        """Start what can start, unless somebody who stops this daemon with its runs keeps it from that."""
        hold: int | None = None
        try:
            hold = locks.try_lock(self.settings.executor_hold)
        except OSError as error:  # a full disk keeps no run waiting that has its place
            log.warning("The lock %s could not be made: %s", self.settings.executor_hold, error)
        else:
            if hold is None:
                return
        try:
            self._queue_watch.begin()
            store.settle()
            while not self.stopping.is_set() and self._claim(store):
                pass
            self._queue_watch.succeeded()
        finally:
            if hold is not None:
                os.close(hold)

    def _claim(self, store: ExecutorStore) -> bool:
        """Start the first waiting runs that devices are free for. True: there may be more."""
        devices, problem = self.inventory.devices, self.backend.problem()
        scheduler = partial(Scheduler, host=self.host, watch=self._turns, problem=problem)
        passes: list[Scheduler] = []

        def scheduler_of(cluster: Cluster, drivers: int) -> Scheduler:
            unavailable = self.inventory.unavailable(cluster)
            passes.append(scheduler(cluster, devices, unavailable, drivers))
            return passes[-1]

        claims = store.claim(scheduler_of)
        for looked in passes:  # none, where no run waits
            self._queue_watch.looked(looked, taken=len(claims))
        noted: list[Noted] = []
        for claim, started in zip(claims, side_by_side(partial(self._start, store), claims), strict=True):
            if isinstance(started, Exception):
                run_secrets.take_back(self.settings, claim.run.id)
                store.finish(claim.run.id, claim.attempt, _start_failure(self.settings, started))
                log.warning("%s could not be started: %s", claim.run.id, started)
                continue
            if self._known is not None:
                self._known.add(claim.run.id)
            names = ", ".join(claim.devices) or "no device"
            log.info("%s attempt %d started on %s.", claim.run.id, claim.attempt, names)
            if started is not None:
                noted.append(Noted(claim.run.id, claim.attempt, started, None, claim.devices))
        if noted:
            store.note(noted)
        return len(claims) == AT_ONCE

    def _start(self, store: ExecutorStore, claim: Claim) -> Owner | StartError | None:
        """Start a claimed run. Who has it, None if it has ended already, or why it could not be started.

        Called for several runs at the same time: most of it is waiting until files are on the disk.
        """
        try:
            store.check_submitted(claim.run)
            return self.backend.start(claim.run, claim.attempt, self.inventory.named(claim.devices))
        except (OSError, ExecutorError, ConflictError) as error:
            return error

    # ── folders of kernels and shells ───────────────────────────────────────────────────────────────────────
    def _index_new_folders(self, store: ExecutorStore) -> None:
        if self._known is None:
            self._known = store.known_runs()
        now = self._clock()
        for run_id in set(run_folders.all_folders(self.settings, self._known)):
            if self._unreadable.get(run_id, now) > now:
                continue
            try:
                if self._is_ours(run_id):
                    store.take_in(run_id)
                    self._known.add(run_id)
            except StoreError:
                raise
            except Exception as error:  # one damaged folder must not keep the others waiting
                log.debug("%s is no run (yet): %r", run_id, error)
                self._unreadable[run_id] = now + UNREADABLE_PAUSE
        store.catch_up_folders()
        store.reopen_resumed()

    def _is_ours(self, run_id: str) -> bool:
        """Whether this host's daemon may index a folder: its owner is a process here, or is gone."""
        folder = self.settings.run_dir(run_id)
        owner = run_folders.read_owner(folder)
        if owner is not None or run_folders.attempts_in(folder):
            self._ownerless.pop(run_id, None)
            return owner is None or owner.status() != "unknown"
        return self._clock() - self._ownerless.setdefault(run_id, self._clock()) > OWNER_TIMEOUT

    # ── itself ──────────────────────────────────────────────────────────────────────────────────────────────
    def _take_lock(self) -> int | None:
        until = time.monotonic() + 2  # `locks.is_locked` may hold it for a moment
        while (lock := locks.try_lock(self.settings.executor_lock)) is None:
            if time.monotonic() > until or self._has_another():
                return None
            time.sleep(0.1)
        return lock

    def _has_another(self) -> bool:
        """Whether the daemon that was written down last lives. Waiting for its lock would mean to replace it."""
        try:
            return ProcessIdentity.from_json(self.settings.executor_info.read_bytes()).alive()
        except (OSError, ValueError):
            return False

    def _host_is_taken(self, store: ExecutorStore) -> bool:
        """Whether another daemon monitors the runs of this home here, as if the home had been copied with its id."""
        return any(identity.alive() for identity in store.identities())

    def _cluster_is_taken(self, store: ExecutorStore) -> bool:
        """Whether a daemon on another host beats for the same cluster: a cluster is no host, so both could be right."""
        known = all(identity.status() != "unknown" for identity in store.identities())
        if known or self.settings.backend == LOCAL:
            return False
        beats, until = store.beats(), self._clock() + self.settings.lease
        while self._clock() < until and not self.stopping.wait(0.5):
            if store.beats() != beats:
                return True
        return False

    def _register(self, store: ExecutorStore) -> None:
        freed = store.register()
        if freed:
            log.warning("%d devices were held by runs that had ended; they are free again.", freed)

    def _sign_off(self, store: ExecutorStore) -> None:
        try:
            store.sign_off()
        except StoreError as error:
            log.warning("%s", error)
        log.info("Executor %s has ended; its runs go on.", self.id)

    def _is_due(self, what: str, every: float) -> bool:
        now = self._clock()
        if now < self._due[what]:
            return False
        self._due[what] = now + every
        return True


def _start_failure(settings: Settings, error: StartError) -> Verdict:
    if isinstance(error, ImgclsError):
        return Verdict(RunState.FAILED, FailureKind.APPLICATION, str(error))
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        text = f"The disk of {settings.runs_dir} is full, so the run could not start. Free some space and resume it."
        return Verdict(RunState.FAILED, FailureKind.DISK_FULL, text)
    text = f"The run's folder or process could not be made: {error}. Check {settings.runs_dir} and resume it."
    return Verdict(RunState.FAILED, FailureKind.APPLICATION, text)


def settings_of_process() -> Settings:
    """The settings of a daemon's process: of its environment, and the secrets that its starter writes to its input."""
    if client.SECRETS_OPTION not in sys.argv[1:]:
        return Settings()
    given: dict[str, str] = json.loads(sys.stdin.buffer.read() or b"{}")
    return Settings(**given)


def collect_seldom() -> None:
    """Let Python look less often for cycles: with the rows of thousands of live runs it took a tenth of a round."""
    gc.set_threshold(YOUNG)


def main(daemon: Daemon | None = None) -> int:
    """Run a daemon in this process until SIGTERM; its exit code."""
    collect_seldom()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    daemon = daemon or Daemon(settings_of_process())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stopping.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(0o077)
    return daemon.run()


if __name__ == "__main__":
    sys.exit(main())
