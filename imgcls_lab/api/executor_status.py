"""Whether an executor watches the unfinished runs: each host needs its own.

Called by all that list runs and by `Run.wait`. Without an executor a list says how old it is; a wait starts the
executor, as a submit does, or says that no executor runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from imgcls_lab.events import LIVE, RunState
from imgcls_lab.executor import client
from imgcls_lab.identity import host_name
from imgcls_lab.store import executors as executor_rows

if TYPE_CHECKING:
    from imgcls_lab.schemas import RunView
    from imgcls_lab.store import Store

EVERY = 5.0  # seconds between two checks of a wait


def missing_executor(store: Store, views: Iterable[RunView]) -> str | None:
    """A sentence if no executor watches some unfinished run of these; else None.

    Runs of other homes are left to their users. A run of another host that went silent says so itself (`unreachable`).
    """
    views = [view for view in views if view.home in ("", store.database.home)]
    live = [view for view in views if view.state in LIVE and view.host]
    waits = any(view.state in (RunState.QUEUED, RunState.LOST) for view in views)
    if not live and not waits:
        return None
    if full := store.database.full():
        return full
    executors = [item for item in store.executors.status().executors if item.here]
    alive = {item.host for item in executors if item.state == "alive"}
    asleep = next((item for item in executors if item.state == "suspended"), None)
    if asleep is not None and (waits or any(view.host == asleep.host for view in live)):
        return executor_rows.suspended(asleep.host, asleep.pid)
    if client.lives(store.settings):
        alive.add(host_name())
    alone = [view for view in live if view.host not in alive]
    if not alone and (alive or not waits):
        return None
    hosts = sorted({str(view.host) for view in alone}) or [host_name()]
    beats = [item.heartbeat_at for item in executors if item.host in hosts] or [view.updated_at for view in alone]
    seen = max(beats, default=None)
    since = f"As of {moment(seen)}: no" if alone and seen is not None else "No"
    here = hosts == [host_name()]
    where = "this machine" if here else f"the host {hosts[0]}" if len(hosts) == 1 else f"the hosts {', '.join(hosts)}"
    what = "its runs are not watched" if alone else ""
    if waits and not alive:
        what += " and queued runs wait" if what else "queued runs wait"
    return f"{since} executor runs on {where}, so {what}. Start it{'' if here else ' there'}: imgcls-lab executor start"


def moment(t: float) -> str:
    """A time of today as `14:03:59`, another with its date."""
    today = time.strftime("%Y-%m-%d")
    day, clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(t)).split()
    return clock if day == today else f"{day} {clock}"


class ExecutorWatch:
    """Starts the executor while somebody waits for a run, if none lives."""

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._due = 0.0
        self._tried = False
        self._note: str | None = None

    def check(self, view: RunView) -> str | None:
        """Start the executor if none lives and it may be started. A sentence while none lives. Raises ExecutorError.

        It checks every few seconds, however often it is called.
        """
        now = time.monotonic()
        if self._store is not None and now >= self._due:
            self._due = now + EVERY
            missing = missing_executor(self._store, [view])
            self._note = None
            if missing is not None:
                client.ensure(self._store.settings)
                # one that is starting counts; one that has failed to start does not
                self._note = missing if self._tried else missing_executor(self._store, [view])
            self._tried = missing is not None
        return self._note
