"""Runs that a write transaction has locked, each with one of its attempts: read together, written together.

Called by `ingest` and `attempts`: many runs report, or end, in one transaction. The rows are locked until the commit,
so what a caller decides by them stays true; the fences of `states.py` are asked in memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import tuple_
from sqlmodel import Session, col, select

from imgcls_lab.events import RunState
from imgcls_lab.store import states
from imgcls_lab.store.database import touch
from imgcls_lab.store.tables import Attempt, Run

Key = tuple[str, int]  # id of a run, number of one of its attempts


@dataclass
class LockedRun:
    """A run and one of its attempts, as they are and as `write` will leave them."""

    run: Run
    attempt: Attempt
    _run: dict[str, Any] = field(default_factory=dict)  # what of the run is to be written
    _attempt: dict[str, Any] = field(default_factory=dict)
    _changed: bool = False

    @property
    def key(self) -> Key:
        return self.run.id, self.attempt.number

    @property
    def is_current(self) -> bool:
        """Whether the run has no later attempt. If not, the caller is out of date."""
        return self.run.attempt == self.attempt.number

    @property
    def lives(self) -> bool:
        """Whether this attempt of the run lives."""
        return self.is_current and self.run.state in states.LIVE_TEXTS

    def set_attempt(self, **values: Any) -> None:
        self._attempt |= _set(self.attempt, values)

    def set_run(self, **values: Any) -> None:
        """Change columns of the run; with none, note that it has changed."""
        self._changed = True
        self._run |= _set(self.run, values)

    def move(self, to: RunState, **values: Any) -> bool:
        """Move the run, as `states.move` does. False: its state or attempt is another, and nothing changes."""
        if not self.is_current or self.run.state not in states.sources(to):
            return False
        self.set_run(state=to.value, **values)
        return True

    def taken(self) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """What is to be written of run and attempt, once. None: the run has not changed."""
        run, attempt, changed = self._run, self._attempt, self._changed
        self._run, self._attempt, self._changed = {}, {}, False
        return run if changed else None, attempt


def _set(row: Any, values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        setattr(row, name, value)
    return values


def lock(session: Session, keys: Sequence[Key]) -> dict[Key, LockedRun]:
    """Lock runs with these attempts until the commit, in the order in which all daemons do. Those that there are."""
    here = tuple_(col(Attempt.run_id), col(Attempt.number)).in_(keys)
    query: Any = select(Run, Attempt).join(Attempt, col(Attempt.run_id) == col(Run.id)).where(here)
    query = query.order_by(col(Run.number)).with_for_update(key_share=True).execution_options(populate_existing=True)
    found = {(run.id, attempt.number): LockedRun(run, attempt) for run, attempt in session.exec(query).all()}
    for row in found.values():  # the session must not write them by itself
        session.expunge(row.run)
        session.expunge(row.attempt)
    return found


def write(session: Session, rows: Iterable[LockedRun], *, recorded: bool) -> None:
    """Write what was set, in a statement for all rows with the same columns. recorded: as in `database.touch`."""
    runs: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    attempts: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    now = time.time()
    for row in rows:
        of_run, of_attempt = row.taken()
        if of_attempt:
            of_attempt = {"run_id": row.run.id, "number": row.attempt.number, **of_attempt}
            attempts.setdefault(tuple(sorted(of_attempt)), []).append(of_attempt)
        if of_run is not None:
            row.run.revision += 1
            of_run = {"id": row.run.id, "revision": row.run.revision, "updated_at": now, **of_run}
            runs.setdefault(tuple(sorted(of_run)), []).append(of_run)
            touch(session, row.run.id, recorded=recorded)
    for same in attempts.values():
        states.change_attempts(session, same)
    for same in runs.values():
        states.change_locked_runs(session, same)
