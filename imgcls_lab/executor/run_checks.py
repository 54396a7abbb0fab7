"""All live runs of a daemon: who is looked at in a round, and what was found of many is written together.

Called by the daemon. A transaction costs about as much for one run as for several, so notes, events and ends go in
groups. Each run is watched by a `RunMonitor` of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from imgcls_lab.errors import StoreError
from imgcls_lab.executor.backends.base import Backend
from imgcls_lab.executor.run_monitor import RunMonitor, Urgency
from imgcls_lab.settings import Settings
from imgcls_lab.store.attempts import AT_ONCE
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.locked_runs import Key
from imgcls_lab.store.tables import Attempt, Run

log = logging.getLogger(__name__)

INGEST_EVERY = 0.1
INGEST_PAUSE = 5.0  # times the work of an ingest that the next one waits at least: many live runs are read less often
# Seconds of a round for checks of live runs, by their urgency. Where thousands live they take turns, since devices that
# are free wait for the next round; those that were not checked for longest come first.
CHECK_SECONDS = {Urgency.ENDS: 1.0, Urgency.CHANGED: 0.5, Urgency.QUIET: 0.1}
# Of all time, what the checks of quiet runs may take, and what reading of live ones' news may, where rounds take longer
# than the poll interval. A fixed time would make long rounds longer.
LATE_SHARE = 0.05

Found = tuple[ExecutorStore, Backend, Run, Attempt]
Checked = tuple[RunMonitor, Run, Attempt]


class RunChecks:
    """The monitors of the live runs."""

    def __init__(self, settings: Settings, clock: Callable[[], float], stopping: threading.Event) -> None:
        self._settings = settings
        self._clock = clock
        self._stopping = stopping
        self.monitors: dict[Key, RunMonitor] = {}
        self._by_urgency: dict[Urgency, list[Checked]] = {}
        self._is_late = False  # the last round took longer than the poll interval
        self._quiet_at = self._news_at = clock()  # when quiet runs were checked last, and news of live ones read
        self._logged_errors: dict[str, str] = {}  # the newest of each run

    def watch(self, live: Sequence[Found]) -> bool:
        """Watch these runs, and no others any more. True: there were others."""
        keys = {(run.id, attempt.number) for _, _, run, attempt in live}
        gone = self.monitors.keys() - keys
        self.monitors = {key: monitor for key, monitor in self.monitors.items() if key in keys}
        self._by_urgency = {urgency: [] for urgency in Urgency}
        for own, backend, run, attempt in live:
            key = (run.id, attempt.number)
            if key not in self.monitors:
                self.monitors[key] = RunMonitor(own, self._settings, backend, self._clock)
            monitor = self.monitors[key]
            self._by_urgency[monitor.urgency(run, attempt)].append((monitor, run, attempt))
        return bool(gone)

    def check(self, store: ExecutorStore, urgency: Urgency) -> bool:
        """Check the watched runs of an urgency, as far as there is time, and write what was found. Raises StoreError.

        True: some have ended.
        """
        now = self._clock()
        until = now + CHECK_SECONDS[urgency]
        if urgency is Urgency.QUIET:
            if self._is_late:
                until = min(until, now + LATE_SHARE * (now - self._quiet_at))
            self._quiet_at = now
        ended, found = False, dict[Key, RunMonitor]()
        for monitor, run, attempt in sorted(self._by_urgency[urgency], key=lambda each: each[0].checked_at):
            if self._check(monitor, run, attempt):
                found[run.id, attempt.number] = monitor
            if len(found) == AT_ONCE:
                ended |= self._write_found(store, found)
                found = {}
            if self._clock() > until:
                break
        return self._write_found(store, found) or ended

    def ingest(self, store: ExecutorStore, until: float) -> None:
        """Until a time: ingest what live runs write, so that a page shows a step at once. Raises StoreError."""
        now, before = self._clock(), self._news_at
        self._is_late, self._news_at = until <= now, now
        if self._is_late:  # whoever is late all the time still has to show steps
            self._read_news(store, now + LATE_SHARE * (now - before))
            return
        pause = INGEST_EVERY
        while (left := until - self._clock()) > 0 and not self._stopping.wait(min(pause, left)):
            if left > pause:
                began = time.thread_time()
                self._read_news(store, until)
                pause = max(INGEST_EVERY, INGEST_PAUSE * (time.thread_time() - began))

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _read_news(self, store: ExecutorStore, until: float) -> None:
        group: dict[Key, RunMonitor] = {}
        for monitor in sorted(self.monitors.values(), key=lambda monitor: monitor.ingested_at):
            if (key := monitor.news()) is not None:
                group[key] = monitor
            if len(group) == AT_ONCE:
                self._ingest(store, group)
                group = {}
            if self._clock() > until:  # the others come first next time
                break
        self._ingest(store, group)

    def _write_found(self, store: ExecutorStore, found: Mapping[Key, RunMonitor]) -> bool:
        """Write what checks have found, each kind in one transaction. True: some have ended."""
        notes = {key: monitor.noted for key, monitor in found.items() if monitor.noted is not None}
        over = [key for key, monitor in found.items() if monitor.over]
        failed = self._write([*notes], lambda keys: store.note([notes[key] for key in keys]))
        failed |= self._ingest(store, {key: monitor for key, monitor in found.items() if monitor.has_news})
        failed |= self._write(over, lambda keys: _finish(store, keys))
        for key in found.keys() - failed:
            self._logged_errors.pop(key[0], None)
        return bool(over)

    def _check(self, monitor: RunMonitor, run: Run, attempt: Attempt) -> bool:
        """Check a run. True: something of it is to be written."""
        try:
            monitor.check(run, attempt)
        except StoreError:
            raise
        except Exception as error:  # one damaged folder must not keep the others waiting
            self._log(run.id, error)
            return False
        if monitor.news() is not None or monitor.noted is not None or monitor.over:
            return True
        self._logged_errors.pop(run.id, None)
        return False

    def _ingest(self, store: ExecutorStore, group: Mapping[Key, RunMonitor]) -> set[Key]:
        failed = self._write([*group], store.ingest)
        for key in group.keys() - failed:
            group[key].ingested()
        return failed

    def _write(self, keys: list[Key], write: Callable[[list[Key]], None]) -> set[Key]:
        """Write something of attempts in one transaction, or one by one if that fails; of which it failed."""
        if not keys:
            return set()
        try:
            write(keys)
        except StoreError:
            raise
        except Exception as error:
            if len(keys) > 1:
                return set().union(*(self._write([key], write) for key in keys))
            self._log(keys[0][0], error)
            self.monitors[keys[0]].check_again()
            return {*keys}
        return set()

    def _log(self, run_id: str, error: Exception) -> None:
        if self._logged_errors.get(run_id) != repr(error):  # once, not three times a second
            self._logged_errors[run_id] = repr(error)
            log.error("%s could not be checked.", run_id, exc_info=error)


def _finish(store: ExecutorStore, keys: list[Key]) -> None:
    for (run_id, attempt), (verdict, state) in store.finish_by_folder(keys).items():
        log.info("%s attempt %d: %s, now %s", run_id, attempt, verdict.state.value, state.value)
