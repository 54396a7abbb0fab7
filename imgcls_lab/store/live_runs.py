"""The live runs of a host as its daemon knows them: read whole once, then only what has changed since.

A daemon of a cluster watches thousands of runs and looks three times a second. Called by `ExecutorStore`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import literal, null, union_all
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from imgcls_lab.events import RunState
from imgcls_lab.store import attempts, states
from imgcls_lab.store.tables import Counter, DeletedRun, Run

_ACTIVE = states.LIVE_TEXTS | {RunState.QUEUED.value}


@dataclass(frozen=True)
class Changes:
    """What has changed since the last look at this home's runs.

    any: something, in whatever home; concern: what a daemon's queue depends on, whatever devices are free. A run waits
    that did not, or not so; one was deleted; or one has ended, on this host or before it had one.
    """

    any: bool
    concern: bool


ALL, NONE = Changes(any=True, concern=True), Changes(any=False, concern=False)


class LiveRuns:
    """The live runs of a home on a host, with their present attempts."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._seen: int | None = None  # value of the counter of changes; see `Database.write`
        self._live: dict[str, attempts.Live] = {}
        self.changes = ALL  # what the last look found

    def read(self, session: Session) -> list[attempts.Live]:
        """In the order of their numbers. One cheap query while nothing changes anywhere."""
        before, self._seen = self._seen, session.exec(select(Counter.value).where(Counter.name == "changes")).one()
        if before is None or self._seen < before:  # the first look, or the database was made anew
            self._live = {run.id: (run, attempt) for run, attempt in attempts.live_runs(session, self._host)}
            self.changes = ALL
        elif self._seen > before:
            self._follow(session, before)
        else:
            self.changes = NONE
        return sorted(self._live.values(), key=lambda live: live[0].number or 0)

    def forget(self) -> None:
        """Read all of them again next time."""
        self._seen = None

    def _follow(self, session: Session, before: int) -> None:
        found = {run_id: (state, host) for run_id, state, host in session.execute(_changed(session, before))}
        here = {run_id for run_id, (state, host) in found.items() if host == self._host and state in states.LIVE_TEXTS}
        gone = self._live.keys() & found.keys() - here
        for run_id in gone:
            del self._live[run_id]
        if here:
            self._live |= {run.id: (run, attempt) for run, attempt in attempts.live_runs(session, self._host, here)}
        waiting = any(state == RunState.QUEUED.value for state, _ in found.values())
        ended = any(state not in _ACTIVE and host in (None, self._host) for state, host in found.values())
        self.changes = Changes(any=True, concern=waiting or ended or bool(gone))


def _changed(session: Session, since: int) -> Any:
    """Id, state and host of this home's runs that were changed or deleted after a value of the counter."""
    home = session.info["home"]
    runs = sa_select(col(Run.id), col(Run.state), col(Run.host)).where(col(Run.change) > since, col(Run.home) == home)
    gone = sa_select(col(DeletedRun.id), literal("deleted"), null())
    return union_all(runs, gone.where(col(DeletedRun.change) > since, col(DeletedRun.home) == home))
