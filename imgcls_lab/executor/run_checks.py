"""All live runs of a daemon: who is looked at in a round, and what was found of many is written together.

Called by the daemon. A transaction costs about as much for one run as for several, so notes, events and ends go in
groups. Each run is watched by a `RunMonitor` of its own.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from imgcls_lab.errors import StoreError
from imgcls_lab.executor.backends.base import Backend
from imgcls_lab.executor.run_monitor import RunMonitor
from imgcls_lab.settings import Settings
from imgcls_lab.store.attempts import AT_ONCE
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.locked_runs import Key
from imgcls_lab.store.tables import Attempt, Run

log = logging.getLogger(__name__)

INGEST_EVERY = 0.1
INGEST_PAUSE = 5.0  # times the work of an ingest that the next one waits at least: many live runs are read less often
# Seconds of a round for checks of live runs, by their urgency. Where thousands live they take turns, since devices that
# are free wait for the end of the round; those that were not checked for longest come first.
CHECK_SECONDS = {2: 1.0, 1: 0.5, 0: 0.1}

Found = tuple[ExecutorStore, Backend, Run, Attempt]
Checked = tuple[RunMonitor, Run, Attempt]


class RunChecks:
    """The monitors of the live runs."""

    def __init__(self, settings: Settings, clock: Callable[[], float], stopping: threading.Event) -> None:
        self._settings = settings
        self._clock = clock
        self._stopping = stopping
        self.monitors: dict[Key, RunMonitor] = {}
        self._logged_errors: dict[str, str] = {}  # the newest of each run

    def keep(self, live: Iterable[Found]) -> bool:
        """Watch these runs, and no others any more. True: there were others."""
        keys = {(run.id, attempt.number) for _, _, run, attempt in live}
        gone = self.monitors.keys() - keys
        self.monitors = {key: monitor for key, monitor in self.monitors.items() if key in keys}
        return bool(gone)

    def check(self, store: ExecutorStore, live: Sequence[Found]) -> None:
        """Check them, as far as there is time, and write what was found. Raises StoreError."""
        by_urgency: dict[int, list[Checked]] = {urgency: [] for urgency in CHECK_SECONDS}
        for own, backend, run, attempt in live:
            key = (run.id, attempt.number)
            if key not in self.monitors:
                self.monitors[key] = RunMonitor(own, self._settings, backend, self._clock)
            monitor = self.monitors[key]
            by_urgency[monitor.urgency(run, attempt)].append((monitor, run, attempt))
        for urgency, seconds in CHECK_SECONDS.items():
            until = self._clock() + seconds
            waiting = sorted(by_urgency[urgency], key=lambda each: each[0].checked_at)
            for start in range(0, len(waiting), AT_ONCE):
                self._check_group(store, waiting[start : start + AT_ONCE], until)
                if self._clock() > until:
                    break

    def ingest(self, store: ExecutorStore, until: float) -> None:
        """Until a time: ingest what live runs write, so that a page shows a step at once. Raises StoreError."""
        pause = INGEST_EVERY
        while (left := until - self._clock()) > 0 and not self._stopping.wait(min(pause, left)):
            if left > pause:
                began = time.thread_time()
                waiting = sorted(self.monitors.values(), key=lambda monitor: monitor.ingested_at)
                with_news = ((key, monitor) for monitor in waiting if (key := monitor.news()) is not None)
                while group := dict(itertools.islice(with_news, AT_ONCE)):
                    self._ingest(store, group)
                    if self._clock() > until:  # the others come first next time
                        return
                pause = max(INGEST_EVERY, INGEST_PAUSE * (time.thread_time() - began))

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _check_group(self, store: ExecutorStore, group: Sequence[Checked], until: float) -> None:
        checked: dict[Key, RunMonitor] = {}
        for monitor, run, attempt in group:
            if self._check(monitor, run, attempt):
                checked[run.id, attempt.number] = monitor
            if self._clock() > until:
                break
        notes = {key: monitor.noted for key, monitor in checked.items() if monitor.noted is not None}
        over = [key for key, monitor in checked.items() if monitor.over]
        failed = self._write([*notes], lambda keys: store.note([notes[key] for key in keys]))
        failed |= self._ingest(store, {key: monitor for key, monitor in checked.items() if monitor.news() is not None})
        failed |= self._write(over, lambda keys: _finish(store, keys))
        for key in checked.keys() - failed:
            self._logged_errors.pop(key[0], None)

    def _check(self, monitor: RunMonitor, run: Run, attempt: Attempt) -> bool:
        try:
            monitor.check(run, attempt)
        except StoreError:
            raise
        except Exception as error:  # one damaged folder must not keep the others waiting
            self._log(run.id, error)
            return False
        return True

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
